//! The account's own fills, from rows as the sink writes them.

use io_gateway::link::Health;
use protocol::{MarketId, OrderId};
use serde_json::{Value, json};
use xtask::private_servers::Server;

use crate::Stand;
use crate::fake_engine;
use crate::migrated_postgres::MigratedPostgres;

fn order(market: u16, slot: u32) -> OrderId {
    OrderId::from_parts(MarketId(market), slot, 1).unwrap()
}

/// A resting order of account 7 with a client id, which is filled in two steps; one without; and
/// what it took in another market.
async fn store(postgres: &MigratedPostgres) {
    for (slot, client_id) in [(1, "4294967295"), (2, "NULL")] {
        let placed = format!(
            "INSERT INTO order_events VALUES (7, 0, '2026-01-01T00:00:00Z', {slot}, {}, 1, 1, 1, \
             true, NULL, 0, 0, 0, false, {client_id}, 2050, 125, NULL, 125, 0, 0, \
             '2026-01-01T00:00:00Z')",
            order(1, slot).get()
        );
        postgres.execute(&placed).await;
    }
    // Fraction of a second and sequence; the order; then price, lots, quote and fee.
    let made = |sub: u8, time: &str, sequence: u8, trade: u8, slot: u32, amounts: &str| {
        let order = order(1, slot).get();
        format!(
            "7, {sub}, '2026-01-01T00:00:0{time}Z', {sequence}, 1, 1, true, 1, {trade}, {order}, \
             NULL, {amounts}"
        )
    };
    let took = |account: u8, side: u8, rest: &str| {
        let order = order(2, 1).get();
        format!(
            "{account}, 1, '2026-01-01T00:00:03Z', 13, 2, {side}, {rest}, \
             1000001, 3, 3000003, 1"
        )
        .replace("ORDER", &order.to_string())
    };
    for row in [
        made(0, "1.123456", 11, 5, 1, "2050, 25, 5125000, 4100"),
        made(2, "1.123456", 11, 6, 2, "2051, 1, 205100, 165"),
        made(0, "2.5", 12, 7, 1, "2050, 100, 20500000, 0"),
        took(7, 0, "false, 3, 1, ORDER, 77"),
        took(8, 1, "true, 1, 1, ORDER, NULL"),
    ] {
        postgres.execute(&format!("INSERT INTO fills VALUES ({row})")).await;
    }
    // An order that took has one row, as its sink writes it.
    let taken = format!(
        "INSERT INTO order_events VALUES (7, 0, '2026-01-01T00:00:03Z', 13, {}, 2, 2, 0, true, \
         NULL, 0, 0, 0, false, 77, 1000001, 3, NULL, 0, 3, 3000003, '2026-01-01T00:00:03Z')",
        order(2, 1).get()
    );
    postgres.execute(&taken).await;
}

impl Stand {
    /// Parameters sorted by name, as they are signed.
    async fn fill_history(&self, query: &str) -> (u16, Value) {
        let path = format!("/wapi/v1/history/fills?{query}");
        self.signed(("GET", &path), "fillHistoryQueryAll", query, "").await
    }

    async fn trade_ids(&self, query: &str) -> Vec<i64> {
        let (status, rows) = self.fill_history(query).await;
        assert_eq!(status, 200, "{query}: {rows}");
        let id = |row: &Value| row["tradeId"].as_i64().unwrap();
        rows.as_array().unwrap().iter().map(id).collect()
    }
}

struct World {
    redis: Server,
    _postgres: MigratedPostgres,
    stand: Stand,
}

async fn world() -> World {
    let redis = Server::redis("gateway").unwrap();
    let postgres = MigratedPostgres::start().await;
    store(&postgres).await;
    let _engine = fake_engine::run(&redis, &["SOL_USDC", "BTC_USDC"]).await;
    let stand = Stand::start_with(&redis.url, postgres.url()).await;
    stand.eventually(Health::is_whole).await;
    World { redis, _postgres: postgres, stand }
}

#[tokio::test]
async fn fills_are_told_to_the_last_digit() {
    let World { redis, stand, _postgres } = world().await;
    let (status, rows) = stand.fill_history("").await;
    let at = |seconds: &str| format!("2026-01-01T00:00:{seconds}");
    let sol = |trade: i64, slot: u32, client_id: Value, price: &str, quantity: &str, fee: &str| {
        json!({
            "tradeId": trade, "orderId": order(1, slot).to_string(), "clientId": client_id,
            "symbol": "SOL_USDC", "side": "Ask", "price": price, "quantity": quantity, "fee": fee,
            "feeSymbol": "USDC", "isMaker": true, "systemOrderType": null,
            "timestamp": if trade == 7 { at("02.500") } else { at("01.123") },
        })
    };
    let taken = json!({
        "tradeId": 1, "orderId": order(2, 1).to_string(), "clientId": "77",
        "symbol": "BTC_USDC", "side": "Bid", "price": "100000.1", "quantity": "0.00003",
        "fee": "0.00000001", "feeSymbol": "BTC", "isMaker": false,
        "timestamp": at("03.000"), "systemOrderType": null,
    });
    let expected = json!([
        taken,
        sol(7, 1, json!("4294967295"), "20.50", "1.00", "0"),
        sol(6, 2, Value::Null, "20.51", "0.01", "0.000165"),
        sol(5, 1, json!("4294967295"), "20.50", "0.25", "0.0041"),
    ]);
    assert_eq!((status, &rows), (200, &expected), "{rows:#}");

    // The engine is away: the database alone has the fills.
    drop(redis);
    stand.eventually(|health| !health.redis).await;
    assert_eq!(stand.trade_ids("limit=1").await, [1]);
}

#[tokio::test]
async fn fills_are_chosen_by_what_the_query_says() {
    let World { redis: _redis, stand, _postgres } = world().await;
    let start = 1_767_225_600_000_u64;
    let first = order(1, 1);
    for (query, expected) in [
        ("sortDirection=Asc".to_owned(), vec![5, 6, 7, 1]),
        ("limit=2&offset=1".to_owned(), vec![7, 6]),
        ("limit=2&offset=3".to_owned(), vec![5]),
        ("limit=0".to_owned(), vec![]),
        ("symbol=SOL_USDC".to_owned(), vec![7, 6, 5]),
        (format!("orderId={first}"), vec![7, 5]),
        (format!("orderId={}", order(2, 1)), vec![1]),
        (format!("orderId={}", order(1, 9)), vec![]),
        (format!("orderId={first}&symbol=BTC_USDC"), vec![]),
        (
            format!("fill_type=User&market_type=SPOT&order_id={first}&sort_direction=Asc"),
            vec![5, 7],
        ),
        // Both ends are inside, to the last microsecond of the millisecond.
        (format!("from={}&to={}", start + 1123, start + 2500), vec![7, 6, 5]),
        (format!("from={}&to={}", start + 1124, start + 2499), vec![]),
        (format!("fillType=User&from={}&limit=100&to={}", start, start + 1123), vec![6, 5]),
        (format!("from={}&to={start}", start + 1), vec![]),
        ("marketType=PERP&marketType=SPOT".to_owned(), vec![1, 7, 6, 5]),
        ("marketType=PERP".to_owned(), vec![]),
        ("fillType=Liquidation".to_owned(), vec![]),
        ("strategyId=1".to_owned(), vec![]),
        ("endTime=soon".to_owned(), vec![1, 7, 6, 5]),
    ] {
        assert_eq!(stand.trade_ids(&query).await, expected, "{query}");
    }
    for query in [
        "limit=1001",
        "offset=1000001",
        "sortDirection=Up",
        "symbol=SOL_EUR",
        "from=x",
        "to=-1",
        "orderId=x",
        "to=99999999999999999",
    ] {
        let (status, error) = stand.fill_history(query).await;
        assert_eq!((status, &error["code"]), (400, &json!("INVALID_CLIENT_REQUEST")), "{query}");
    }
    // What is not signed is not read, whatever it is called.
    let forged = ("GET", "/wapi/v1/history/fills?order_id=1");
    let (status, _) = stand.signed(forged, "fillHistoryQueryAll", "orderId=1", "").await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn an_order_that_waited_for_its_trigger_is_told_of_while_it_rests() {
    let World { redis: _redis, stand, _postgres: postgres } = world().await;
    let fired = order(1, 5);
    for (second, kind, triggered) in [(4, 5, "NULL"), (5, 1, "'2026-01-01T00:00:05Z'")] {
        let event = format!(
            "INSERT INTO order_events (account_id, sub, ts, sequence, order_id, market_id, kind, \
             side, is_placement, client_id, lots_left, created_at, triggered_at) \
             VALUES (7, 0, '2026-01-01T00:00:0{second}Z', {second}0, {}, 1, {kind}, 1, true, 55, \
              3, '2026-01-01T00:00:04Z', {triggered})",
            fired.get()
        );
        postgres.execute(&event).await;
    }
    let fill = format!(
        "INSERT INTO fills VALUES (7, 0, '2026-01-01T00:00:07Z', 70, 1, 1, true, 1, 90, {}, NULL, \
         2050, 1, 205000, 0)",
        fired.get()
    );
    postgres.execute(&fill).await;
    assert_eq!(stand.trade_ids(&format!("orderId={fired}")).await, [90]);

    // Retention moves what is still open: it is found in its other place.
    let moved = "INSERT INTO kept_order_events SELECT * FROM order_events WHERE account_id = 7";
    postgres.execute(moved).await;
    postgres.execute("DELETE FROM order_events").await;
    let (_, rows) = stand.fill_history(&format!("orderId={fired}")).await;
    assert_eq!((&rows[0]["tradeId"], &rows[0]["clientId"]), (&json!(90), &json!("55")));
}
