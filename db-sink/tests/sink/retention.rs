//! Old rows go from plain tables, in batches; what open orders were placed as stays.

use std::time::Duration;

use db_sink::retention::{Ran, Removed, Retention};
use db_sink::sink::End;
use db_sink::{RetentionTerms, SinkError};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::lives::{Lives, day, found};
use crate::running::{emit, ready, stands_at, start, story};
use crate::servers::{World, eventually};
use crate::story::position;

fn retention(world: &World, batch_rows: u32) -> Retention {
    let terms = RetentionTerms { batch_rows, ..world.config.retention };
    Retention::new(&world.config.database_url, terms, world.config.retry_max).unwrap()
}

async fn remove(retention: &mut Retention, before: i64) -> Result<Ran, SinkError> {
    retention.remove_before(day(before), &CancellationToken::new()).await
}

async fn world_of(lives: &Lives) -> (World, PgConnection) {
    let world = World::new().await;
    world.migrate().await.unwrap();
    let mut connection = world.connect().await;
    lives.write(&mut connection).await;
    (world, connection)
}

#[tokio::test]
async fn old_rows_go_and_what_open_orders_were_placed_as_stays() {
    let mut kept = 0;
    for (seed, batch_rows, orders) in [(1, 1, 15), (2, 7, 60), (3, 100_000, 300)] {
        let lives = Lives::new(orders, 12, seed);
        let (world, mut connection) = world_of(&lives).await;
        let mut retention = retention(&world, batch_rows);
        for before in [0, 2, 3, 7, 40] {
            let ran = remove(&mut retention, before).await.unwrap();
            let left = lives.left(day(before));
            assert_eq!(found(&mut connection).await, left, "seed {seed}, day {before}");
            let Ran::Through(removed) = ran else { panic!("{ran:?}") };
            kept += removed.kept;
            let again = remove(&mut retention, before).await.unwrap();
            assert_eq!(again, Ran::Through(Removed::default()), "seed {seed}, day {before}");
            assert_eq!(found(&mut connection).await, left, "seed {seed}, day {before}");
        }
    }
    assert!(20 < kept, "orders are open at the cutoffs, not {kept}");
}

#[tokio::test]
async fn rows_that_a_sink_writes_again_go_again() {
    let lives = Lives::new(200, 12, 4);
    let (world, mut connection) = world_of(&lives).await;
    let mut retention = retention(&world, 50);
    for before in [5, 5, 8] {
        remove(&mut retention, before).await.unwrap();
        assert_eq!(found(&mut connection).await, lives.left(day(before)), "day {before}");
        lives.write(&mut connection).await;
    }
}

/// Deleting the order event of this sequence, or any when `None`, does what `body` says.
async fn at_deletion(connection: &mut PgConnection, event: Option<i64>, body: &str) {
    let condition = event.map_or("true".to_owned(), |event| format!("OLD.sequence = {event}"));
    let sql = format!(
        "CREATE FUNCTION at_deletion() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN {body}; RETURN OLD; END $$;
         CREATE TRIGGER at_deletion BEFORE DELETE ON order_events
            FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION at_deletion()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

#[tokio::test]
async fn a_run_that_breaks_off_loses_nothing_and_the_next_one_ends_it() {
    let lives = Lives::new(200, 12, 5);
    let (world, mut connection) = world_of(&lives).await;
    let old: Vec<_> = lives.rows.order_events.iter().filter(|row| row.ts < day(6)).collect();
    let middle = old[old.len() / 2].sequence;
    at_deletion(&mut connection, Some(middle), "RAISE EXCEPTION 'refused by the test'").await;
    let mut retention = retention(&world, 10);
    remove(&mut retention, 6).await.unwrap_err();
    let (broken, end) = (found(&mut connection).await, lives.left(day(6)));
    assert!(end.order_events.len() < broken.order_events.len(), "it did not come to the end");
    assert!(broken.order_events.len() < lives.rows.order_events.len(), "it did not begin");
    let told: Vec<_> = broken.order_events.union(&broken.kept).collect();
    assert!(end.kept.iter().all(|kept| told.contains(&kept)), "an open order is lost");
    assert!(broken.order_events.is_disjoint(&broken.kept), "a row is in both tables");

    sqlx::raw_sql("DROP TRIGGER at_deletion ON order_events")
        .execute(&mut connection)
        .await
        .unwrap();
    remove(&mut retention, 6).await.unwrap();
    assert_eq!(found(&mut connection).await, end);
}

#[tokio::test]
async fn a_run_that_is_told_to_stop_does_so_behind_its_batch() {
    let lives = Lives::new(100, 12, 6);
    let (world, mut connection) = world_of(&lives).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let ran = retention(&world, 10).remove_before(day(6), &stop).await.unwrap();
    assert_eq!(ran, Ran::Stopped(Removed::default()));
    assert_eq!(found(&mut connection).await, lives.left(day(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_and_the_writer_do_not_wait_for_the_first_one() {
    let lives = Lives::new(200, 12, 7);
    let (world, mut connection) = world_of(&lives).await;
    at_deletion(&mut connection, None, "PERFORM pg_advisory_xact_lock_shared(77)").await;
    let mut holder = world.connect().await;
    let hold = "SELECT pg_advisory_lock(77)";
    sqlx::query(hold).execute(&mut holder).await.unwrap();
    let mut first = retention(&world, 10);
    let first = tokio::spawn(async move { remove(&mut first, 6).await });
    let waiting = "SELECT count(*) FROM pg_locks
        WHERE locktype = 'advisory' AND objid = 77 AND NOT granted";
    eventually("the first run is in its transaction", || async {
        let mut connection = world.connect().await;
        0 < sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut connection).await.unwrap()
    })
    .await;

    assert_eq!(remove(&mut retention(&world, 10), 6).await.unwrap(), Ran::Elsewhere);
    let world = ready(world).await;
    let sol = story(&world, "SOL_USDC", 300, 71);
    emit(&mut world.redis().await, &sol, 0..300).await;
    let sink = start(&world);
    stands_at(&world, &sol, 299).await;
    assert_eq!(sink.drain().await, End::Drained);
    assert_eq!(position(&mut connection, "SOL_USDC").await, sol.last() as i64);

    holder.close().await.unwrap();
    let ran = first.await.unwrap().unwrap();
    assert!(matches!(ran, Ran::Through(removed) if 0 < removed.rows[0]), "{ran:?}");
    let rows = sol.rows();
    let left = found(&mut connection).await;
    let expected = lives.left(day(6));
    assert_eq!(left.kept, expected.kept);
    assert_eq!(left.trades, expected.trades + rows.trades.len() as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_removes_old_rows_beside_its_work_and_drains() {
    let lives = Lives::new(200, 12, 8);
    let (mut world, mut connection) = world_of(&lives).await;
    world.config.retention =
        RetentionTerms { keep_days: Some(30), every: Duration::from_secs(3600), batch_rows: 20 };
    let world = ready(world).await;
    let sink = start(&world);
    // These days are long past.
    eventually("nothing old is left", || async {
        let mut connection = world.connect().await;
        found(&mut connection).await == lives.left(day(365))
    })
    .await;
    assert_eq!(sink.drain().await, End::Drained);
    assert_eq!(found(&mut connection).await, lives.left(day(365)));
}

#[tokio::test]
async fn a_run_waits_less_for_locks_than_for_its_statements() {
    let world = World::new().await;
    let mut database = world.database().with_lock_wait(Duration::from_secs(3));
    let connection = database.connection().await.unwrap();
    let shown = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'),
        current_setting('timescaledb.max_tuples_decompressed_per_dml_transaction')";
    let shown: (String, String, String) =
        sqlx::query_as(shown).fetch_one(connection).await.unwrap();
    // Plain PostgreSQL takes what only TimescaleDB knows.
    assert_eq!(shown, ("3s".into(), "10s".into(), "0".into()));
}

#[tokio::test]
async fn what_is_kept_has_the_columns_of_order_events() {
    let (_world, mut connection) = world_of(&Lives::new(1, 1, 10)).await;
    let columns = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = $1::text::regclass AND 0 < attnum ORDER BY attnum";
    let mut tables = Vec::new();
    for table in ["order_events", "kept_order_events"] {
        let columns = sqlx::query_as(columns).bind(table).fetch_all(&mut connection);
        let columns: Vec<(String, String)> = columns.await.unwrap();
        tables.push(columns);
    }
    assert_eq!(tables[0], tables[1], "rows move from one to the other by position");
}
