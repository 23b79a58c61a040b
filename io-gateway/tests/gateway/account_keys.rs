//! API keys as their owner makes, limits and revokes them, and what they then may do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

use crate::browser_accounts::{Browser, Exchange, code};
use crate::{Stand, clock};

const ORDER: &str =
    r#"{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit","price":"19","quantity":"1"}"#;
const ORDER_SIGNED: &str = "orderType=Limit&price=19&quantity=1&side=Bid&symbol=SOL_USDC";

impl Stand {
    async fn keys(&self, method: &str, browser: &Browser, body: &Value) -> (u16, Value) {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        self.json(method, "/auth/v1/keys", &browser.headers(), &body).await
    }

    /// A new key of the browser's account: the pair, and what the server says of it.
    pub async fn new_key(&self, browser: &Browser, body: Value) -> (SigningKey, Value) {
        let (status, key) = self.keys("POST", browser, &body).await;
        assert_eq!(status, 200, "{key}");
        let seed = BASE64.decode(key["secret"].as_str().unwrap()).unwrap();
        (SigningKey::from_bytes(&seed.try_into().unwrap()), key)
    }

    async fn order_by(&self, secret: &SigningKey) -> (u16, Value) {
        let call = ("POST", "/api/v1/order");
        self.signed_at(secret, clock::now_ms(), call, "orderExecute", ORDER_SIGNED, ORDER).await
    }

    async fn capital_by(&self, secret: &SigningKey) -> (u16, Value) {
        let call = ("GET", "/api/v1/capital");
        self.signed_at(secret, clock::now_ms(), call, "balanceQuery", "", "").await
    }
}

fn public(secret: &SigningKey) -> String {
    BASE64.encode(secret.verifying_key().to_bytes())
}

#[tokio::test]
async fn a_key_s_secret_is_shown_once_and_signs() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let ann = stand.browser("signup", "ann@example.org").await;
    let (secret, key) = stand.new_key(&ann, json!({"label": "bot <b>'; --"})).await;
    assert_eq!(key["publicKey"], public(&secret));
    assert_eq!((&key["readOnly"], &key["allowedAddresses"]), (&json!(false), &json!([])));
    assert_eq!(stand.order_by(&secret).await.0, 200);

    let own = SigningKey::from_bytes(&[9; 32]);
    let body = json!({"label": "mine", "publicKey": public(&own), "readOnly": true});
    let (status, added) = stand.keys("POST", &ann, &body).await;
    assert_eq!((status, added.get("secret")), (200, None));
    assert_eq!(stand.keys("POST", &ann, &body).await.0, 200, "the same again");
    let (_, keys) = stand.keys("GET", &ann, &Value::Null).await;
    let labels: Vec<_> = keys.as_array().unwrap().iter().map(|key| &key["label"]).collect();
    assert_eq!(labels, [&json!("bot <b>'; --"), &json!("mine")]);
    assert!(keys.as_array().unwrap().iter().all(|key| key.get("secret").is_none()), "{keys}");
    assert_eq!(stand.json("GET", "/auth/v1/keys", "", "").await.0, 401);
}

#[tokio::test]
async fn a_read_only_key_reads_and_changes_nothing() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let ann = stand.browser("signup", "ann@example.org").await;
    let (secret, _) = stand.new_key(&ann, json!({"label": "eyes", "readOnly": true})).await;
    assert_eq!(stand.capital_by(&secret).await.0, 200);
    let decided = exchange.engine.state().decided;
    let symbol = r#"{"symbol":"SOL_USDC"}"#;
    for (call, instruction, signed, body) in [
        (("POST", "/api/v1/order"), "orderExecute", ORDER_SIGNED, ORDER),
        (
            ("DELETE", "/api/v1/order"),
            "orderCancel",
            "orderId=1&symbol=SOL_USDC",
            r#"{"symbol":"SOL_USDC","orderId":"1"}"#,
        ),
        (("DELETE", "/api/v1/orders"), "orderCancelAll", "symbol=SOL_USDC", symbol),
        (("PATCH", "/api/v1/account"), "accountUpdate", "", "{}"),
        (("POST", "/wapi/v1/capital/withdrawals"), "withdraw", "", "{}"),
    ] {
        let now = clock::now_ms();
        let refused = stand.signed_at(&secret, now, call, instruction, signed, body).await;
        assert_eq!(code(&refused), (403, "FORBIDDEN"), "{instruction}");
        let forged = stand.signed_at(&secret, now, call, "balanceQuery", signed, body).await;
        assert_eq!(code(&forged), (401, "INVALID_SIGNATURE"), "{instruction}");
    }
    let batch = format!("[{ORDER}]");
    let call = ("POST", "/api/v1/orders");
    let now = clock::now_ms();
    let refused = stand.signed_at(&secret, now, call, "orderExecute", ORDER_SIGNED, &batch).await;
    assert_eq!(code(&refused), (403, "FORBIDDEN"));
    assert_eq!(exchange.engine.state().decided, decided);
}

#[tokio::test]
async fn a_key_bound_to_addresses_is_no_use_elsewhere() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let ann = stand.browser("signup", "ann@example.org").await;
    let here = json!({"label": "here", "allowedAddresses": ["10.0.0.1", "::ffff:127.0.0.1"]});
    let (secret, key) = stand.new_key(&ann, here).await;
    assert_eq!(key["allowedAddresses"], json!(["10.0.0.1", "127.0.0.1"]));
    assert_eq!(stand.order_by(&secret).await.0, 200);
    let there = json!({"label": "there", "allowedAddresses": ["10.0.0.1"]});
    let (secret, _) = stand.new_key(&ann, there).await;
    assert_eq!(code(&stand.order_by(&secret).await), (403, "FORBIDDEN"));
    assert_eq!(code(&stand.capital_by(&secret).await), (403, "FORBIDDEN"), "reading neither");

    let behind = exchange.other_gateway("id = 2\ntrusted_proxies = [\"127.0.0.1\"]\n").await;
    assert_eq!(code(&behind.capital_by(&secret).await), (403, "FORBIDDEN"));
    let timestamp = clock::now_ms();
    let text = format!("instruction=balanceQuery&timestamp={timestamp}&window=5000");
    let signature = BASE64.encode(secret.sign(text.as_bytes()).to_bytes());
    for (forwarded, status) in [("10.0.0.1", 200), ("10.0.0.1, 9.9.9.9", 403), ("x", 403)] {
        let headers = format!(
            "X-API-Key: {}\r\nX-Signature: {signature}\r\nX-Timestamp: {timestamp}\r\n\
             X-Forwarded-For: {forwarded}\r\n",
            public(&secret)
        );
        let answer = behind.json("GET", "/api/v1/capital", &headers, "").await;
        assert_eq!(answer.0, status, "{forwarded}: {}", answer.1);
    }
}

#[tokio::test]
async fn a_revoked_key_signs_nothing_anywhere_within_a_second() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let other = exchange.other_gateway("id = 2\n").await;
    let app = other.app.clone();
    let following = tokio::spawn(async move { app.keys.follow(|_| ()).await });
    let ann = stand.browser("signup", "ann@example.org").await;
    let (secret, _) = stand.new_key(&ann, json!({"label": "bot"})).await;
    assert_eq!(other.capital_by(&secret).await.0, 200, "known everywhere at once");

    let bob = stand.browser("signup", "bob@example.org").await;
    let body = json!({"publicKey": public(&secret)});
    let foreign = stand.keys("DELETE", &bob, &body).await;
    assert_eq!(code(&foreign), (404, "RESOURCE_NOT_FOUND"), "not his");
    assert_eq!(stand.capital_by(&secret).await.0, 200);

    assert_eq!(stand.keys("DELETE", &ann, &body).await.0, 200);
    let revoked_at = clock::now_ms();
    assert_eq!(code(&stand.capital_by(&secret).await), (401, "UNAUTHORIZED"), "here at once");
    while other.capital_by(&secret).await.0 != 401 {
        assert!(clock::now_ms() < revoked_at + 1_000, "the other gateway took over a second");
    }
    following.abort();
    assert_eq!(code(&stand.keys("DELETE", &ann, &body).await), (404, "RESOURCE_NOT_FOUND"));
    assert_eq!(stand.keys("GET", &ann, &Value::Null).await.1, json!([]));
    let again = json!({"label": "bot", "publicKey": public(&secret)});
    for browser in [&ann, &bob] {
        let refused = stand.keys("POST", browser, &again).await;
        assert_eq!(code(&refused), (409, "PRECONDITION_FAILED"), "never comes back");
    }
}

#[tokio::test]
async fn a_key_is_added_whole_or_not_at_all() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let ann = stand.browser("signup", "ann@example.org").await;
    let long = "x".repeat(201);
    for (body, field) in [
        (json!({}), "label: "),
        (json!({"label": ""}), "label: "),
        (json!({"label": long}), "label: "),
        (json!({"label": "a\u{0}b"}), "label: "),
        (json!({"label": "a\r\nSet-Cookie: b=c"}), "label: "),
        (json!({"label": 5}), "label: "),
        (json!({"label": "x", "publicKey": "AAAA"}), "publicKey: "),
        (json!({"label": "x", "publicKey": BASE64.encode([0; 32])}), "publicKey: "),
        (json!({"label": "x", "readOnly": "yes"}), "readOnly: "),
        (json!({"label": "x", "allowedAddresses": "10.0.0.1"}), "allowedAddresses: "),
        (json!({"label": "x", "allowedAddresses": ["'; --"]}), "allowedAddresses: "),
    ] {
        let refused = stand.keys("POST", &ann, &body).await;
        assert_eq!(code(&refused), (400, "INVALID_CLIENT_REQUEST"), "{body}");
        assert!(refused.1["message"].as_str().unwrap().starts_with(field), "{}", refused.1);
    }
    assert_eq!(exchange.count("SELECT count(*) FROM api_keys").await, 0);

    exchange
        .postgres
        .execute(
            "INSERT INTO api_keys (public_key, account_id) \
             SELECT sha256(n::text::bytea), 5 FROM generate_series(1, 49) n",
        )
        .await;
    let bodies = ["1", "2", "3"].map(|label| json!({ "label": label }));
    let tries = bodies.iter().map(|body| stand.keys("POST", &ann, body));
    let answers = futures_util::future::join_all(tries).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.0).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409], "fifty and no more, also at the same time");
    assert_eq!(exchange.count("SELECT count(*) FROM api_keys").await, 50);
}

#[tokio::test]
async fn a_signature_is_good_for_its_own_request_and_time_alone() {
    let exchange = Exchange::start("").await;
    let stand = &exchange.stand;
    let decided = exchange.engine.state().decided;
    let order = ("POST", "/api/v1/order");
    let other = stand.signed(order, "orderCancel", ORDER_SIGNED, ORDER).await;
    assert_eq!(code(&other), (401, "INVALID_SIGNATURE"), "of another instruction");
    let dearer = ORDER_SIGNED.replace("19", "18");
    let other = stand.signed(order, "orderExecute", &dearer, ORDER).await;
    assert_eq!(code(&other), (401, "INVALID_SIGNATURE"), "of another price");
    let more = ORDER.replace('}', r#","postOnly":true}"#);
    let other = stand.signed(order, "orderExecute", ORDER_SIGNED, &more).await;
    assert_eq!(code(&other), (401, "INVALID_SIGNATURE"), "with a member added");

    let sent =
        |at: u64| stand.signed_at(&stand.secret, at, order, "orderExecute", ORDER_SIGNED, ORDER);
    let late = sent(clock::now_ms() - 5_500).await;
    assert_eq!((late.0, &late.1["message"]), (400, &json!("Request has expired")));
    let early = sent(clock::now_ms() + 60_000).await;
    assert_eq!(code(&early), (400, "INVALID_CLIENT_REQUEST"));
    assert_eq!(exchange.engine.state().decided, decided);

    // A session beside a bad signature does not make it good.
    let ann = stand.browser("signup", "ann@example.org").await;
    let signature = BASE64.encode([1; 64]);
    let headers = format!(
        "{}X-API-Key: {}\r\nX-Signature: {signature}\r\nX-Timestamp: {}\r\n",
        ann.headers(),
        public(&stand.secret),
        clock::now_ms()
    );
    let refused = stand.json("GET", "/api/v1/capital", &headers, "").await;
    assert_eq!(code(&refused), (401, "INVALID_SIGNATURE"));
}
