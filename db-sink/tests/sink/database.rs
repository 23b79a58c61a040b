//! The writer alone, batches handed to it by the test.

use std::sync::Arc;

use db_sink::batcher::{Batch, Batcher};
use db_sink::checkpoint::Position;
use db_sink::feed::Entry;
use db_sink::streams::Streams;
use db_sink::writer::Writer;
use db_sink::{SinkError, Timescale, TimescaleMode};
use tokio::sync::mpsc;

use crate::running::writer;
use crate::servers::World;
use crate::story::{Story, assert_stored, counts, position};

/// Place of SOL_USDC in `Streams`: after the accounts.
const SOL_USDC: usize = 1;

struct Bench {
    world: World,
    streams: Arc<Streams>,
    story: Story,
}

impl Bench {
    async fn new(frames: usize, seed: u64) -> Bench {
        let world = World::new().await;
        world.migrate().await.unwrap();
        let streams = Arc::new(Streams::of(&world.catalog));
        let market = world.catalog.market_by_symbol("SOL_USDC").unwrap();
        let story = Story::trading(market, frames, seed);
        Bench { world, streams, story }
    }

    async fn writer(&self) -> Writer {
        writer(&self.world, &self.streams, self.world.config.write_by).await
    }

    /// The story's frames in `range` as one batch, by a sink that stands right before them.
    async fn batch(&self, range: std::ops::Range<usize>) -> Batch {
        let (mut batcher, _) = self.batcher(range, usize::MAX).await;
        batcher.next().await.unwrap()
    }

    async fn batcher(
        &self,
        range: std::ops::Range<usize>,
        rows_max: usize,
    ) -> (Batcher, mpsc::Sender<Entry>) {
        let mut positions = vec![Position::default(); self.streams.all().len()];
        if let Some(before) = range.start.checked_sub(1) {
            positions[SOL_USDC].sequence = self.story.frames[before].0.0;
        }
        let (outbound, inbound) = mpsc::channel(range.len().max(1));
        for entry in self.story.entries(SOL_USDC, range) {
            outbound.send(entry).await.unwrap();
        }
        let age_max = self.world.config.age_max;
        let streams = Arc::clone(&self.streams);
        (Batcher::new(streams, positions, inbound, rows_max, age_max), outbound)
    }
}

#[tokio::test]
async fn migrating_again_and_at_the_same_time_changes_nothing() {
    let world = World::new().await;
    let (first, second) = tokio::join!(world.migrate(), world.migrate());
    first.unwrap();
    second.unwrap();
    world.migrate().await.unwrap();
    let applied =
        "SELECT count(*) = count(DISTINCT version) AND 0 < count(*) FROM _sqlx_migrations";
    let once: bool =
        sqlx::query_scalar(applied).fetch_one(&mut world.connect().await).await.unwrap();
    assert!(once);
}

#[tokio::test]
async fn a_server_without_timescaledb_is_refused_only_when_it_is_required() {
    let world = World::new().await;
    let mut database = world.database();
    let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'";
    let available: i64 =
        sqlx::query_scalar(available).fetch_one(&mut world.connect().await).await.unwrap();
    let wanted = |mode| Timescale { mode, compress_after_days: Some(7) };
    let required = wanted(TimescaleMode::Require);
    let required = db_sink::migrate::prepare(&mut database, required).await;
    // The private server preloads nothing, so the extension cannot be used even where it is.
    assert!(matches!(required, Err(SinkError::TimescaleMissing { .. })), "{available}");
    let off = wanted(TimescaleMode::Off);
    db_sink::migrate::prepare(&mut database, off).await.unwrap();
}

#[tokio::test]
async fn a_batch_closes_when_full_when_old_and_when_nothing_more_can_come() {
    let bench = Bench::new(200, 10).await;
    let total = bench.story.rows().len();
    let (mut batcher, outbound) = bench.batcher(0..200, total / 3).await;
    let first = batcher.next().await.unwrap();
    assert!((total / 3..total / 3 + 30).contains(&first.rows()), "{} of {total}", first.rows());
    let mut rows = first.rows();
    while rows < total {
        // The last one is not full, and the queue stays open: it closes for its age.
        rows += batcher.next().await.unwrap().rows();
    }
    assert_eq!(rows, total);
    drop(outbound);
    assert_eq!(batcher.next().await, None);
}

#[tokio::test]
async fn deliveries_that_overlap_and_repeat_are_written_once() {
    let bench = Bench::new(200, 11).await;
    let mut writer = bench.writer().await;
    // Start and end of each delivery; all but the gapless ones would go wrong without the position.
    let deliveries =
        [(0, 40), (0, 40), (0, 60), (30, 61), (61, 61 + 1), (0, 62), (20, 150), (150, 200)];
    for (from, to) in deliveries {
        let batch = bench.batch(from..to).await;
        let written = writer.write(&batch).await.unwrap();
        assert_eq!(written.already_there, 0);
        // A commit whose answer was lost: the same batch once more.
        assert_eq!(writer.write(&batch).await.unwrap().rows, 0);
    }
    let mut connection = bench.world.connect().await;
    assert_stored(&mut connection, &[&bench.story]).await;
    let last = bench.story.last() as i64;
    assert_eq!(position(&mut connection, "SOL_USDC").await, last);
}

#[tokio::test]
async fn rows_without_their_position_are_found_and_not_counted_again() {
    let bench = Bench::new(50, 12).await;
    let mut writer = bench.writer().await;
    let half = bench.batch(0..30).await;
    writer.write(&half).await.unwrap();
    let mut connection = bench.world.connect().await;
    let reset = "UPDATE sink_position SET last_sequence = 0, last_id = '0-0'";
    sqlx::query(reset).execute(&mut connection).await.unwrap();

    let written = writer.write(&bench.batch(0..50).await).await.unwrap();
    assert_eq!(written.already_there, half.rows() as u64);
    assert_stored(&mut connection, &[&bench.story]).await;
}

#[tokio::test]
async fn a_failure_at_any_statement_leaves_nothing_of_the_batch() {
    let bench = Bench::new(30, 13).await;
    let mut writer = bench.writer().await;
    let mut connection = bench.world.connect().await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$";
    sqlx::raw_sql(refuse).execute(&mut connection).await.unwrap();
    let batch = bench.batch(0..30).await;
    let tables = ["trades", "fills", "order_events", "balance_changes", "klines", "sink_position"];
    for table in tables {
        // Deferred to the commit for one of them: a commit can fail, too.
        let trigger = match table {
            "fills" => "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON fills
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()"
                .to_owned(),
            _ => format!(
                "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table}
                 FOR EACH ROW EXECUTE FUNCTION refuse()"
            ),
        };
        sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut connection).await.unwrap();
        let error = writer.write(&batch).await.unwrap_err();
        assert!(matches!(error, SinkError::Database { .. }), "{table}: {error}");
        assert_eq!(counts(&mut connection).await, [0; 5], "{table}");
        assert_eq!(position(&mut connection, "SOL_USDC").await, 0, "{table}");
        let drop = sqlx::AssertSqlSafe(format!("DROP TRIGGER refuse ON {table}"));
        sqlx::raw_sql(drop).execute(&mut connection).await.unwrap();
    }
    writer.write(&batch).await.unwrap();
    assert_stored(&mut connection, &[&bench.story]).await;
}

#[tokio::test]
async fn a_sink_that_was_taken_over_writes_nothing_more() {
    let bench = Bench::new(40, 14).await;
    let mut first = bench.writer().await;
    first.write(&bench.batch(0..10).await).await.unwrap();
    let mut second = bench.writer().await;

    let error = first.write(&bench.batch(10..20).await).await.unwrap_err();
    assert!(matches!(error, SinkError::TakenOver { .. }), "{error}");
    // Also when it has nothing new, which it must not take for a success of its own.
    let error = first.write(&bench.batch(0..10).await).await.unwrap_err();
    assert!(matches!(error, SinkError::TakenOver { .. }), "{error}");

    second.write(&bench.batch(5..40).await).await.unwrap();
    assert_stored(&mut bench.world.connect().await, &[&bench.story]).await;
}

#[tokio::test]
async fn a_database_that_fell_behind_its_sink_is_not_written_over_a_hole() {
    let bench = Bench::new(40, 15).await;
    let mut writer = bench.writer().await;
    writer.write(&bench.batch(0..10).await).await.unwrap();
    // As after a failover to a copy that had not seen the last commits.
    let error = writer.write(&bench.batch(20..40).await).await.unwrap_err();
    assert!(matches!(error, SinkError::PositionMoved { .. }), "{error}");
}
