//! Pages of an account's fills and ended orders, chosen in every way, against the rows themselves.

use std::cmp::Reverse;

use chrono::{DateTime, TimeDelta, Utc};
use io_gateway::past_fills::{self, PastFills};
use io_gateway::past_orders::{self, PastOrders, SortDirection};
use protocol::{AccountId, Catalog, MarketId, MarketSpec, OrderId, fixture};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use service::SharedCatalog;

use crate::migrated_postgres::MigratedPostgres;

/// 2026-06-01 00:00:00 UTC, about when the rows end.
const NOW_US: i64 = 1_780_272_000_000_000;
const DAY_US: i64 = 86_400_000_000;
const FILLS: usize = 1_500;
const ORDERS: u32 = 600;

fn at(time_us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time_us).unwrap()
}

fn account(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

fn order(market: u16, slot: u32) -> OrderId {
    OrderId::from_parts(MarketId(market), slot, 1).unwrap()
}

/// More and more days ago; some rows share a moment, or the frame.
fn long_ago(draws: &mut StdRng) -> i64 {
    let days = [1, 3, 20, 100, 500][draws.random_range(0..5)];
    NOW_US - draws.random_range(0..days * DAY_US) / 1_000_000 * 1_000_000
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    time_us: i64,
    sequence: i64,
    sub: i32,
}

struct Row {
    key: Key,
    account: u32,
    market: u16,
    trade: i64,
}

async fn store_fills(postgres: &MigratedPostgres, draws: &mut StdRng) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for number in 0..FILLS {
        let key = match rows.last() {
            Some(Row { key, .. }) if draws.random_ratio(1, 3) => Key { sub: key.sub + 1, ..*key },
            _ => Key { time_us: long_ago(draws), sequence: number as i64, sub: 0 },
        };
        // Account 7 trades little, and little of that in market 2.
        let account = if draws.random_ratio(1, 5) { 7 } else { 8 };
        let market = if draws.random_ratio(1, 30) { 2 } else { 1 };
        rows.push(Row { key, account, market, trade: number as i64 });
    }
    let column = |of: fn(&Row) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let times: Vec<DateTime<Utc>> = rows.iter().map(|row| at(row.key.time_us)).collect();
    sqlx::query(
        "INSERT INTO fills SELECT account, sub, ts, sequence, market, 0, false, 2, trade, $7, \
         NULL, 2050, 1, 205000, 0 \
         FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::bigint[], \
          $6::bigint[]) AS made (account, sub, ts, sequence, market, trade)",
    )
    .bind(column(|row| i64::from(row.account)))
    .bind(column(|row| i64::from(row.key.sub)))
    .bind(times)
    .bind(column(|row| row.key.sequence))
    .bind(column(|row| i64::from(row.market)))
    .bind(column(|row| row.trade))
    .bind(order(1, 1).get() as i64)
    .execute(&postgres.pool)
    .await
    .unwrap();
    rows
}

fn in_direction(mut rows: Vec<&Row>, direction: SortDirection) -> Vec<&Row> {
    match direction {
        SortDirection::Ascending => rows.sort_by_key(|row| row.key),
        SortDirection::Descending => rows.sort_by_key(|row| Reverse(row.key)),
    }
    rows
}

#[tokio::test]
async fn pages_of_fills_tile_what_was_chosen() {
    let postgres = MigratedPostgres::start().await;
    let seed = 7;
    let mut draws = StdRng::seed_from_u64(seed);
    let rows = store_fills(&postgres, &mut draws).await;
    let fills = PastFills::new(postgres.pool.clone());
    for _ in 0..250 {
        let (whose, market) = (7 + draws.random_range(0..2), [None, Some(1), Some(2)]);
        let market = market[draws.random_range(0..3)];
        let (limit, offset) = (
            1 + draws.random_range(0..300),
            [0, draws.random_range(0..40), draws.random_range(0..1_500)],
        );
        let offset = offset[draws.random_range(0..3)];
        let direction =
            [SortDirection::Ascending, SortDirection::Descending][draws.random_range(0..2)];
        let (one, other) = (long_ago(&mut draws), long_ago(&mut draws));
        let all = (at(0), at(NOW_US) + TimeDelta::days(400_000));
        let (from, until) =
            [all, (at(one.min(other)), at(one.max(other)))][draws.random_range(0..2)];
        let wanted = past_fills::Wanted {
            account: account(whose),
            market: market.map(MarketId),
            order: None,
            from,
            until,
            limit,
            offset,
            direction,
        };
        let chosen = rows.iter().filter(|row| {
            row.account == whose
                && market.is_none_or(|market| row.market == market)
                && (from..until).contains(&at(row.key.time_us))
        });
        let expected: Vec<i64> = in_direction(chosen.collect(), direction)
            .iter()
            .skip(offset as usize)
            .take(limit as usize)
            .map(|row| row.trade)
            .collect();
        let now = at([NOW_US, NOW_US - 90 * DAY_US][draws.random_range(0..2)]);
        let told = fills.page(&wanted, now).await.unwrap();
        let told: Vec<i64> = told.iter().map(|fill| fill.trade_id).collect();
        assert_eq!(told, expected, "{wanted:?}, seed {seed}");
    }
}

/// An order of account 7 that rests and is filled by one trade: its two rows.
struct Ended {
    order: OrderId,
    placed_us: i64,
    key: Key,
}

async fn store_orders(postgres: &MigratedPostgres, draws: &mut StdRng) -> Vec<Ended> {
    let mut orders = Vec::new();
    for slot in 0..ORDERS {
        let market = if draws.random_ratio(1, 30) { 2 } else { 1 };
        let (one, other) = (long_ago(draws), long_ago(draws));
        let key = Key { time_us: one.max(other), sequence: i64::from(2 * slot + 1), sub: 0 };
        orders.push(Ended { order: order(market, slot), placed_us: one.min(other), key });
    }
    let ids: Vec<i64> = orders.iter().map(|ended| ended.order.get() as i64).collect();
    let markets: Vec<i16> = orders.iter().map(|ended| ended.order.market().0 as i16).collect();
    let placed: Vec<DateTime<Utc>> = orders.iter().map(|ended| at(ended.placed_us)).collect();
    let ended: Vec<DateTime<Utc>> = orders.iter().map(|ended| at(ended.key.time_us)).collect();
    for statement in [
        "INSERT INTO order_events (account_id, sub, ts, sequence, order_id, market_id, kind, side, \
         is_placement, order_type, time_in_force, self_trade_prevention, post_only, client_id, \
         price_ticks, lots, lots_left, executed_lots, executed_quote_units, created_at) \
         SELECT 7, 0, placed, 2 * (id & 2097151), id, market, 1, 0, true, 0, 0, 0, false, \
          id & 2097151, 2050, 3, 2, 1, 205000, placed \
         FROM unnest($1::bigint[], $2::smallint[], $3::timestamptz[], $4::timestamptz[]) \
          AS made (id, market, placed, ended)",
        "INSERT INTO order_events (account_id, sub, ts, sequence, order_id, market_id, kind, side, \
         is_placement, order_type, price_ticks, lots_left) \
         SELECT 7, 0, ended, 2 * (id & 2097151) + 1, id, market, 2, 0, false, 0, 2050, 0 \
         FROM unnest($1::bigint[], $2::smallint[], $3::timestamptz[], $4::timestamptz[]) \
          AS made (id, market, placed, ended)",
    ] {
        sqlx::query(statement)
            .bind(&ids)
            .bind(&markets)
            .bind(&placed)
            .bind(&ended)
            .execute(&postgres.pool)
            .await
            .unwrap();
    }
    orders
}

/// As retention leaves it: of old orders that were still open then, the placement is kept; of one
/// that is not known.
async fn remove_old_placements(postgres: &MigratedPostgres, lost: OrderId) {
    let old = "kind = 1 AND ts < '2026-05-20T00:00:00Z'";
    let kept = format!("INSERT INTO kept_order_events SELECT * FROM order_events WHERE {old}");
    postgres.execute(&kept).await;
    postgres.execute(&format!("DELETE FROM order_events WHERE {old}")).await;
    for table in ["order_events", "kept_order_events"] {
        let placement = format!("order_id = {} AND kind = 1", lost.get());
        postgres.execute(&format!("DELETE FROM {table} WHERE {placement}")).await;
    }
}

#[tokio::test]
async fn pages_of_ended_orders_tile_what_was_chosen_also_where_placements_were_kept() {
    let postgres = MigratedPostgres::start().await;
    let seed = 11;
    let mut draws = StdRng::seed_from_u64(seed);
    let mut orders = store_orders(&postgres, &mut draws).await;
    let markets = [1, 2].map(|id| MarketSpec {
        id: MarketId(id),
        symbol: format!("MARKET_{id}"),
        ..fixture::market()
    });
    let catalog = Catalog::new(fixture::catalog().assets().to_vec(), markets.to_vec()).unwrap();
    let past = PastOrders::new(postgres.pool.clone(), SharedCatalog::new(catalog));
    let wanted = |market: Option<u16>, order, limit, offset, direction| past_orders::Wanted {
        account: account(7),
        market: market.map(MarketId),
        order,
        limit,
        offset,
        direction,
    };
    orders.sort_by_key(|ended| ended.key);
    for turn in 0..100 {
        if turn == 50 {
            let lost = orders.remove(draws.random_range(0..orders.len())).order;
            remove_old_placements(&postgres, lost).await;
            let one = wanted(None, Some(lost), 1, 0, SortDirection::Ascending);
            assert!(past.page(&one, Vec::new(), at(NOW_US)).await.unwrap().is_empty());
        }
        let market = [None, Some(1), Some(2)][draws.random_range(0..3)];
        // Beyond the one that is lost a page would be one short.
        let limit = if turn < 50 { 1 + draws.random_range(0..200) } else { ORDERS as usize };
        let offset = if turn < 50 { draws.random_range(0..700) } else { 0 };
        let wanted = wanted(market, None, limit, offset, SortDirection::Ascending);
        let chosen =
            orders.iter().filter(|it| market.is_none_or(|market| it.order.market().0 == market));
        let expected: Vec<(OrderId, i64)> =
            chosen.skip(offset).take(limit).map(|ended| (ended.order, ended.placed_us)).collect();
        let told = past.page(&wanted, Vec::new(), at(NOW_US)).await.unwrap();
        let told: Vec<(OrderId, i64)> =
            told.iter().map(|order| (order.order, order.created_us as i64)).collect();
        assert_eq!(told, expected, "{wanted:?}, seed {seed}");
    }
    let Ended { order, .. } = orders[0];
    let one = wanted(None, Some(order), 1, 0, SortDirection::Descending);
    let told = past.page(&one, Vec::new(), at(NOW_US)).await.unwrap();
    assert_eq!((told[0].order, told[0].client_id.unwrap().0), (order, order.slot()));
    assert_eq!((told[0].executed.0, told[0].lots_left.0), (3, 0));
}
