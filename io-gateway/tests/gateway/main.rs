//! The gateway over real HTTP and a real Redis, with an engine of a few rules behind it.

#![allow(clippy::unwrap_used)] // A test that cannot go on says where.

mod account_keys;
mod account_pages;
mod administration;
mod browser_accounts;
mod capital;
mod changing;
mod database;
mod deposits;
mod fake_engine;
mod fills;
mod limits;
mod migrated_postgres;
mod order_history;
mod resending;
mod stream_access;
mod trade_pages;
mod withdrawals;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Parser;
use ed25519_dalek::{Signer, SigningKey};
use fake_engine::order_id;
use io_gateway::app::{App, SharedApp};
use io_gateway::config::{Args, Config};
use io_gateway::keys::{ApiKey, KeyLimits};
use io_gateway::link::Health;
use io_gateway::{clock, routes, server};
use protocol::fixture::LISTING_TOML;
use protocol::{AccountId, MarketId};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xtask::private_servers::Server;

const CONFIG: &str = r#"
[redis]
url = "redis://127.0.0.1:1/"
[database]
url = "postgres://nobody@127.0.0.1:1/nothing"
[gateway]
database_timeout_ms = 200
"#;

struct Stand {
    address: std::net::SocketAddr,
    app: SharedApp,
    secret: SigningKey,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Stand {
    /// A gateway on a free port that talks to `redis_url`; the key of account 7 is known to it.
    async fn start(redis_url: &str) -> Stand {
        Stand::start_with(redis_url, "postgres://nobody@127.0.0.1:1/nothing").await
    }

    async fn start_with(redis_url: &str, database_url: &str) -> Stand {
        Stand::start_set(redis_url, database_url, "reply_timeout_ms = 400\n").await
    }

    /// With settings of its own.
    async fn start_set(redis_url: &str, database_url: &str, settings: &str) -> Stand {
        let folder = tempfile::tempdir().unwrap();
        let config = [CONFIG, settings, LISTING_TOML].concat();
        std::fs::write(folder.path().join("exchange.toml"), config).unwrap();
        std::fs::write(folder.path().join("index.html"), "<p>the client").unwrap();
        let file = folder.path().join("exchange.toml");
        let listen = "127.0.0.1:0";
        let args = ["io-gateway", "--listen", listen, "--config", file.to_str().unwrap()];
        let mut config = Config::load(Args::parse_from(args)).unwrap();
        config.redis_url = redis_url.to_owned();
        config.database_url = database_url.to_owned();
        config.ws_url = Some("ws://127.0.0.1:9/".to_owned());
        config.admin_token = Some("a-token-for-the-tests".to_owned());
        let app = App::new(&config).unwrap();
        let secret = SigningKey::from_bytes(&[7; 32]);
        let verifying = secret.verifying_key();
        let account = AccountId::new(7).unwrap();
        let limits = KeyLimits::default();
        app.keys.insert(verifying.to_bytes(), ApiKey { account, verifying, limits });
        app.link.start(|_| ());
        let listener = server::listen(config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = routes::router(app.clone(), Some(folder.path()));
        let stop = CancellationToken::new();
        let serve = server::serve(listener, router, app.clone(), stop.clone());
        let served = tokio::spawn(async move {
            serve.await;
            drop(folder);
        });
        Stand { address, app, secret, stop, served }
    }

    async fn ready(redis: &Server) -> Stand {
        let stand = Stand::start(&redis.url).await;
        stand.eventually(Health::is_whole).await;
        stand
    }

    async fn eventually(&self, holds: impl Fn(Health) -> bool) {
        for _ in 0..500 {
            if holds(self.app.link.health()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the gateway did not get there: {:?}", self.app.link.health());
    }

    /// Status and body of one request.
    async fn raw(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let (head, body) = self.whole(method, path, headers, body).await;
        (head[9..12].parse().unwrap(), body)
    }

    /// Head and body of the answer to one request.
    async fn whole(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    async fn json(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let (status, text) = self.raw(method, path, headers, body.as_bytes()).await;
        let json = serde_json::from_str(&text);
        (status, json.unwrap_or_else(|error| panic!("{method} {path}: {error}: {text:?}")))
    }

    /// A signed request; `signed` is what stands between instruction and timestamp.
    async fn signed(
        &self,
        (method, path): (&str, &str),
        instruction: &str,
        signed: &str,
        body: &str,
    ) -> (u16, Value) {
        self.signed_at(&self.secret, clock::now_ms(), (method, path), instruction, signed, body)
            .await
    }

    /// As [`Stand::signed`], by another key or at another time.
    async fn signed_at(
        &self,
        secret: &SigningKey,
        timestamp: u64,
        (method, path): (&str, &str),
        instruction: &str,
        signed: &str,
        body: &str,
    ) -> (u16, Value) {
        let pairs = if signed.is_empty() { String::new() } else { format!("{signed}&") };
        let text = format!("instruction={instruction}&{pairs}timestamp={timestamp}&window=5000");
        let signature = BASE64.encode(secret.sign(text.as_bytes()).to_bytes());
        let key = BASE64.encode(secret.verifying_key().to_bytes());
        let headers =
            format!("X-API-Key: {key}\r\nX-Signature: {signature}\r\nX-Timestamp: {timestamp}\r\n");
        self.json(method, path, &headers, body).await
    }

    async fn place(&self, price: &str, quantity: &str) -> (u16, Value) {
        let body = format!(
            r#"{{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit",
                "price":"{price}","quantity":"{quantity}"}}"#
        );
        let signed =
            format!("orderType=Limit&price={price}&quantity={quantity}&side=Bid&symbol=SOL_USDC");
        self.signed(("POST", "/api/v1/order"), "orderExecute", &signed, &body).await
    }
}

#[tokio::test]
async fn orders_are_placed_looked_at_and_cancelled() {
    let redis = Server::redis("gateway").unwrap();
    let _engine = fake_engine::run(&redis, &["SOL_USDC", "BTC_USDC"]).await;
    let stand = Stand::ready(&redis).await;

    let (status, order) = stand.place("20.50", "1.25").await;
    assert_eq!((status, &order["status"]), (200, &json!("Filled")), "{order}");
    assert_eq!(order["executedQuantity"], "1.25");
    assert_eq!(order["executedQuoteQuantity"], "25");
    assert_eq!(order["fills"][0]["feeSymbol"], "SOL");
    assert_eq!(order["createdAt"], 1_767_225_600_123_u64);
    let (_, capital) = stand.signed(("GET", "/api/v1/capital"), "balanceQuery", "", "").await;
    assert_eq!(capital["USDC"]["available"], "1.5");
    assert_eq!(capital["USDC"]["locked"], "0.000101", "asks for what the reply told of");

    let (status, order) = stand.place("19.00", "1").await;
    assert_eq!((status, &order["status"], &order["fills"]), (200, &json!("New"), &json!([])));
    let (status, error) = stand.place("19.00", "6.66").await;
    assert_eq!((status, &error["code"]), (400, &json!("INSUFFICIENT_FUNDS")));
    let (status, error) = stand.place("19.00", "7.77").await;
    assert_eq!((status, &error["code"]), (504, &json!("TIMEOUT")));
    let (status, error) = stand.place("19.005", "1").await;
    assert_eq!((status, &error["message"]), (400, &json!("Price decimal too long")));

    let id = order_id(MarketId(1));
    let pairs = format!("orderId={id}&symbol=SOL_USDC");
    let path = format!("/api/v1/order?symbol=SOL_USDC&orderId={id}");
    let (status, open) = stand.signed(("GET", &path), "orderQuery", &pairs, "").await;
    assert_eq!((status, &open["status"]), (200, &json!("PartiallyFilled")), "{open}");
    let body = format!(r#"{{"symbol":"SOL_USDC","orderId":"{id}"}}"#);
    let delete = ("DELETE", "/api/v1/order");
    let (status, gone) = stand.signed(delete, "orderCancel", &pairs, &body).await;
    assert_eq!((status, &gone["status"]), (200, &json!("Cancelled")), "{gone}");
    let (status, error) = stand.signed(delete, "orderQuery", &pairs, &body).await;
    assert_eq!((status, &error["code"]), (401, &json!("INVALID_SIGNATURE")));
    let all = ("DELETE", "/api/v1/orders");
    let symbol = r#"{"symbol":"SOL_USDC"}"#;
    let (_, gone) = stand.signed(all, "orderCancelAll", "symbol=SOL_USDC", symbol).await;
    assert_eq!(gone.as_array().unwrap().len(), 1);
    let (_, open) = stand.signed(("GET", "/api/v1/orders"), "orderQueryAll", "", "").await;
    assert_eq!(open[0]["id"], id.to_string());
    let (_, account) = stand.signed(("GET", "/api/v1/account"), "accountQuery", "", "").await;
    assert_eq!((&account["limitOrders"], &account["spotTakerFee"]), (&json!(1), &json!("10")));
}

#[tokio::test]
async fn a_batch_answers_each_order_in_its_place() {
    let redis = Server::redis("gateway").unwrap();
    let _engine = fake_engine::run(&redis, &["SOL_USDC", "BTC_USDC"]).await;
    let stand = Stand::ready(&redis).await;
    let orders = [("SOL_USDC", "20"), ("SOL_USDC", "0.001"), ("BTC_USDC", "1"), ("SOL_USDC", "19")];
    let mut rows = Vec::new();
    let mut pairs = Vec::new();
    for (symbol, price) in orders {
        rows.push(format!(
            r#"{{"symbol":"{symbol}","side":"Bid","orderType":"Limit",
                "price":"{price}","quantity":"1"}}"#
        ));
        pairs.push(format!("orderType=Limit&price={price}&quantity=1&side=Bid&symbol={symbol}"));
    }
    let body = format!("[{}]", rows.join(","));
    let signed = pairs.join("&instruction=orderExecute&");
    let (status, answers) =
        stand.signed(("POST", "/api/v1/orders"), "orderExecute", &signed, &body).await;
    assert_eq!(status, 200, "{answers}");
    let found: Vec<_> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["operation"].as_str().unwrap(), it["status"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(found, [("Ok", "Filled"), ("Err", ""), ("Ok", "New"), ("Ok", "New")]);
    assert_eq!(answers[1]["code"], "INVALID_PRICE");
    assert_eq!(answers[2]["symbol"], "BTC_USDC");
}

#[tokio::test]
async fn what_is_malformed_is_refused_in_the_contract_s_shape() {
    let stand = Stand::start("redis://127.0.0.1:1/").await;
    for (method, path, expected) in [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/wapi/v1/history", 404),
        ("POST", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/order", 405),
        ("POST", "/api/v1/time", 405),
        ("GET", "/api/v1/markets/%ff", 400),
        ("GET", "/api/v1/depth?symbol=SOL_EUR", 400),
        ("GET", "/api/v1/depth", 400),
        ("GET", "/api/v1/depth?symbol=SOL_USDC&limit=7", 400),
        ("GET", "/api/v1/klines?symbol=SOL_USDC&interval=1m", 400),
        ("GET", "/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime=99999999999999", 400),
        ("GET", "/api/v1/trades?symbol=SOL_USDC&limit=1001", 400),
        ("GET", "/api/v1/tickers?interval=5d", 400),
        ("GET", "/api/v1/capital", 401),
        ("GET", "/%00", 404),
        ("GET", "/../../etc/passwd", 404),
        ("POST", "/admin/v1/accounts", 401),
        ("GET", "/admin/v1/accounts/5/capital", 401),
        ("GET", "/api/v1/trades?symbol=SOL_USDC", 503),
        ("GET", "/api/v1/depth?symbol=SOL_USDC", 503),
    ] {
        let (status, body) = stand.json(method, path, "", "").await;
        assert_eq!(status, expected, "{method} {path}: {body}");
        assert!(body["code"].is_string() && body["message"].is_string(), "{path}: {body}");
    }
    for body in ["{", "[1]", r#"{"a":1,"a":2}"#, "\u{0}", "[[[[[[[[", "null"] {
        let (status, answer) = stand.json("POST", "/api/v1/order", "", body).await;
        assert_eq!((status, &answer["code"]), (400, &json!("INVALID_CLIENT_REQUEST")), "{body}");
    }
    let (status, body) = stand.raw("POST", "/api/v1/order", "", &vec![b'1'; 2 << 20]).await;
    assert_eq!(status, 413, "{body}");
    assert!(body.contains("INVALID_CLIENT_REQUEST"));
}

#[tokio::test]
async fn what_needs_no_engine_is_answered_without_one() {
    let stand = Stand::start("redis://127.0.0.1:1/").await;
    let (status, time) = stand.raw("GET", "//api/v1/time", "", b"").await;
    assert_eq!((status, time.len()), (200, 13));
    assert_eq!(stand.raw("GET", "/api/v1/ping?", "", b"").await, (200, "pong".to_owned()));
    let (_, markets) = stand.json("GET", "/api/v1/markets", "", "").await;
    assert_eq!(markets[1]["symbol"], "BTC_USDC");
    let path = "/api/v1/markets?marketType=PERP";
    assert_eq!(stand.json("GET", path, "", "").await.1, json!([]));
    let (_, one) = stand.json("GET", "/api/v1/markets/SOL_USDC", "", "").await;
    assert_eq!(one, stand.json("GET", "/api/v1/market?symbol=SOL_USDC", "", "").await.1);
    let (_, assets) = stand.json("GET", "/api/v1/assets", "", "").await;
    assert_eq!(assets[0]["tokens"][0]["nativeDecimals"], 6);
    for path in ["/api/v1/securities", "/api/v1/borrowLend/markets", "/api/v1/wallets"] {
        assert_eq!(stand.json("GET", path, "", "").await, (200, json!([])), "{path}");
    }
    let (_, status) = stand.json("GET", "/api/v1/status", "", "").await;
    assert_eq!(status["status"], "Maintenance");
    assert_eq!(stand.raw("GET", "/", "", b"").await, (200, "<p>the client".to_owned()));
    let (_, config) = stand.json("GET", "/web/config.json", "", "").await;
    assert_eq!(config["wsUrl"], "ws://127.0.0.1:9/");
}

#[tokio::test]
async fn without_engine_or_redis_orders_are_turned_away_at_once_and_later_taken_again() {
    let redis = Server::redis("gateway").unwrap();
    let stand = Stand::start(&redis.url).await;
    stand.eventually(|health| health.redis).await;
    let (status, error) = stand.place("19", "1").await;
    assert_eq!((status, &error["code"]), (503, &json!("MAINTENANCE")));
    let mut connection = fake_engine::connect(&redis).await;
    let queued: u64 =
        redis::cmd("XLEN").arg("orders:{SOL_USDC}").query_async(&mut connection).await.unwrap();
    assert_eq!(queued, 0, "nothing is queued that nobody would answer");

    let _engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    stand.eventually(Health::is_whole).await;
    assert_eq!(stand.place("19", "1").await.0, 200);
    let (_, depth) = stand.json("GET", "/api/v1/depth?symbol=SOL_USDC", "", "").await;
    assert_eq!(depth["bids"], json!([["19.99", "0.05"]]));
    let (_, ticker) = stand.json("GET", "/api/v1/ticker?symbol=SOL_USDC", "", "").await;
    assert_eq!((&ticker["lastPrice"], &ticker["trades"]), (&json!("0"), &json!("0")));

    drop(redis);
    stand.eventually(|health| !health.redis).await;
    let (status, error) = stand.place("19", "1").await;
    assert_eq!((status, &error["code"]), (503, &json!("MAINTENANCE")));
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight() {
    let redis = Server::redis("gateway").unwrap();
    let _engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = Arc::new(Stand::ready(&redis).await);
    // Never answered: in flight until its own deadline.
    let asking = Arc::clone(&stand);
    let unanswered = tokio::spawn(async move { asking.place("19", "7.77").await.0 });
    while stand.app.link.decisions_waiting() == 0 {
        tokio::task::yield_now().await;
    }
    stand.stop.cancel();
    assert_eq!(unanswered.await.unwrap(), 504);
    let stand = Arc::into_inner(stand).unwrap();
    stand.served.await.unwrap();
    assert!(TcpStream::connect(stand.address).await.is_err());
}
