//! What the policy's job does: the same rows, in less room.

use db_sink::TimescaleMode::Require;
use sqlx::PgConnection;

use crate::lives::{Lives, day, found};
use crate::server::World;

const TRADES: i64 = 200_000;

/// As a busy market of a day has them: prices walk, sizes are small with few large, order ids are
/// slots of a slab that are used again and again.
const FILL: &str = "
    SELECT setseed(0.5);
    INSERT INTO trades (market_id, taker_side, ts, trade_id, sequence, price_ticks, lots,
        quote_units, maker_order_id, taker_order_id)
    SELECT 1 + i % 3, side, ts, i, 3 * i + (random() * 2)::bigint, price, lots, price * lots * 100,
        slot(i), slot(i + 7)
    FROM (
        SELECT i, (random() < 0.5)::integer AS side,
            timestamptz '2020-02-01' + (i * 400 + random() * 400) * interval '1 ms' AS ts,
            15000 + (sum(round(random() * 2 - 1)) OVER (ORDER BY i))::bigint AS price,
            1 + (exp(random() * 7))::bigint AS lots
        FROM generate_series(1, $1) AS i
    ) AS drawn";

const SLOT: &str = "CREATE FUNCTION slot(i bigint) RETURNS bigint LANGUAGE sql AS
    $$ SELECT (i / 50000 << 40) + (1::bigint << 24) + (i * 7919) % 50000 $$";

async fn run_policy(connection: &mut PgConnection, table: &str) {
    let job = "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name = $1";
    let job: i32 = sqlx::query_scalar(job).bind(table).fetch_one(&mut *connection).await.unwrap();
    let run = sqlx::AssertSqlSafe(format!("CALL run_job({job})"));
    sqlx::raw_sql(run).execute(connection).await.unwrap();
}

async fn bytes(connection: &mut PgConnection, table: &str) -> i64 {
    let size = "SELECT hypertable_size($1::text::regclass)";
    sqlx::query_scalar(size).bind(table).fetch_one(connection).await.unwrap()
}

/// Count, and a checksum that tells any other content.
async fn content(connection: &mut PgConnection) -> (i64, i64) {
    let sum =
        "SELECT count(*), sum(hashtextextended(trades::text, 0) / 1000000)::bigint FROM trades";
    sqlx::query_as(sum).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn compressed_trades_are_the_same_in_a_fraction_of_the_room() {
    let Some(world) = World::new().await else { return };
    world.prepare(Require, Some(7)).await;
    let mut connection = world.connect().await;
    sqlx::raw_sql(SLOT).execute(&mut connection).await.unwrap();
    let fill = FILL.replace("$1", &TRADES.to_string());
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut connection).await.unwrap();
    let (plain, before) = (content(&mut connection).await, bytes(&mut connection, "trades").await);
    run_policy(&mut connection, "trades").await;
    let after = bytes(&mut connection, "trades").await;
    assert_eq!(plain.0, TRADES);
    assert_eq!(content(&mut connection).await, plain);
    println!("bytes a trade: {} plain, {} compressed", before / TRADES, after / TRADES);
    assert!(after * 4 < before, "{before} bytes became {after}");
    // A range of one market, as the gateway reads it.
    let range = "SELECT count(*) FROM trades WHERE market_id = 2
        AND ts BETWEEN '2020-02-01T06:00:00Z' AND '2020-02-01T06:00:12Z'";
    let range: i64 = sqlx::query_scalar(range).fetch_one(&mut connection).await.unwrap();
    assert!((8..=12).contains(&range), "{range} trades of 12 s of 2.5 a second in three markets");
}

#[tokio::test]
async fn every_table_is_compressed_by_its_policy() {
    let Some(world) = World::new().await else { return };
    world.prepare(Require, Some(7)).await;
    let lives = Lives::new(300, 5, 51);
    let mut connection = world.connect().await;
    lives.write(&mut connection).await;
    let tables = ["trades", "fills", "order_events", "balance_changes"];
    for table in tables {
        run_policy(&mut connection, table).await;
        let plain = "SELECT count(*) FROM timescaledb_information.chunks
            WHERE hypertable_name = $1 AND NOT is_compressed";
        let plain: i64 =
            sqlx::query_scalar(plain).bind(table).fetch_one(&mut connection).await.unwrap();
        assert_eq!(plain, 0, "{table}");
    }
    assert_eq!(found(&mut connection).await, lives.left(day(0)));
}
