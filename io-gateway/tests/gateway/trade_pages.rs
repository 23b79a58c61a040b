//! Pages of a market's trades at any offset, against the list itself.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use io_gateway::history::History;
use protocol::{Interval, MarketId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::migrated_postgres::MigratedPostgres;

/// 2025-12-31 23:00:00 UTC: month, day and hour change soon.
const START_US: i64 = 1_767_222_000_000_000;
const TRADES: i64 = 3_000;
const FIRST_ID: i64 = 41;

fn at(time_us: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time_us).unwrap()
}

/// Times of trades 41, 42, ...: many at one moment, in one second, in one hour, and long silences.
fn times(draws: &mut StdRng) -> Vec<i64> {
    let mut time = START_US;
    let mut next = || {
        time += match draws.random_range(0..100) {
            0..40 => 0,
            40..70 => draws.random_range(0..400_000),
            70..95 => draws.random_range(0..20_000_000),
            95..99 => draws.random_range(0..3_600_000_000),
            _ => draws.random_range(0..9 * 86_400_000_000),
        };
        time
    };
    (0..TRADES).map(|_| next()).collect()
}

async fn store(postgres: &MigratedPostgres, market: i16, times: &[i64]) {
    let ids: Vec<i64> = (FIRST_ID..).take(times.len()).collect();
    let moments: Vec<DateTime<Utc>> = times.iter().map(|time| at(*time)).collect();
    sqlx::query(
        "INSERT INTO trades SELECT $1, 0, ts, id, id, 2050, 1, 205000, 7, 8 \
         FROM unnest($2::bigint[], $3::timestamptz[]) AS made (id, ts)",
    )
    .bind(market)
    .bind(&ids)
    .bind(&moments)
    .execute(&postgres.pool)
    .await
    .unwrap();
    for interval in Interval::ALL {
        let mut candles = BTreeMap::new();
        for (time, id) in times.iter().zip(&ids) {
            let start = interval.start_of(time / 1_000_000);
            candles.entry(start).and_modify(|(_, last)| *last = *id).or_insert((*id, *id));
        }
        let starts: Vec<DateTime<Utc>> =
            candles.keys().map(|start| at(start * 1_000_000)).collect();
        let (first, last): (Vec<i64>, Vec<i64>) = candles.values().copied().unzip();
        sqlx::query(
            "INSERT INTO klines SELECT $1, $2, start, first, last, 1, 1, 1, 1, 1, 1, 1 \
             FROM unnest($3::timestamptz[], $4::bigint[], $5::bigint[]) AS c (start, first, last)",
        )
        .bind(market)
        .bind(interval as i16)
        .bind(&starts)
        .bind(&first)
        .bind(&last)
        .execute(&postgres.pool)
        .await
        .unwrap();
    }
}

/// What a page has to be: so many ids down from the newest, but for those that are gone.
fn expected(limit: i64, offset: i64, gone: impl Fn(i64) -> bool) -> Vec<i64> {
    let newest = FIRST_ID + TRADES - 1 - offset;
    let ids = (newest - limit + 1..=newest).rev().filter(|id| FIRST_ID <= *id);
    ids.filter(|id| !gone(*id)).collect()
}

#[tokio::test]
async fn pages_of_trades_tile_them_at_any_offset_also_where_some_are_gone() {
    let postgres = MigratedPostgres::start().await;
    let seed = 20_260_101;
    let mut draws = StdRng::seed_from_u64(seed);
    let times = times(&mut draws);
    let (end, half) = (at(times[times.len() - 1]), at(times[times.len() / 2]));
    store(&postgres, 1, &times).await;
    let history = History::new(postgres.pool.clone());
    let page = async |limit, offset, now| {
        let trades = history.trades(MarketId(1), limit, offset, now).await.unwrap();
        trades.iter().map(|trade| trade.id).collect::<Vec<_>>()
    };
    for _ in 0..200 {
        let (limit, offset) = (1 + draws.random_range(0..700), draws.random_range(0..TRADES + 300));
        // The clock of a gateway is not the engine's: neither behind nor before may it matter.
        let now = [end, half, at(0), at(4_102_444_800_000_000)][draws.random_range(0..4)];
        let told = page(limit, offset, now).await;
        assert_eq!(told, expected(limit, offset, |_| false), "{limit} {offset}, seed {seed}");
    }
    assert!(page(1, i64::MAX, end).await.is_empty());
    assert!(page(0, 0, end).await.is_empty());
    assert!(history.trades(MarketId(2), 10, 0, end).await.unwrap().is_empty());

    // Retention takes rows from the beginning on, by whole frames or within one; candles stay.
    let (hole, kept_from) = (FIRST_ID + 1_500..FIRST_ID + 1_700, FIRST_ID + 700);
    let removed = format!(
        "DELETE FROM trades WHERE trade_id < {kept_from} OR trade_id BETWEEN {} AND {}",
        hole.start,
        hole.end - 1
    );
    postgres.execute(&removed).await;
    let gone = |id: i64| id < kept_from || hole.contains(&id);
    for _ in 0..100 {
        let (limit, offset) = (1 + draws.random_range(0..700), draws.random_range(0..TRADES));
        let told = page(limit, offset, end).await;
        assert_eq!(told, expected(limit, offset, gone), "{limit} {offset}, seed {seed}");
    }
}
