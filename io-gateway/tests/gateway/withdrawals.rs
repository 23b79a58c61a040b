//! Withdrawals: asked for, debited once, and told of with their address whatever happens between.

use io_gateway::link::Health;
use io_gateway::transfers::{Destination, Transfers, WithdrawalRequest, transfer_of};
use protocol::{AccountId, AssetId, Units};
use serde_json::{Value, json};
use xtask::private_servers::Server;

use crate::Stand;
use crate::deposits::transfer;
use crate::fake_engine::{self, FakeEngine};
use crate::migrated_postgres::MigratedPostgres;

const PATH: &str = "/wapi/v1/capital/withdrawals";

/// Members of a request, sorted by name, values as JSON.
type Members<'a> = &'a [(&'a str, &'a str)];

impl Stand {
    async fn withdraw(&self, members: Members<'_>) -> (u16, Value) {
        let json: Vec<_> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let pairs: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("{name}={}", value.trim_matches('"')))
            .collect();
        let body = format!("{{{}}}", json.join(","));
        self.signed(("POST", PATH), "withdraw", &pairs.join("&"), &body).await
    }

    /// Of USDC, to one address.
    async fn withdraw_usdc(&self, client_id: &str, quantity: &str) -> (u16, Value) {
        let client_id = format!("\"{client_id}\"");
        let quantity = format!("\"{quantity}\"");
        self.withdraw(&[
            ("address", "\"there\""),
            ("blockchain", "\"Solana\""),
            ("clientId", &client_id),
            ("quantity", &quantity),
            ("symbol", "\"USDC\""),
        ])
        .await
    }

    async fn withdrawals(&self, query: &str) -> Vec<Value> {
        let path = format!("{PATH}?{query}");
        let (status, rows) = self.signed(("GET", &path), "withdrawalQueryAll", query, "").await;
        assert_eq!(status, 200, "{query}: {rows}");
        rows.as_array().unwrap().clone()
    }

    async fn withdrawn(&self, query: &str) -> Vec<String> {
        let quantity = |row: &Value| row["quantity"].as_str().unwrap().to_owned();
        self.withdrawals(query).await.iter().map(quantity).collect()
    }
}

struct World {
    /// Ends with the test.
    _redis: Server,
    postgres: MigratedPostgres,
    engine: FakeEngine,
    stand: Stand,
}

async fn world() -> World {
    let redis = Server::redis("gateway").unwrap();
    let postgres = MigratedPostgres::start().await;
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = Stand::start_with(&redis.url, postgres.url()).await;
    stand.eventually(Health::is_whole).await;
    World { _redis: redis, postgres, engine, stand }
}

impl World {
    /// What the sink does when the engine has debited a client's withdrawal.
    async fn sink(&self, client_id: &str, units: u64) {
        let id = transfer_of(AccountId::new(7).unwrap(), client_id);
        let row = format!("7, 2, 1, now(), 50, {units}, '{:032x}'", id.0);
        transfer(&self.postgres, &row).await;
    }

    async fn rows(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM withdrawal_requests");
        count.fetch_one(&self.postgres.pool).await.unwrap()
    }
}

#[tokio::test]
async fn a_withdrawal_is_debited_once_and_then_confirmed() {
    let world = world().await;
    let stand = &world.stand;
    let (status, first) = stand
        .withdraw(&[
            ("address", "\"GwXq://somewhere 7\""),
            ("autoBorrow", "false"),
            ("blockchain", "\"Solana\""),
            ("clientId", "41"),
            ("quantity", "1.25"),
            ("symbol", "\"USDC\""),
            ("twoFactorToken", "\"123456\""),
        ])
        .await;
    let mut expected = json!({
        "id": 1, "blockchain": "Solana", "clientId": "41", "identifier": null,
        "quantity": "1.25", "fee": "0", "symbol": "USDC", "status": "pending",
        "toAddress": "GwXq://somewhere 7", "createdAt": first["createdAt"],
        "isInternal": false, "transactionHash": null, "fiatFee": null, "fiatState": null,
        "fiatSymbol": null, "providerId": null, "subaccountId": null, "bankName": null,
        "bankIdentifier": null, "accountIdentifier": null, "triggerAt": null,
    });
    assert_eq!((status, &first), (200, &expected), "{first:#}");
    let created_at = first["createdAt"].as_str().unwrap();
    assert!(created_at.len() == 23 && created_at.contains('T'), "{created_at}");
    assert_eq!(stand.withdrawals("").await, [expected.clone()], "before the sink has it");
    assert_eq!(world.engine.state().decided, 1);

    world.sink("41", 1_250_000).await;
    expected["status"] = json!("confirmed");
    assert_eq!(stand.withdrawals("clientId=41").await, [expected.clone()]);
    assert_eq!(stand.withdrawals("id=1").await, [expected.clone()]);
    for query in ["clientId=42", "id=2", "id=4294967296", "limit=0", "offset=1", "to=1"] {
        assert!(stand.withdrawals(query).await.is_empty(), "{query}");
    }
    let same = [
        ("address", "\"GwXq://somewhere 7\""),
        ("blockchain", "\"Solana\""),
        ("clientId", "\"41\""),
        ("quantity", "\"1.25\""),
        ("symbol", "\"USDC\""),
    ];
    assert_eq!(stand.withdraw(&same).await, (200, expected), "a repetition is the same one");
    for (at, other) in [(0, "\"elsewhere\""), (3, "\"1.24\"")] {
        let mut members = same;
        members[at].1 = other;
        let (status, error) = stand.withdraw(&members).await;
        assert_eq!((status, &error["code"]), (409, &json!("PRECONDITION_FAILED")), "{error}");
    }
    assert_eq!(world.engine.state().decided, 1, "the engine was not asked again");
    // Without a name every request is another withdrawal.
    let unnamed = [same[0], same[1], ("quantity", "\"0.1\""), same[4]];
    let ids = [stand.withdraw(&unnamed).await.1, stand.withdraw(&unnamed).await.1];
    assert!(ids[0]["clientId"].is_null() && ids[0]["id"] != ids[1]["id"], "{ids:?}");
    assert_eq!(world.engine.state().decided, 3);
    assert_eq!(stand.withdrawn("").await, ["0.1", "0.1", "1.25"]);
    assert_eq!(stand.withdrawn("limit=1&offset=2").await, ["1.25"]);
}

#[tokio::test]
async fn what_is_refused_is_no_withdrawal_and_leaves_nothing() {
    let world = world().await;
    let stand = &world.stand;
    // Known beforehand, and known to the engine alone.
    for quantity in ["1.500001", "0.000666"] {
        let (status, error) = stand.withdraw_usdc("a", quantity).await;
        assert_eq!((status, &error["code"]), (400, &json!("INSUFFICIENT_FUNDS")), "{quantity}");
        assert_eq!(world.rows().await, 0);
    }
    let good = [
        ("address", "\"x\""),
        ("blockchain", "\"Solana\""),
        ("quantity", "\"1\""),
        ("symbol", "\"USDC\""),
    ];
    for (at, value, code) in [
        (0, "\"\"", "INVALID_CLIENT_REQUEST"),
        (0, "7", "INVALID_CLIENT_REQUEST"),
        (1, "\"solana\"", "INVALID_CLIENT_REQUEST"),
        (1, "\"Bitcoin\"", "INVALID_CLIENT_REQUEST"),
        (2, "\"0\"", "INVALID_QUANTITY"),
        (2, "\"-1\"", "INVALID_QUANTITY"),
        (2, "\"0.0000001\"", "INVALID_QUANTITY"),
        (2, "\"1e3\"", "INVALID_CLIENT_REQUEST"),
        (2, "\"99999999999999999999\"", "INVALID_QUANTITY"),
        (3, "\"EUR\"", "INVALID_ASSET"),
        (3, "\"SOL\"", "INSUFFICIENT_FUNDS"),
    ] {
        let mut members = good;
        members[at].1 = value;
        let (status, error) = stand.withdraw(&members).await;
        assert_eq!((status, &error["code"]), (400, &json!(code)), "{members:?}: {error}");
    }
    for left_out in 0..good.len() {
        let mut members = good.to_vec();
        let (name, _) = members.remove(left_out);
        let (status, error) = stand.withdraw(&members).await;
        assert_eq!((status, &error["message"]), (400, &json!(format!("{name}: is required"))));
    }
    for client_id in ["\"\"", "true", &format!("\"{}\"", "x".repeat(256))] {
        let members = [good[0], good[1], ("clientId", client_id), good[2], good[3]];
        let (status, error) = stand.withdraw(&members).await;
        assert!(status == 400 && error["message"].as_str().unwrap().starts_with("clientId"));
    }
    assert_eq!(world.rows().await, 0);
    assert!(stand.withdrawals("").await.is_empty());
    assert_eq!(stand.withdraw_usdc("a", "1").await.0, 200, "the name is free again");
}

#[tokio::test]
async fn no_address_is_lost_when_the_answer_is() {
    let world = world().await;
    let stand = &world.stand;
    world.engine.state().faults.lose_replies = usize::MAX;
    let (status, error) = stand.withdraw_usdc("a", "1").await;
    assert_eq!((status, &error["code"]), (504, &json!("TIMEOUT")), "{error}");
    assert_eq!(world.rows().await, 1);
    assert!(stand.withdrawals("").await.is_empty(), "nobody knows yet");
    world.engine.state().faults.lose_replies = 0;
    let (status, again) = stand.withdraw_usdc("a", "1").await;
    assert_eq!((status, &again["id"]), (200, &json!(1)), "{again}");
    assert_eq!(world.engine.state().decided, 2, "asked again, under the same transfer's name");
    assert_eq!(stand.withdrawn("").await, ["1"]);

    // As if the gateway had ended after asking the engine: the sink's row alone tells.
    world.postgres.execute("UPDATE withdrawal_requests SET debited_at = NULL").await;
    assert!(stand.withdrawals("").await.is_empty());
    world.sink("a", 1_000_000).await;
    let rows = stand.withdrawals("").await;
    assert_eq!((&rows[0]["status"], &rows[0]["toAddress"]), (&json!("confirmed"), &json!("there")));

    // What the operator takes has no request.
    transfer(
        &world.postgres,
        "7, 2, 1, '2026-01-01T00:00:00Z', 60, 5, 'ff000000000000000000000000000000'",
    )
    .await;
    let rows = stand.withdrawals("").await;
    let taken = &rows[1];
    assert_eq!(
        (&taken["quantity"], &taken["toAddress"]),
        (&json!("0.000005"), &json!("administrator"))
    );
    assert_eq!((&taken["isInternal"], &taken["blockchain"]), (&json!(true), &json!("Solana")));
    assert_eq!(stand.withdrawn("to=1767225600000").await, ["0.000005"]);
}

#[tokio::test]
async fn a_refusal_does_not_forget_what_another_asks_for() {
    let postgres = MigratedPostgres::start().await;
    let transfers = Transfers::new(postgres.pool.clone());
    let account = AccountId::new(7).unwrap();
    let request = WithdrawalRequest {
        account,
        asset: AssetId(1),
        units: Units(5),
        destination: Destination { blockchain: "Solana".into(), address: "x".into() },
        client_id: Some("a".into()),
        transfer: transfer_of(account, "a"),
    };
    let number = transfers.request(&request).await.unwrap().withdrawal.number;
    assert_eq!(transfers.request(&request).await.unwrap().withdrawal.number, number);
    transfers.forget(number).await;
    assert!(transfers.requested(request.transfer).await.unwrap().is_some(), "two have asked");

    let single = WithdrawalRequest { transfer: transfer_of(account, "b"), ..request };
    let number = transfers.request(&single).await.unwrap().withdrawal.number;
    transfers.note_debited(number).await;
    transfers.forget(number).await;
    let kept = transfers.requested(single.transfer).await.unwrap().unwrap();
    assert!(kept.is_debited && !kept.withdrawal.is_confirmed && kept.is_same(&single));
}
