//! What came into an account, where it could be sent, and what is told without a database.

use serde_json::{Value, json};
use xtask::private_servers::Server;

use crate::Stand;
use crate::fake_engine;
use crate::migrated_postgres::MigratedPostgres;

impl Stand {
    async fn deposits(&self, query: &str) -> (u16, Value) {
        let path = format!("/wapi/v1/capital/deposits?{query}");
        self.signed(("GET", &path), "depositQueryAll", query, "").await
    }

    async fn deposited(&self, query: &str) -> Vec<String> {
        let (status, rows) = self.deposits(query).await;
        assert_eq!(status, 200, "{query}: {rows}");
        let quantity = |row: &Value| row["quantity"].as_str().unwrap().to_owned();
        rows.as_array().unwrap().iter().map(quantity).collect()
    }
}

/// A transfer as the sink writes it.
pub async fn transfer(postgres: &MigratedPostgres, row: &str) {
    let columns = "account_id, kind, asset_id, ts, sequence, units, transfer_id";
    postgres.execute(&format!("INSERT INTO transfers ({columns}) VALUES ({row})")).await;
}

#[tokio::test]
async fn deposits_are_told_newest_first_and_to_the_last_digit() {
    let redis = Server::redis("gateway").unwrap();
    let postgres = MigratedPostgres::start().await;
    let id = |number: u8| format!("'{number:032x}'");
    for row in [
        format!("7, 1, 1, '2026-01-01T00:00:01.123456Z', 1, 1500001, {}", id(1)),
        format!("7, 1, 2, '2026-01-01T00:00:02Z', 2, 4611686018427387904, {}", id(2)),
        format!("7, 2, 1, '2026-01-01T00:00:02Z', 3, 5, {}", id(3)),
        format!("8, 1, 1, '2026-01-01T00:00:02Z', 4, 5, {}", id(4)),
        format!("7, 1, 1, '2026-01-01T00:00:02Z', 5, 2000000, {}", id(5)),
    ] {
        transfer(&postgres, &row).await;
    }
    let stand = Stand::start_with(&redis.url, postgres.url()).await;

    let (status, rows) = stand.deposits("").await;
    let deposit = |id: i32, symbol: &str, quantity: &str, created_at: &str| {
        json!({
            "id": id, "source": "administrator", "status": "confirmed", "symbol": symbol,
            "quantity": quantity, "createdAt": created_at, "toAddress": null,
            "fromAddress": null, "transactionHash": null, "fiatAmount": null,
            "fiatCurrency": null, "institutionBic": null, "platformMemo": null,
        })
    };
    let expected = json!([
        deposit(5, "USDC", "2", "2026-01-01T00:00:02.000"),
        deposit(2, "SOL", "4611686018.427387904", "2026-01-01T00:00:02.000"),
        deposit(1, "USDC", "1.500001", "2026-01-01T00:00:01.123"),
    ]);
    assert_eq!((status, &rows), (200, &expected), "{rows:#}");

    let start = 1_767_225_600_000_u64;
    for (query, expected) in [
        ("limit=1&offset=1".to_owned(), vec!["4611686018.427387904"]),
        ("limit=0".to_owned(), vec![]),
        (format!("from={}", start + 2000), vec!["2", "4611686018.427387904"]),
        (format!("from={start}&to={}", start + 1123), vec!["1.500001"]),
        (format!("from={}&to={}", start + 1124, start + 1999), vec![]),
        // Made up by one client for `to`, and of no effect here.
        (format!("endTime={start}&from={}&limit=1", start + 2000), vec!["2"]),
        ("excludePlatform=true".to_owned(), vec!["2", "4611686018.427387904", "1.500001"]),
    ] {
        assert_eq!(stand.deposited(&query).await, expected, "{query}");
    }
    for query in ["limit=1001", "offset=1000001", "from=x", "to=1.5"] {
        let (status, error) = stand.deposits(query).await;
        assert_eq!((status, &error["code"]), (400, &json!("INVALID_CLIENT_REQUEST")), "{query}");
    }
}

#[tokio::test]
async fn an_account_has_one_address_on_each_chain() {
    let stand = Stand::start("redis://127.0.0.1:1/").await;
    let address = async |query: &str| {
        let path = format!("/wapi/v1/capital/deposit/address?{query}");
        stand.signed(("GET", &path), "depositAddressQuery", query, "").await
    };
    let solana = "37TERYNvwADuggZb6SU9S4XyadxKxTiyfpGJiEZEV97a";
    assert_eq!(address("blockchain=Solana").await, (200, json!({ "address": solana })));
    assert_eq!(address("blockchain=Solana").await.1["address"], solana);
    for query in ["", "blockchain=solana", "blockchain=", "blockchain=Nowhere"] {
        let (status, error) = address(query).await;
        assert_eq!((status, &error["code"]), (400, &json!("INVALID_CLIENT_REQUEST")), "{query}");
        assert!(error["message"].as_str().unwrap().starts_with("blockchain: "), "{error}");
    }
}

#[tokio::test]
async fn without_the_database_history_is_not_told_and_trading_goes_on() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = Stand::ready(&redis).await;
    for (path, instruction) in [
        ("/wapi/v1/history/orders", "orderHistoryQueryAll"),
        ("/wapi/v1/history/fills", "fillHistoryQueryAll"),
        ("/wapi/v1/capital/deposits", "depositQueryAll"),
        ("/wapi/v1/capital/withdrawals", "withdrawalQueryAll"),
        ("/api/v1/trades?symbol=SOL_USDC", ""),
        ("/api/v1/trades/history?symbol=SOL_USDC", ""),
        ("/api/v1/klines?interval=1m&startTime=1767225600&symbol=SOL_USDC", ""),
    ] {
        let (status, error) = stand.signed(("GET", path), instruction, "", "").await;
        assert_eq!((status, &error["code"]), (503, &json!("MAINTENANCE")), "{path}: {error}");
    }
    for client_id in ["", r#","clientId":"a""#] {
        let body = format!(
            r#"{{"symbol":"USDC","blockchain":"Solana","quantity":"1","address":"x"{client_id}}}"#
        );
        let named = if client_id.is_empty() { "" } else { "&clientId=a" };
        let signed = format!("address=x&blockchain=Solana{named}&quantity=1&symbol=USDC");
        let post = ("POST", "/wapi/v1/capital/withdrawals");
        let (status, error) = stand.signed(post, "withdraw", &signed, &body).await;
        assert_eq!((status, &error["code"]), (503, &json!("MAINTENANCE")), "{error}");
    }
    assert_eq!(engine.state().decided, 0, "no withdrawal reached the engine");
    assert_eq!(stand.place("19", "1").await.0, 200);
    let (status, _) = stand.signed(("GET", "/api/v1/capital"), "balanceQuery", "", "").await;
    assert_eq!(status, 200);
}
