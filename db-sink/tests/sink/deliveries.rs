//! Whatever is delivered, however often and however cut, whatever fails or dies, and whoever else
//! writes: in the end every row is there once and every candle is the naive one.

use std::sync::Arc;
use std::time::Duration;

use db_sink::batcher::{Batch, Batcher};
use db_sink::checkpoint::Position;
use db_sink::layout::{TableRow, Value};
use db_sink::streams::Streams;
use db_sink::tables::Rows;
use db_sink::writer::{Writer, Written};
use db_sink::{SinkError, WriteBy};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::running::writer;
use crate::servers::World;
use crate::story::{Story, assert_stored, position};

const CASES: u32 = 24;
const FRAMES: usize = 60;
/// A failure at each statement of a batch, and at its commit.
const FAILURES: [&str; 8] = [
    "trades",
    "fills",
    "order_events",
    "balance_changes",
    "transfers",
    "klines",
    "sink_position",
    "commit",
];

#[derive(Clone, Debug)]
enum Step {
    /// Frames of each stream, from so many behind what is committed up to so many ahead of it.
    Deliver { back: usize, ahead: [usize; 3], again: bool },
    /// The same, and a statement fails.
    Fail { at: usize, ahead: [usize; 3] },
    /// The same, and the sink dies in the middle of it, its commit perhaps under way.
    Die { after_us: u64, ahead: [usize; 3] },
    /// Another sink claims the streams; this one must not write any more.
    TakeOver { ahead: [usize; 3] },
    /// The positions fall behind their rows.
    SetBack { frames: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let ahead = || prop::array::uniform3(0..15usize);
    prop_oneof![
        4 => (0..20usize, ahead(), any::<bool>())
            .prop_map(|(back, ahead, again)| Step::Deliver { back, ahead, again }),
        3 => (0..FAILURES.len(), ahead()).prop_map(|(at, ahead)| Step::Fail { at, ahead }),
        2 => (0..6000u64, ahead()).prop_map(|(after_us, ahead)| Step::Die { after_us, ahead }),
        1 => ahead().prop_map(|ahead| Step::TakeOver { ahead }),
        1 => (0..10usize).prop_map(|frames| Step::SetBack { frames }),
    ]
}

struct Play<'w> {
    world: &'w World,
    streams: Arc<Streams>,
    /// By place in `streams`.
    stories: Vec<Story>,
    write_by: WriteBy,
    /// Always there but while one takes the other's place.
    writer: Option<Writer>,
    connection: PgConnection,
}

impl Play<'_> {
    /// With nothing in the tables.
    async fn begin(world: &World, seed: u64, write_by: WriteBy) -> Play<'_> {
        let streams = Arc::new(Streams::of(&world.catalog));
        let stories = streams.all().iter().zip(0..).map(|(stream, at)| match &stream.market {
            Some(market) => Story::trading(market, FRAMES, seed + at),
            None => {
                let mut accounts = Story::of(None);
                (1..=FRAMES as u64).for_each(|number| accounts.deposit(number, 1000 + number));
                accounts
            }
        });
        let stories: Vec<Story> = stories.take(3).collect();
        let mut connection = world.connect().await;
        let empty = "TRUNCATE trades, fills, order_events, balance_changes, transfers, klines,
            sink_position";
        sqlx::raw_sql(empty).execute(&mut connection).await.unwrap();
        let writer = Some(writer(world, &streams, write_by).await);
        Play { world, streams, stories, write_by, writer, connection }
    }

    /// How many frames of each story are committed.
    async fn committed(&mut self) -> Vec<usize> {
        let mut committed = Vec::new();
        for (stream, story) in self.streams.all().iter().zip(&self.stories) {
            let last = position(&mut self.connection, &stream.name).await as u64;
            committed.push(story.frames.partition_point(|(sequence, _)| sequence.0 <= last));
        }
        committed
    }

    /// `None` when there is nothing in it.
    async fn batch(&mut self, back: usize, ahead: [usize; 3]) -> Option<Batch> {
        let committed = self.committed().await;
        let mut positions = vec![Position::default(); self.streams.all().len()];
        let (outbound, inbound) = mpsc::channel(4 * FRAMES);
        for (stream, story) in self.stories.iter().enumerate() {
            let from = committed[stream].saturating_sub(back);
            let to = (committed[stream] + ahead[stream]).min(story.frames.len());
            if let Some(before) = from.checked_sub(1) {
                positions[stream].sequence = story.frames[before].0.0;
            }
            for entry in story.entries(stream, from..to) {
                outbound.try_send(entry).unwrap();
            }
        }
        drop(outbound);
        let (streams, age) = (Arc::clone(&self.streams), Duration::from_secs(60));
        Batcher::new(streams, positions, inbound, usize::MAX, age).next().await
    }

    async fn write(&mut self, batch: &Batch) -> Result<Written, SinkError> {
        self.writer.as_mut().unwrap().write(batch).await
    }

    async fn act(&mut self, step: Step) {
        match step {
            Step::Deliver { back, ahead, again } => {
                let Some(batch) = self.batch(back, ahead).await else { return };
                self.write(&batch).await.unwrap();
                if again {
                    assert_eq!(self.write(&batch).await.unwrap().rows, 0);
                }
            }
            Step::Fail { at, ahead } => {
                let Some(batch) = self.batch(0, ahead).await else { return };
                let before = self.committed().await;
                self.refuse(FAILURES[at]).await;
                let written = self.write(&batch).await;
                self.refuse("nothing").await;
                // A batch may have no row for that table.
                match written {
                    Ok(_) => (),
                    Err(SinkError::Database { .. }) => assert_eq!(self.committed().await, before),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Die { after_us, ahead } => {
                let Some(batch) = self.batch(0, ahead).await else { return };
                let until = Duration::from_micros(after_us);
                timeout(until, self.write(&batch)).await.ok();
                // It holds its locks as long as it lives.
                self.writer = None;
                self.writer = Some(writer(self.world, &self.streams, self.write_by).await);
            }
            Step::TakeOver { ahead } => {
                let next = writer(self.world, &self.streams, self.write_by).await;
                let mut old = self.writer.replace(next).unwrap();
                let Some(batch) = self.batch(0, ahead).await else { return };
                let error = old.write(&batch).await.unwrap_err();
                assert!(matches!(error, SinkError::TakenOver { .. }), "{error}");
            }
            Step::SetBack { frames } => self.set_back(frames).await,
        }
    }

    async fn set_back(&mut self, frames: usize) {
        let committed = self.committed().await;
        for (stream, story) in self.stories.iter().enumerate() {
            let back = committed[stream].saturating_sub(frames);
            let last = back.checked_sub(1).map_or(0, |before| story.frames[before].0.0);
            sqlx::query("UPDATE sink_position SET last_sequence = $2 WHERE stream = $1")
                .bind(&self.streams.at(stream).name)
                .bind(last as i64)
                .execute(&mut self.connection)
                .await
                .unwrap();
        }
    }

    async fn refuse(&mut self, name: &str) {
        let refuse = "UPDATE refused SET name = $1";
        sqlx::query(refuse).bind(name).execute(&mut self.connection).await.unwrap();
    }

    async fn end(&mut self) {
        if let Some(batch) = self.batch(5, [FRAMES; 3]).await {
            self.write(&batch).await.unwrap();
        }
        let stories: Vec<&Story> = self.stories.iter().collect();
        assert_stored(&mut self.connection, &stories).await;
        let mut rows = Rows::default();
        stories.iter().for_each(|story| rows.extend_after(&story.rows(), 0));
        assert_rows(&mut self.connection, &rows.trades).await;
        assert_rows(&mut self.connection, &rows.fills).await;
        assert_rows(&mut self.connection, &rows.order_events).await;
        assert_rows(&mut self.connection, &rows.balance_changes).await;
        assert_rows(&mut self.connection, &rows.transfers).await;
    }
}

/// Every table refuses rows while `refused` names it; `commit` refuses at the end.
async fn arm(connection: &mut PgConnection) {
    let mut sql = "CREATE TABLE refused (name text);
        INSERT INTO refused VALUES ('nothing');
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT FROM refused WHERE name = TG_ARGV[0]) THEN
                RAISE EXCEPTION 'refused by the test';
            END IF;
            RETURN NEW;
        END $$;
        CREATE CONSTRAINT TRIGGER refuse_commit AFTER INSERT OR UPDATE ON sink_position
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse('commit');"
        .to_owned();
    for table in FAILURES.into_iter().filter(|name| *name != "commit") {
        sql += &format!(
            "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table}
                FOR EACH ROW EXECUTE FUNCTION refuse('{table}');"
        );
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// The table holds these rows and no others, column by column.
async fn assert_rows<R: TableRow>(connection: &mut PgConnection, rows: &[R]) {
    let columns: Vec<String> = R::COLUMNS
        .iter()
        .map(|column| match column.value {
            Value::Timestamp(_) => {
                format!("(extract(epoch FROM {}) * 1000000)::bigint::text", column.name)
            }
            Value::Uuid(_) => format!("replace({}::text, '-', '')", column.name),
            _ => format!("{}::text", column.name),
        })
        .collect();
    let sql = format!("SELECT ARRAY[{}] FROM {}", columns.join(", "), R::TABLE);
    let mut found: Vec<Vec<Option<String>>> =
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
    let mut expected: Vec<Vec<Option<String>>> =
        rows.iter().map(|row| R::COLUMNS.iter().map(|it| text(&it.value, row)).collect()).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{}", R::TABLE);
}

fn text<R>(value: &Value<R>, row: &R) -> Option<String> {
    match value {
        Value::Boolean(of) => of(row).map(|it| it.to_string()),
        Value::SmallInt(of) => of(row).map(|it| it.to_string()),
        Value::Integer(of) => of(row).map(|it| it.to_string()),
        Value::BigInt(of) => of(row).map(|it| it.to_string()),
        Value::Timestamp(of) => of(row).map(|it| it.timestamp_micros().to_string()),
        Value::Uuid(of) => of(row).map(|it| format!("{it:032x}")),
    }
}

#[test]
fn any_sequence_of_deliveries_ends_in_the_same_rows_and_candles() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(async {
        let world = World::new().await;
        world.migrate().await.unwrap();
        arm(&mut world.connect().await).await;
        world
    });
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() };
    let strategy = (prop::collection::vec(step(), 1..20), 0..1000u64, any::<bool>());
    let play = |(steps, seed, by_copy): (Vec<Step>, u64, bool)| {
        let write_by = if by_copy { WriteBy::Copy } else { WriteBy::Insert };
        runtime.block_on(async {
            let mut play = Play::begin(&world, seed, write_by).await;
            for step in steps {
                play.act(step).await;
            }
            play.end().await;
        });
        Ok(())
    };
    TestRunner::new(config).run(&strategy, play).unwrap();
}
