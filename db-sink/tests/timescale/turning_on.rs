//! The step at start: twice, with other settings, and to tables that have rows already.

use db_sink::TimescaleMode::{Auto, Off, Require};
use sqlx::PgConnection;

use crate::lives::{Lives, day, found};
use crate::server::World;

/// Table, id of its policy's job, and after how many days it compresses.
type Policy = (String, i32, i32);

async fn policies(connection: &mut PgConnection) -> Vec<Policy> {
    let sql = "SELECT hypertable_name::text, job_id,
            extract(day FROM (config ->> 'compress_after')::interval)::integer
        FROM timescaledb_information.jobs WHERE hypertable_name IS NOT NULL ORDER BY 1";
    sqlx::query_as(sql).fetch_all(connection).await.unwrap()
}

async fn days(connection: &mut PgConnection) -> Vec<(String, i32)> {
    policies(connection).await.into_iter().map(|(table, _, days)| (table, days)).collect()
}

fn expected(raw: i32, klines: i32) -> Vec<(String, i32)> {
    let tables = ["balance_changes", "fills", "klines", "order_events", "trades"];
    let days = |table: &str| if table == "klines" { klines } else { raw };
    tables.map(|table| (table.to_owned(), days(table))).to_vec()
}

#[tokio::test]
async fn all_tables_but_transfers_become_hypertables_and_a_second_start_changes_nothing() {
    let Some(world) = World::new().await else { return };
    world.prepare(Require, Some(7)).await;
    let shape = "SELECT hypertable_name::text, column_name::text, time_interval::text
        FROM timescaledb_information.dimensions ORDER BY 1";
    let settings = "SELECT hypertable::text, coalesce(segmentby, ''), orderby
        FROM timescaledb_information.hypertable_compression_settings ORDER BY 1";
    let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'trades'";
    type Three = Vec<(String, String, String)>;
    let mut connection = world.connect().await;
    let shaped: Three = sqlx::query_as(shape).fetch_all(&mut connection).await.unwrap();
    let set: Three = sqlx::query_as(settings).fetch_all(&mut connection).await.unwrap();
    let indexed: i64 = sqlx::query_scalar(indexes).fetch_one(&mut connection).await.unwrap();
    let jobs = policies(&mut connection).await;
    drop(connection);
    let row = |row: [&str; 3]| (row[0].to_owned(), row[1].to_owned(), row[2].to_owned());
    let wanted = [
        ["balance_changes", "ts", "1 day"],
        ["fills", "ts", "1 day"],
        ["klines", "open_time", "30 days"],
        ["order_events", "ts", "1 day"],
        ["trades", "ts", "1 day"],
    ];
    assert_eq!(shaped, wanted.map(row));
    let wanted = [
        ["balance_changes", "", "account_id,ts,sequence,sub"],
        ["fills", "", "account_id,ts,sequence,sub"],
        ["klines", "market_id,resolution", "open_time"],
        ["order_events", "", "account_id,ts,sequence,sub"],
        ["trades", "market_id", "ts,trade_id"],
    ];
    assert_eq!(set, wanted.map(row));
    assert_eq!(indexed, 1, "its unique key alone");

    world.prepare(Require, Some(7)).await;
    let mut connection = world.connect().await;
    assert_eq!(policies(&mut connection).await, jobs, "the jobs are the same ones");
    let again: Three = sqlx::query_as(shape).fetch_all(&mut connection).await.unwrap();
    assert_eq!(again, shaped);
}

#[tokio::test]
async fn changed_settings_hold_from_the_next_start_on() {
    let Some(world) = World::new().await else { return };
    world.prepare(Auto, None).await;
    assert_eq!(days(&mut world.connect().await).await, [], "0 days: never");
    world.prepare(Auto, Some(7)).await;
    assert_eq!(days(&mut world.connect().await).await, expected(7, 38));
    world.prepare(Auto, Some(2)).await;
    assert_eq!(days(&mut world.connect().await).await, expected(2, 33));
    // What an operator or another version set differently.
    let other = "ALTER TABLE trades SET (timescaledb.compress_segmentby = 'market_id,taker_side')";
    sqlx::raw_sql(other).execute(&mut world.connect().await).await.unwrap();
    world.prepare(Auto, Some(2)).await;
    let segments = "SELECT segmentby FROM timescaledb_information.hypertable_compression_settings
        WHERE hypertable = 'trades'::regclass";
    let mut connection = world.connect().await;
    let segments: String = sqlx::query_scalar(segments).fetch_one(&mut connection).await.unwrap();
    assert_eq!(segments, "market_id");
    drop(connection);
    world.prepare(Off, Some(9)).await;
    assert_eq!(days(&mut world.connect().await).await, expected(2, 33), "off: hands off");
    world.prepare(Auto, None).await;
    assert_eq!(days(&mut world.connect().await).await, []);
}

#[tokio::test]
async fn tables_with_rows_become_hypertables_when_timescaledb_appears_later() {
    let Some(world) = World::new().await else { return };
    world.prepare(Off, Some(7)).await;
    let lives = Lives::new(150, 12, 31);
    let chunks = "SELECT count(*) FROM timescaledb_information.chunks";
    let mut connection = world.connect().await;
    lives.write(&mut connection).await;
    let before = found(&mut connection).await;
    let plain: i64 = sqlx::query_scalar(chunks).fetch_one(&mut connection).await.unwrap();
    drop(connection);
    assert_eq!((plain, &before), (0, &lives.left(day(0))));

    world.prepare(Require, Some(7)).await;
    let mut connection = world.connect().await;
    assert_eq!(found(&mut connection).await, before);
    let chunked: i64 = sqlx::query_scalar(chunks).fetch_one(&mut connection).await.unwrap();
    assert!(4 * 12 <= chunked, "{chunked} chunks for four tables and more than twelve days");
    let left_behind = "SELECT count(*) FROM ONLY trades";
    let left: i64 = sqlx::query_scalar(left_behind).fetch_one(&mut connection).await.unwrap();
    assert_eq!(left, 0);
}
