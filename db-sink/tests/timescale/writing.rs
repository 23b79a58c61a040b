//! The sink's own write path on hypertables.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use db_sink::batcher::{Batch, Batcher};
use db_sink::checkpoint::{self, Position};
use db_sink::sink::Readiness;
use db_sink::streams::Streams;
use db_sink::writer::Writer;
use db_sink::{SinkError, TimescaleMode, WriteBy};
use tokio::sync::mpsc;

use crate::server::World;
use crate::story::{Story, assert_stored, counts, position};

/// Place of SOL_USDC in `Streams`: after the accounts.
const SOL_USDC: usize = 1;

struct Bench {
    world: World,
    streams: Arc<Streams>,
    story: Story,
}

impl Bench {
    async fn new(frames: usize, seed: u64) -> Option<Bench> {
        let world = World::new().await?;
        world.prepare(TimescaleMode::Require, Some(7)).await;
        let streams = Arc::new(Streams::of(&world.catalog));
        let story =
            Story::trading(world.catalog.market_by_symbol("SOL_USDC").unwrap(), frames, seed);
        Some(Bench { world, streams, story })
    }

    /// Claims the streams. The test has no other connection while it works.
    async fn writer(&self) -> Writer {
        let mut database = self.world.database();
        let connection = database.connection().await.unwrap();
        let claim = checkpoint::claim(connection, &self.streams).await.unwrap().unwrap();
        let (streams, pause) = (Arc::clone(&self.streams), Duration::from_millis(200));
        let by = WriteBy::Insert;
        Writer::new(database, streams, claim, by, pause, Readiness::default()).0
    }

    /// The story's frames in `range` as one batch, by a sink that stands right before them.
    async fn batch(&self, range: Range<usize>) -> Batch {
        let mut positions = vec![Position::default(); self.streams.all().len()];
        if let Some(before) = range.start.checked_sub(1) {
            positions[SOL_USDC].sequence = self.story.frames[before].0.0;
        }
        let (outbound, inbound) = mpsc::channel(range.len().max(1));
        for entry in self.story.entries(SOL_USDC, range) {
            outbound.send(entry).await.unwrap();
        }
        drop(outbound);
        let (streams, age_max) = (Arc::clone(&self.streams), Duration::from_secs(60));
        Batcher::new(streams, positions, inbound, usize::MAX, age_max).next().await.unwrap()
    }
}

#[tokio::test]
async fn deliveries_that_overlap_repeat_and_fail_are_written_once() {
    let Some(bench) = Bench::new(200, 41).await else { return };
    let mut writer = bench.writer().await;
    for (from, to) in [(0, 40), (0, 40), (0, 60), (30, 61), (20, 150)] {
        let batch = bench.batch(from..to).await;
        assert_eq!(writer.write(&batch).await.unwrap().already_there, 0);
        // A commit whose answer was lost: the same batch once more.
        assert_eq!(writer.write(&batch).await.unwrap().rows, 0);
    }
    drop(writer);
    let mut connection = bench.world.connect().await;
    let (rows, at) = (counts(&mut connection).await, position(&mut connection, "SOL_USDC").await);
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
            AS $$ BEGIN RAISE EXCEPTION 'refused by the test'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON klines
            FOR EACH ROW EXECUTE FUNCTION refuse()";
    sqlx::raw_sql(refuse).execute(&mut connection).await.unwrap();
    drop(connection);
    let mut writer = bench.writer().await;
    let error = writer.write(&bench.batch(150..200).await).await.unwrap_err();
    assert!(matches!(error, SinkError::Database { .. }), "{error}");
    drop(writer);
    let mut connection = bench.world.connect().await;
    assert_eq!(counts(&mut connection).await, rows, "rolled back whole");
    assert_eq!(position(&mut connection, "SOL_USDC").await, at);
    let allow = "DROP TRIGGER refuse ON klines";
    sqlx::raw_sql(allow).execute(&mut connection).await.unwrap();
    drop(connection);
    let mut writer = bench.writer().await;
    writer.write(&bench.batch(150..200).await).await.unwrap();
    drop(writer);
    assert_stored(&mut bench.world.connect().await, &[&bench.story]).await;
}

#[tokio::test]
async fn rows_that_come_late_or_again_go_into_compressed_chunks_once() {
    let Some(bench) = Bench::new(300, 42).await else { return };
    let mut writer = bench.writer().await;
    writer.write(&bench.batch(0..200).await).await.unwrap();
    drop(writer);
    // As when a sink is set back: most frames from 200 on lie in the days of those before.
    let compress = "
        SELECT compress_chunk(chunk) FROM (VALUES ('trades'), ('fills'), ('order_events'),
            ('balance_changes'), ('klines')) AS of (name), show_chunks(of.name::regclass) AS chunk;
        UPDATE sink_position SET last_sequence = 0, last_id = '0-0'";
    let mut connection = bench.world.connect().await;
    sqlx::raw_sql(compress).execute(&mut connection).await.unwrap();
    let plain = "SELECT count(*) FROM timescaledb_information.chunks WHERE NOT is_compressed";
    let plain: i64 = sqlx::query_scalar(plain).fetch_one(&mut connection).await.unwrap();
    assert_eq!(plain, 0);
    drop(connection);
    let mut writer = bench.writer().await;
    let written = writer.write(&bench.batch(0..300).await).await.unwrap();
    assert!(0 < written.already_there && 0 < written.rows, "{written:?}");
    drop(writer);
    assert_stored(&mut bench.world.connect().await, &[&bench.story]).await;
}
