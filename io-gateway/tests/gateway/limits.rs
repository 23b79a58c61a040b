//! What a client may ask for, hold and delay, and that it is told so.

use std::time::Duration;

use io_gateway::link::Health;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use xtask::private_servers::Server;

use super::{Stand, fake_engine};

const NOWHERE: &str = "redis://127.0.0.1:1/";
const NO_DATABASE: &str = "postgres://nobody@127.0.0.1:1/nothing";
/// Of what is to happen soon, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

async fn stand(settings: &str) -> Stand {
    Stand::start_set(NOWHERE, NO_DATABASE, settings).await
}

async fn trading(redis: &Server, limits: &str) -> Stand {
    let settings = format!("[gateway.limits]\n{limits}\n");
    let stand = Stand::start_set(&redis.url, NO_DATABASE, &settings).await;
    stand.eventually(Health::is_whole).await;
    stand
}

/// All that comes until the gateway closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset closes too.
    let _closed = timeout(SOON, stream.read_to_end(&mut all)).await.unwrap();
    String::from_utf8(all).unwrap()
}

#[tokio::test]
async fn a_key_over_its_limit_gets_429_and_a_time_and_other_requests_take_nothing_of_it() {
    let redis = Server::redis("gateway").unwrap();
    let _engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = trading(&redis, "key_rate_per_s = 1\nkey_burst = 3").await;
    for _ in 0..10 {
        let (method, wrong) = (("POST", "/api/v1/order"), "orderCancel");
        let (status, _) = stand.signed(method, wrong, "", r#"{"symbol":"SOL_USDC"}"#).await;
        assert_eq!(status, 401, "who cannot sign empties nobody's bucket");
    }
    let mut placed = 0;
    let (status, error) = loop {
        match stand.place("19", "1").await {
            (200, _) => placed += 1,
            other => break other,
        }
        assert!(placed < 100, "no limit holds");
    };
    assert_eq!((status, &error["code"]), (429, &json!("TOO_MANY_REQUESTS")), "{error}");
    assert!(3 <= placed, "{placed}: a burst passes");
}

#[tokio::test]
async fn a_batch_weighs_as_much_as_its_orders() {
    let redis = Server::redis("gateway").unwrap();
    let _engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = trading(&redis, "account_rate_per_s = 1\naccount_burst = 1000").await;
    let row =
        r#"{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit","price":"19","quantity":"1"}"#;
    let body = format!("[{}]", [row; 20].join(","));
    let pairs = ["orderType=Limit&price=19&quantity=1&side=Bid&symbol=SOL_USDC"; 20];
    let signed = pairs.join("&instruction=orderExecute&");
    let orders = ("POST", "/api/v1/orders");
    let mut taken = 0;
    while stand.signed(orders, "orderExecute", &signed, &body).await.0 == 200 {
        taken += 1;
        assert!(taken < 200, "no limit holds");
    }
    assert!((50..100).contains(&taken), "{taken} batches of 20 orders out of 1000 tokens");
}

#[tokio::test]
async fn an_address_is_turned_away_before_its_signature_is_looked_at() {
    let limits = "[gateway.limits]\naddress_rate_per_s = 1\naddress_burst = 8\n";
    let stand = stand(limits).await;
    let statuses = async |path: &str| {
        let mut found = Vec::new();
        for _ in 0..10 {
            found.push(stand.raw("GET", path, "X-API-Key: nonsense\r\n", b"").await.0);
        }
        found
    };
    let found = statuses("/api/v1/capital").await;
    assert_eq!((found[0], found[9]), (401, 429), "{found:?}");
    let (status, body) = stand.raw("GET", "/no/such/path", "", b"").await;
    assert_eq!(status, 429, "{body}");
    assert!(body.contains("TOO_MANY_REQUESTS"), "{body}");

    let mut stream = TcpStream::connect(stand.address).await.unwrap();
    let heavy = b"GET /wapi/v1/history/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(heavy).await.unwrap();
    let answer = until_closed(&mut stream).await.to_lowercase();
    let after = answer.split_once("retry-after: ").expect("it says when").1;
    let after: u64 = after.split_once("\r\n").unwrap().0.parse().unwrap();
    assert!((2..=5).contains(&after), "five tokens at one a second, not in {after} s");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_so_is_one_that_dawdles_over_its_head() {
    let stand = stand("header_read_ms_max = 200\n").await;
    let request = b"GET /api/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut idle = TcpStream::connect(stand.address).await.unwrap();
    idle.write_all(request).await.unwrap();
    let answer = until_closed(&mut idle).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("pong"), "{answer}");

    let mut silent = TcpStream::connect(stand.address).await.unwrap();
    assert_eq!(until_closed(&mut silent).await, "");

    // A byte now and then does not help.
    let mut slow = TcpStream::connect(stand.address).await.unwrap();
    let dawdling = async {
        while slow.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, dawdling).await.expect("it is still listened to");
}

#[tokio::test]
async fn a_body_that_dawdles_is_cut() {
    let stand = stand("body_read_ms_max = 200\n").await;
    let mut slow = TcpStream::connect(stand.address).await.unwrap();
    let head = b"POST /api/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{";
    slow.write_all(head).await.unwrap();
    let answer = until_closed(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("INVALID_CLIENT_REQUEST"), "{answer}");

    // Nobody waits for a body that nobody reads.
    let mut unread = TcpStream::connect(stand.address).await.unwrap();
    let head = b"POST /no/such/path HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{";
    unread.write_all(head).await.unwrap();
    let answer = until_closed(&mut unread).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
}

#[tokio::test]
async fn who_does_not_read_holds_no_place_for_ever() {
    let stand = stand("connections_max = 1\nunread_ms_max = 300\n").await;
    let mut deaf = TcpStream::connect(stand.address).await.unwrap();
    let request = b"GET /api/v1/markets HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let shouting = async { while deaf.write_all(&request).await.is_ok() {} };
    timeout(SOON, shouting).await.expect("it is still served");
    let served = timeout(SOON, stand.raw("GET", "/api/v1/ping", "", b"")).await;
    assert_eq!(served.expect("its place is free").0, 200);
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let stand = stand("connections_per_address_max = 3\n").await;
    let request = b"GET /api/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(stand.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        held.push(stream);
    }
    let mut one_more = TcpStream::connect(stand.address).await.unwrap();
    assert_eq!(until_closed(&mut one_more).await, "");
    held.pop();
    let served = async {
        loop {
            let mut stream = TcpStream::connect(stand.address).await.unwrap();
            let mut answer = [0; 12];
            let sent = stream.write_all(request).await;
            if sent.is_ok() && stream.read_exact(&mut answer).await.is_ok() {
                return answer;
            }
        }
    };
    assert_eq!(&timeout(SOON, served).await.expect("a place is free"), b"HTTP/1.1 200");
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let redis = Server::redis("gateway").unwrap();
    let _engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let settings = "request_ms_max = 200\nreply_timeout_ms = 10000\n";
    let stand = Stand::start_set(&redis.url, NO_DATABASE, settings).await;
    stand.eventually(Health::is_whole).await;
    // An order that the engine never answers.
    let (status, error) = stand.place("19", "7.77").await;
    assert_eq!((status, &error["code"]), (504, &json!("TIMEOUT")));
}
