//! The history of orders: the database's rows and what it has not got yet, as one list.

use io_gateway::link::Health;
use protocol::{
    AccountId, ClientId, ClosedReason, FinishedOrder, Lots, MarketId, OrderId, OrderKind, Price,
    SelfTradePrevention, Sequence, Side, TimeInForce, Units,
};
use serde_json::{Value, json};
use xtask::private_servers::Server;

use crate::Stand;
use crate::fake_engine::{self, order_id};
use crate::migrated_postgres::MigratedPostgres;

/// 2026-01-01 00:00:00 UTC.
const START_US: u64 = 1_767_225_600_000_000;

fn order(slot: u32) -> OrderId {
    OrderId::from_parts(MarketId(1), slot, 1).unwrap()
}

/// Ended by frame `ended`, `ended` seconds after the start.
fn live(slot: u32, ended: u64, reason: Option<ClosedReason>) -> FinishedOrder {
    FinishedOrder {
        order: order(slot),
        account: AccountId::new(7).unwrap(),
        client_id: Some(ClientId(slot)),
        market: MarketId(1),
        side: Side::Bid,
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectTaker,
        kind: OrderKind::Limit {
            price: Price::from_ticks(2050).unwrap(),
            lots: Lots(300),
            post_only: false,
        },
        lots_left: Lots(200),
        executed: Lots(100),
        executed_quote: Units(20_500_000),
        reason,
        refusal: None,
        triggered: None,
        created_us: START_US + 123_456,
        ended: Sequence(ended),
        ended_us: START_US + ended * 1_000_000,
    }
}

/// An order that rests, is filled in two steps, and one that is cancelled; as the sink writes them.
async fn store(postgres: &MigratedPostgres) {
    let id = |slot| order(slot).get();
    let columns = "account_id, sub, ts, sequence, order_id, market_id, kind, side, is_placement, \
        reason, order_type, time_in_force, self_trade_prevention, post_only, client_id, \
        price_ticks, lots, lots_left, executed_lots, executed_quote_units, created_at";
    for row in [
        // Comes to rest having taken one lot, and is filled later as a maker.
        format!(
            "7, 0, '2026-01-01T00:00:01Z', 1, {}, 1, 1, 1, true, NULL, 0, 0, 2, true, 77, \
            2100, 3, 2, 1, 210000, '2026-01-01T00:00:01Z'",
            id(1)
        ),
        format!(
            "7, 1, '2026-01-01T00:00:05Z', 5, {}, 1, 2, 1, false, NULL, 0, NULL, NULL, NULL, \
            NULL, 2100, NULL, 0, NULL, NULL, NULL",
            id(1)
        ),
        format!(
            "7, 0, '2026-01-01T00:00:04Z', 4, {}, 1, 3, 0, false, 1, 0, 0, 0, false, NULL, \
            1900, 10, 10, 0, 0, '2026-01-01T00:00:02Z'",
            id(2)
        ),
        format!(
            "8, 0, '2026-01-01T00:00:04Z', 4, {}, 1, 3, 0, false, 1, 0, 0, 0, false, NULL, \
            1900, 10, 10, 0, 0, '2026-01-01T00:00:02Z'",
            id(3)
        ),
    ] {
        let insert = format!("INSERT INTO order_events ({columns}) VALUES ({row})");
        postgres.execute(&insert).await;
    }
    for second in [1, 3, 5] {
        let fill = format!(
            "INSERT INTO fills VALUES (7, 0, '2026-01-01T00:00:0{second}Z', {second}, 1, 1, \
             true, 1, {second}, {}, NULL, 2100, 1, 210000, 0)",
            id(1)
        );
        postgres.execute(&fill).await;
    }
    let position = "INSERT INTO sink_position VALUES ('SOL_USDC', 6, '6-0', 1, now())";
    postgres.execute(position).await;
}

impl Stand {
    /// Parameters sorted by name, as they are signed.
    async fn order_history(&self, query: &str) -> (u16, Value) {
        let path = format!("/wapi/v1/history/orders?{query}");
        self.signed(("GET", &path), "orderHistoryQueryAll", query, "").await
    }

    async fn ids(&self, query: &str) -> Vec<String> {
        let (status, rows) = self.order_history(query).await;
        assert_eq!(status, 200, "{rows}");
        let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
        rows.as_array().unwrap().iter().map(id).collect()
    }
}

fn ids(slots: &[u32]) -> Vec<String> {
    slots.iter().map(|slot| order(*slot).to_string()).collect()
}

#[tokio::test]
async fn an_order_that_has_just_ended_is_there_though_the_database_lags() {
    let redis = Server::redis("gateway").unwrap();
    let postgres = MigratedPostgres::start().await;
    store(&postgres).await;
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    engine.state().finished = vec![
        live(9, 8, None),
        live(8, 7, Some(ClosedReason::ImmediateOrCancel)),
        // The database has these.
        live(1, 5, None),
        live(2, 4, Some(ClosedReason::ByRequest)),
    ];
    let stand = Stand::start_with(&redis.url, postgres.url()).await;
    stand.eventually(Health::is_whole).await;

    assert_eq!(stand.ids("").await, ids(&[9, 8, 1, 2]));
    assert_eq!(stand.ids("sortDirection=Asc&symbol=SOL_USDC").await, ids(&[2, 1, 8, 9]));
    assert_eq!(stand.ids("limit=2&offset=1").await, ids(&[8, 1]));
    assert_eq!(stand.ids("limit=2&offset=3").await, ids(&[2]));
    assert_eq!(stand.ids("limit=1&offset=2&sortDirection=Asc").await, ids(&[8]));
    let nothing: [&str; 4] =
        ["limit=0", "marketType=PERP", "strategyId=1", "orderId=1&symbol=SOL_USDC"];
    for query in nothing {
        assert!(stand.ids(query).await.is_empty(), "{query}");
    }

    let (_, rows) = stand.order_history("limit=2&offset=1").await;
    let (expired, filled) = (&rows[0], &rows[1]);
    assert_eq!(
        (&expired["status"], &expired["expiryReason"]),
        (&json!("Expired"), &json!("ImmediateOrCancel"))
    );
    assert_eq!(expired["createdAt"], "2026-01-01T00:00:00.123");
    assert_eq!(
        (&expired["quantity"], &expired["executedQuantity"]),
        (&json!("3.00"), &json!("1.00"))
    );
    assert_eq!(expired["systemOrderType"], Value::Null);
    assert!(expired.get("triggeredAt").is_none() && expired.get("reduceOnly").is_none());
    assert_eq!((&filled["status"], &filled["expiryReason"]), (&json!("Filled"), &Value::Null));
    assert_eq!((&filled["clientId"], &filled["postOnly"]), (&json!(77), &json!(true)));
    assert_eq!(filled["selfTradePrevention"], "RejectBoth");
    assert_eq!(
        (&filled["quantity"], &filled["executedQuantity"]),
        (&json!("0.03"), &json!("0.03"))
    );
    assert_eq!(filled["executedQuoteQuantity"], "0.63");
    assert_eq!(filled["createdAt"], "2026-01-01T00:00:01.000");

    for query in ["limit=1001", "sortDirection=Up", "symbol=SOL_EUR", "orderId=x"] {
        assert_eq!(stand.order_history(query).await.0, 400, "{query}");
    }
    let query = format!("orderId={}&symbol=SOL_USDC", order(2));
    assert_eq!(stand.ids(&query).await, ids(&[2]));
    assert!(stand.ids(&format!("orderId={}", order(77))).await.is_empty());
    assert!(stand.ids(&format!("orderId={}", order_id(MarketId(1)))).await.is_empty(), "is open");

    // The engine is away: the database alone answers.
    drop(redis);
    stand.eventually(|health| !health.redis).await;
    assert_eq!(stand.ids("").await, ids(&[1, 2]));
    assert_eq!(stand.ids(&query).await, ids(&[2]));
}

#[tokio::test]
async fn without_the_database_there_is_no_history_but_of_an_order_that_is_still_known() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    engine.state().finished = vec![live(9, 8, None)];
    let stand = Stand::ready(&redis).await;
    let (status, error) = stand.order_history("").await;
    assert_eq!((status, &error["code"]), (503, &json!("MAINTENANCE")));
    assert_eq!(stand.ids(&format!("orderId={}", order(9))).await, ids(&[9]));
    let (status, _) = stand.order_history(&format!("orderId={}", order(10))).await;
    assert_eq!(status, 503);
}

/// An order that fired and was filled later, one that failed when it fired, and one that waits
/// still; and one that was amended after it had traded.
async fn store_triggers(postgres: &MigratedPostgres) {
    let id = |slot| order(slot).get();
    let columns = "account_id, sub, ts, sequence, order_id, market_id, kind, side, is_placement, \
        reason, order_type, time_in_force, self_trade_prevention, post_only, client_id, \
        price_ticks, lots, lots_left, executed_lots, executed_quote_units, created_at, \
        trigger_price_ticks, trigger_by, triggered_at, refusal";
    let (limit, filled) =
        ("0, 0, 0, false, NULL, 2100, 3", "0, NULL, NULL, NULL, NULL, 2100, NULL");
    let at = |second: u32| format!("'2026-01-01T00:00:{second:02}Z'");
    let row = |second: u32, slot, kind, placed: bool, terms: &str, rest: String| {
        let at = at(second);
        format!("7, 0, {at}, {second}, {}, 1, {kind}, 1, {placed}, NULL, {terms}, {rest}", id(slot))
    };
    let none = "NULL, NULL, NULL, NULL";
    for row in [
        row(1, 1, 5, true, limit, format!("3, 0, 0, {}, 2000, 1, NULL, NULL", at(1))),
        row(2, 2, 5, true, limit, format!("3, 0, 0, {}, 2001, 2, NULL, NULL", at(2))),
        row(3, 3, 5, true, limit, format!("3, 0, 0, {}, 2002, 0, NULL, NULL", at(3))),
        row(4, 4, 1, true, limit, format!("3, 0, 0, {}, {none}", at(4))),
        row(5, 1, 1, true, limit, format!("3, 0, 0, {}, 2000, 1, {}, NULL", at(1), at(5))),
        row(6, 2, 6, true, limit, format!("3, 0, 0, {}, 2001, 2, {}, 1", at(2), at(6))),
        row(8, 1, 2, false, filled, format!("0, NULL, NULL, NULL, {none}")),
        // One of three had traded when it was made five.
        row(
            9,
            4,
            1,
            true,
            &limit.replace("2100, 3", "2200, 5"),
            format!("4, 1, 210000, {}, {none}", at(4)),
        ),
        row(
            11,
            4,
            2,
            false,
            &filled.replace("2100", "2200"),
            format!("0, NULL, NULL, NULL, {none}"),
        ),
    ] {
        let insert = format!("INSERT INTO order_events ({columns}) VALUES ({row})");
        postgres.execute(&insert).await;
    }
    let fills = "account_id, sub, ts, sequence, market_id, side, is_maker, fee_asset_id, trade_id, \
        order_id, price_ticks, lots, quote_units, fee_units";
    for (second, slot, lots, quote) in [(7, 4, 1, 210_000), (8, 1, 3, 630_000), (11, 4, 4, 880_000)]
    {
        let at = at(second);
        let id = id(slot);
        postgres
            .execute(&format!(
                "INSERT INTO fills ({fills}) VALUES (7, 1, {at}, {second}, 1, 1, true, 1, \
                 {second}, {id}, 2100, {lots}, {quote}, 0)"
            ))
            .await;
    }
}

#[tokio::test]
async fn history_tells_of_triggers_and_an_amended_order_is_one() {
    let redis = Server::redis("gateway").unwrap();
    let postgres = MigratedPostgres::start().await;
    store_triggers(&postgres).await;
    let _engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = Stand::start_with(&redis.url, postgres.url()).await;
    stand.eventually(Health::is_whole).await;
    assert_eq!(stand.ids("").await, ids(&[4, 1, 2]), "one waits still");
    let (_, rows) = stand.order_history("").await;
    let (amended, fired, failed) = (&rows[0], &rows[1], &rows[2]);
    assert_eq!((&fired["status"], &fired["triggerPrice"]), (&json!("Filled"), &json!("20.00")));
    assert_eq!(
        (&fired["triggerBy"], &fired["triggerQuantity"]),
        (&json!("LastPrice"), &json!("0.03"))
    );
    assert_eq!(fired["executedQuoteQuantity"], "0.63");
    assert_eq!(fired["createdAt"], "2026-01-01T00:00:01.000");
    assert_eq!(
        (&failed["status"], &failed["expiryReason"]),
        (&json!("TriggerFailed"), &json!("InsufficientFunds"))
    );
    assert_eq!(
        (&failed["triggerPrice"], &failed["executedQuantity"]),
        (&json!("20.01"), &json!("0.00"))
    );
    assert_eq!((&amended["status"], &amended["quantity"]), (&json!("Filled"), &json!("0.05")));
    assert_eq!(amended["executedQuoteQuantity"], "1.09", "before it was amended as well");
    assert_eq!(amended["triggerPrice"], Value::Null);
}
