//! What fan-outs are told of who is behind a socket.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use futures_util::StreamExt;
use io_gateway::stream_access::StreamAccess;
use protocol::access::{Answer, Credentials, Identity, Question, Verdict};
use protocol::{AccountId, GatewayId, keys};
use redis::aio::{MultiplexedConnection, PubSubStream};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use xtask::private_servers::Server;

use crate::browser_accounts::Exchange;
use crate::{Stand, clock, fake_engine};

const ASKER: GatewayId = GatewayId(950);
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// Of what is to happen soon, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A fan-out, as far as it asks.
struct Asker {
    redis: MultiplexedConnection,
    answers: PubSubStream,
    next_id: u64,
}

impl Asker {
    async fn connect(redis: &Server) -> Asker {
        let client = redis::Client::open(redis.url.as_str()).unwrap();
        let mut subscription = client.get_async_pubsub().await.unwrap();
        subscription.subscribe(keys::access(ASKER)).await.unwrap();
        let answers = subscription.into_on_message();
        Asker { redis: fake_engine::connect(redis).await, answers, next_id: 1 }
    }

    async fn push(&mut self, json: &[u8]) {
        let mut push = redis::cmd("LPUSH");
        push.arg(keys::ACCESS).arg(json).exec_async(&mut self.redis).await.unwrap();
    }

    async fn waiting(&mut self) -> u64 {
        redis::cmd("LLEN").arg(keys::ACCESS).query_async(&mut self.redis).await.unwrap()
    }

    /// Returns the number of the question.
    async fn send(&mut self, address: IpAddr, credentials: Credentials, deadline_us: u64) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let question = Question { id, asker: ASKER, life: 77, deadline_us, address, credentials };
        self.push(&serde_json::to_vec(&question).unwrap()).await;
        id
    }

    async fn hear(&mut self) -> Answer {
        let message = timeout(SOON, self.answers.next()).await.unwrap().unwrap();
        serde_json::from_slice(message.get_payload_bytes()).unwrap()
    }

    async fn ask_from(&mut self, address: IpAddr, credentials: Credentials) -> Verdict {
        let id = self.send(address, credentials, in_a_while()).await;
        let answer = self.hear().await;
        assert_eq!((answer.id, answer.life), (id, 77));
        answer.verdict
    }

    async fn ask(&mut self, credentials: Credentials) -> Verdict {
        self.ask_from(HERE, credentials).await
    }
}

fn in_a_while() -> u64 {
    clock::now_us() + 60_000_000
}

fn answering(stand: &Stand, redis: &Server) -> JoinHandle<()> {
    let access = StreamAccess::new(stand.app.clone(), &redis.url).unwrap();
    stand.app.tasks.spawn(access.run(stand.stop.clone()))
}

/// `text` signed by `secret`, sent with this timestamp and window.
fn signed(secret: &SigningKey, text: &str, timestamp: &str, window: &str) -> Credentials {
    Credentials::Signature {
        key: BASE64.encode(secret.verifying_key().to_bytes()),
        signature: BASE64.encode(secret.sign(text.as_bytes()).to_bytes()),
        timestamp: timestamp.to_owned(),
        window: window.to_owned(),
    }
}

fn signed_at(secret: &SigningKey, timestamp: u64) -> Credentials {
    let text = format!("instruction=subscribe&timestamp={timestamp}&window=5000");
    signed(secret, &text, &timestamp.to_string(), "5000")
}

fn signed_now(secret: &SigningKey) -> Credentials {
    signed_at(secret, clock::now_ms())
}

fn granted(account: u32, read_only: bool) -> Verdict {
    Verdict::Granted(Identity { account: AccountId::new(account).unwrap(), read_only })
}

#[tokio::test]
async fn a_signature_over_the_instruction_alone_tells_the_account() {
    let redis = Server::redis("gateway").unwrap();
    let stand = Stand::start(&redis.url).await;
    answering(&stand, &redis);
    let mut asker = Asker::connect(&redis).await;
    assert_eq!(asker.ask(signed_now(&stand.secret)).await, granted(7, false));

    let Credentials::Signature { key, signature, timestamp, window } = signed_now(&stand.secret)
    else {
        panic!("not a signature");
    };
    let url_safe = |text: &str| URL_SAFE_NO_PAD.encode(BASE64.decode(text).unwrap());
    let (key, signature) = (url_safe(&key), url_safe(&signature));
    let other_base64 = Credentials::Signature { key, signature, timestamp, window };
    assert_eq!(asker.ask(other_base64).await, granted(7, false));

    let now = clock::now_ms();
    let secret = &stand.secret;
    let text = format!("instruction=subscribe&timestamp={now}&window=60000");
    let wide = signed(secret, &text, &now.to_string(), "60000");
    assert_eq!(asker.ask(wide).await, granted(7, false));
    let tail = format!("timestamp={now}&window=5000");
    let sent = |text: &str| signed(secret, text, &now.to_string(), "5000");
    let empty = || String::new();
    for (credentials, why) in [
        (sent(&format!("instruction=orderQuery&{tail}")), "signed for something else"),
        (sent(&format!("instruction=subscribe&a=b&{tail}")), "signed with a parameter"),
        (signed(secret, &tail, &now.to_string(), "5001"), "another window than signed"),
        (signed_at(secret, now - 5_500), "expired"),
        (signed_at(secret, now + 60_000), "ahead of its time"),
        (signed(secret, "instruction=subscribe&timestamp=&window=", "", ""), "without a time"),
        (sent(""), "of nothing"),
        (
            Credentials::Signature {
                key: "AAAA".into(),
                signature: empty(),
                timestamp: empty(),
                window: empty(),
            },
            "malformed",
        ),
    ] {
        assert_eq!(asker.ask(credentials).await, Verdict::Refused, "{why}");
    }
}

#[tokio::test]
async fn a_limited_key_and_a_session_are_what_they_are_over_rest() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    answering(stand, &exchange.redis);
    let mut asker = Asker::connect(&exchange.redis).await;
    let ann = stand.browser("signup", "ann@example.org").await;
    let own = ann.account.parse().unwrap();
    let cookie = || Credentials::Cookie(format!("theme=dark; {}", ann.cookie));
    assert_eq!(asker.ask(cookie()).await, granted(own, false), "whatever its CSRF token");

    let (eyes, _) = stand.new_key(&ann, json!({"label": "eyes", "readOnly": true})).await;
    assert_eq!(asker.ask(signed_now(&eyes)).await, granted(own, true));
    let bound = json!({"label": "bound", "allowedAddresses": ["10.0.0.1"]});
    let (bound, _) = stand.new_key(&ann, bound).await;
    for (address, verdict) in [
        ("10.0.0.1", granted(own, false)),
        ("::ffff:10.0.0.1", granted(own, false)),
        ("10.0.0.2", Verdict::Refused),
    ] {
        let found = asker.ask_from(address.parse().unwrap(), signed_now(&bound)).await;
        assert_eq!(found, verdict, "{address}");
    }
    let unknown = SigningKey::from_bytes(&[9; 32]);
    assert_eq!(asker.ask(signed_now(&unknown)).await, Verdict::Refused);

    stand.json("POST", "/auth/v1/logout", &ann.headers(), "").await;
    let forged = format!("exchange_session={}", URL_SAFE_NO_PAD.encode([1; 32]));
    for text in [ann.cookie.as_str(), &forged, "exchange_session=x", "theme=dark", "", "\0é"] {
        let verdict = asker.ask(Credentials::Cookie(text.to_owned())).await;
        assert_eq!(verdict, Verdict::Refused, "{text:?}");
    }
}

#[tokio::test]
async fn without_a_database_known_keys_are_told_and_all_else_is_unavailable() {
    let redis = Server::redis("gateway").unwrap();
    let stand = Stand::start(&redis.url).await;
    answering(&stand, &redis);
    let mut asker = Asker::connect(&redis).await;
    let unknown = SigningKey::from_bytes(&[9; 32]);
    assert_eq!(asker.ask(signed_now(&unknown)).await, Verdict::Unavailable);
    let cookie = format!("exchange_session={}", URL_SAFE_NO_PAD.encode([1; 32]));
    assert_eq!(asker.ask(Credentials::Cookie(cookie)).await, Verdict::Unavailable);
    assert_eq!(asker.ask(signed_now(&stand.secret)).await, granted(7, false));
}

#[tokio::test]
async fn an_address_over_its_limit_hears_nothing_of_its_credentials() {
    let redis = Server::redis("gateway").unwrap();
    let settings = "[gateway.limits]\naddress_rate_per_s = 1\naddress_burst = 2\n";
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let stand = Stand::start_set(&redis.url, nowhere, settings).await;
    answering(&stand, &redis);
    let mut asker = Asker::connect(&redis).await;
    let mut granted_count = 0;
    while asker.ask(signed_now(&stand.secret)).await != Verdict::Unavailable {
        granted_count += 1;
        assert!(granted_count < 100, "no limit holds");
    }
    assert!(2 <= granted_count, "{granted_count}: a burst passes");
    let elsewhere = "10.0.0.2".parse().unwrap();
    assert_eq!(asker.ask_from(elsewhere, signed_now(&stand.secret)).await, granted(7, false));
}

#[tokio::test]
async fn what_nobody_waits_for_is_dropped_and_a_lost_redis_waited_out() {
    let mut redis = Server::redis("gateway").unwrap();
    redis.kill().unwrap();
    let stand = Stand::start(&redis.url).await;
    answering(&stand, &redis);
    for _ in 0..2 {
        redis.restart().unwrap();
        let mut asker = Asker::connect(&redis).await;
        asker.push(b"no json").await;
        asker.push(br#"{"id": 1}"#).await;
        asker.send(HERE, signed_now(&stand.secret), clock::now_us() - 1).await;
        assert_eq!(asker.ask(signed_now(&stand.secret)).await, granted(7, false));
        redis.kill().unwrap();
    }
}

#[tokio::test]
async fn gateways_share_the_questions_and_one_that_drains_takes_no_more() {
    let redis = Server::redis("gateway").unwrap();
    let (one, other) = (Stand::start(&redis.url).await, Stand::start(&redis.url).await);
    let (first, second) = (answering(&one, &redis), answering(&other, &redis));
    let mut asker = Asker::connect(&redis).await;
    let mut ids = Vec::new();
    for _ in 0..300 {
        ids.push(asker.send(HERE, signed_now(&one.secret), in_a_while()).await);
    }
    let mut answered = Vec::new();
    for _ in 0..300 {
        let answer = asker.hear().await;
        assert_eq!(answer.verdict, granted(7, false));
        answered.push(answer.id);
    }
    answered.sort_unstable();
    assert_eq!(answered, ids, "each once");

    one.stop.cancel();
    timeout(SOON, first).await.unwrap().unwrap();
    for _ in 0..5 {
        assert_eq!(asker.ask(signed_now(&one.secret)).await, granted(7, false), "by the other");
    }
    other.stop.cancel();
    timeout(SOON, second).await.unwrap().unwrap();
    timeout(SOON, one.served).await.unwrap().unwrap();
    asker.send(HERE, signed_now(&one.secret), in_a_while()).await;
    assert_eq!(asker.waiting().await, 1, "nobody is there to take it");
}
