//! The administrator's surface.

use io_gateway::link::Health;
use serde_json::{Value, json};
use xtask::private_servers::Server;

use crate::Stand;
use crate::fake_engine;
use crate::migrated_postgres::MigratedPostgres;

const TOKEN: &str = "Authorization: Bearer a-token-for-the-tests\r\n";

#[tokio::test]
async fn an_administrator_opens_accounts_funds_them_and_leaves_a_trace() {
    let redis = Server::redis("gateway").unwrap();
    let postgres = MigratedPostgres::start().await;
    let _engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = Stand::start_with(&redis.url, postgres.url()).await;
    stand.eventually(Health::is_whole).await;
    let post = async |path: &str, body: &str| {
        stand.json("POST", &format!("/admin/v1/accounts{path}"), TOKEN, body).await
    };

    assert_eq!(post("", r#"{"label":"alice"}"#).await.1["id"], "5");
    let key = r#"{"publicKey":"A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="}"#;
    assert_eq!(post("/5/keys", key).await.0, 200);
    assert_eq!(post("/6/keys", key).await.1["code"], "RESOURCE_NOT_FOUND");
    assert_eq!(post("/4/keys", key).await.0, 409);
    assert_eq!(stand.app.keys.len(), 2);

    let deposit = r#"{"asset":"USDC","quantity":"1000.5","transferId":"first"}"#;
    let (status, first) = post("/5/deposits", deposit).await;
    assert_eq!((status, &first["quantity"]), (200, &json!("1000.5")), "{first}");
    assert_eq!(post("/5/deposits", deposit).await, (200, first), "a repetition answers the same");
    for (path, body, expected) in [
        ("/5/deposits", r#"{"asset":"USDC","quantity":"1","transferId":"first"}"#, 409),
        ("/5/withdrawals", r#"{"asset":"USDC","quantity":"1000.5","transferId":"first"}"#, 409),
        ("/5/withdrawals", r#"{"asset":"USDC","quantity":"1","transferId":"second"}"#, 200),
        ("/5/deposits", r#"{"asset":"EUR","quantity":"1","transferId":"x"}"#, 400),
        ("/5/deposits", r#"{"asset":"USDC","quantity":"0.0000001","transferId":"x"}"#, 400),
        ("/5/deposits", r#"{"asset":"USDC","quantity":"1","transferId":""}"#, 400),
        ("/0/deposits", r#"{"asset":"USDC","quantity":"1","transferId":"x"}"#, 400),
        ("/x/deposits", deposit, 400),
        ("/5/deposits", "[]", 400),
    ] {
        let (status, answer) = post(path, body).await;
        assert_eq!(status, expected, "{path} {body}: {answer}");
    }
    let (_, capital) = stand.json("GET", "/admin/v1/accounts/5/capital", TOKEN, "").await;
    assert_eq!(capital["USDC"]["available"], "1.5");
    let (_, orders) = stand.json("GET", "/admin/v1/accounts/5/orders", TOKEN, "").await;
    assert_eq!(orders[0]["symbol"], "SOL_USDC");
    assert_eq!(stand.json("POST", "/admin/v1/accounts", "", "{}").await.0, 401);

    let traces: Vec<(String, i16)> =
        sqlx::query_as("SELECT path, status FROM admin_audit ORDER BY id")
            .fetch_all(&postgres.pool)
            .await
            .unwrap();
    assert_eq!(traces.len(), 17, "every call but the one without the token");
    assert_eq!(traces[0], ("/admin/v1/accounts".to_owned(), 200));
    assert_eq!(traces[2], ("/admin/v1/accounts/6/keys".to_owned(), 404));
}

async fn order_book_state(stand: &Stand) -> Value {
    stand.json("GET", "/api/v1/market?symbol=SOL_USDC", "", "").await.1["orderBookState"].clone()
}

#[tokio::test]
async fn an_administrator_halts_and_reopens_a_market_and_sees_that_the_books_add_up() {
    let redis = Server::redis("gateway").unwrap();
    let postgres = MigratedPostgres::start().await;
    let engine = fake_engine::run(&redis, &["SOL_USDC", "BTC_USDC"]).await;
    let stand = Stand::start_with(&redis.url, postgres.url()).await;
    stand.eventually(Health::is_whole).await;
    let patch = async |symbol: &str, body: &str| {
        let path = format!("/admin/v1/markets/{symbol}");
        stand.json("PATCH", &path, TOKEN, body).await
    };

    assert_eq!(order_book_state(&stand).await, "Open");
    let (status, changed) = patch("SOL_USDC", r#"{"orderBookState":"CancelOnly"}"#).await;
    assert_eq!((status, &changed["orderBookState"]), (200, &json!("CancelOnly")), "{changed}");
    assert_eq!((&changed["symbol"], &changed["sequence"]), (&json!("SOL_USDC"), &json!("101")));
    assert_eq!(order_book_state(&stand).await, "CancelOnly", "at once");
    let (_, markets) = stand.json("GET", "/api/v1/markets", "", "").await;
    assert_eq!(markets[1]["orderBookState"], "Open");
    let (status, error) = stand.place("19", "1").await;
    assert_eq!((status, &error["code"]), (400, &json!("TRADING_PAUSED")));
    assert_eq!(patch("SOL_USDC", r#"{"orderBookState":"Open"}"#).await.0, 200);
    assert_eq!(stand.place("19", "1").await.0, 200);

    for (symbol, body, code) in [
        ("SOL_USDC", r#"{"fees":{"makerFeeBps":"10001"}}"#, "INVALID_CLIENT_REQUEST"),
        ("SOL_USDC", r#"{"filters":{"price":{"maxMultiplier":"0.5"}}}"#, "INVALID_CLIENT_REQUEST"),
        ("SOL_USDC", r#"{"orderBookState":"open"}"#, "INVALID_CLIENT_REQUEST"),
        ("SOL_USDC", "{}", "INVALID_CLIENT_REQUEST"),
        ("SOL_EUR", r#"{"orderBookState":"Open"}"#, "INVALID_CLIENT_REQUEST"),
    ] {
        let (status, error) = patch(symbol, body).await;
        assert_eq!((status, &error["code"]), (400, &json!(code)), "{symbol} {body}");
    }
    for state in ["Closed", "LimitOnly", "PostOnly", "Open"] {
        let body = format!(r#"{{"orderBookState":"{state}","fees":{{"takerFeeBps":"5"}}}}"#);
        let (status, changed) = patch("SOL_USDC", &body).await;
        assert_eq!((status, &changed["orderBookState"]), (200, &json!(state)), "{changed}");
    }
    let (_, error) = patch("SOL_USDC", r#"{"orderBookState":"Paused"}"#).await;
    assert!(error["message"].as_str().unwrap().starts_with("orderBookState: must be one of"));

    let path = "/admin/v1/audit/conservation";
    let (status, books) = stand.json("GET", path, TOKEN, "").await;
    let usdc = json!({
        "asset": "USDC", "deposits": "10", "withdrawals": "1", "available": "6", "locked": "2.5",
        "held": "2.5", "fees": "0.5", "difference": "0", "holds": true,
    });
    assert_eq!((status, &books["assets"]), (200, &json!([usdc])), "{books}");
    assert_eq!((&books["holds"], books["sequence"].is_string()), (&json!(true), true));
    assert_eq!(stand.json("GET", path, "", "").await.0, 401);

    // Changed by another: seen within a second.
    engine.state().set_book_state(1, protocol::BookState::CancelOnly);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(order_book_state(&stand).await, "CancelOnly");
    drop(redis);
    stand.eventually(|health| !health.redis).await;
    assert_eq!(order_book_state(&stand).await, "CancelOnly", "the last known");
}
