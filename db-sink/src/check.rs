//! `db-sink check`: compares the database with the engine's journal and changes nothing.
//!
//! ```text
//! journal ─▶ frames up to the position ─▶ rows ─▶ digests an hour ─▶ ═ ◀─ hours of each table ◀┐
//!                                           └──▶ candles ──────────▶ ═ ◀─ klines ◀── snapshot ─┤
//!            the frames of an hour again ─▶ rows, one by one ──────▶ ═ ◀─ its rows ◀───────────┘
//! ```
//!
//! All is read in one transaction that only reads, positions too, and nothing is claimed: a sink
//! that runs goes on. Each table is added up by one statement, by stream and hour; its answer is
//! read beside the journal, which goes stream by stream, so that no more than what is open is held:
//! the latest hours and candles. Only where an hour differs are its rows looked at.
//!
//! Times of a stream's frames rise, but for moments after a start with a clock set back
//! (`engine/src/clock.rs`): an hour or a candle is taken for complete when the stream is
//! [`SETTLED_AFTER_S`] past it, and a frame from before that is an error, never a difference.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Days, Utc};
use protocol::Catalog;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::checkpoint::Position;
use crate::config::{Config, RetentionTerms};
use crate::database::Database;
use crate::error::{RowError, SinkError};
use crate::journal::{Archive, JournalError, Pages};
use crate::retention;
use crate::streams::Streams;

pub mod tables;
pub mod snapshot;
pub mod report;
pub mod stream;
pub mod hours;
pub mod rows;
pub mod kept;
pub mod candles;

use kept::Kept;
use report::{Report, TableReport};
use snapshot::{Cursor, Snapshot};
use tables::{TABLES, Table};

/// Seconds of the stream's time after which nothing of an hour or a candle can come any more.
const SETTLED_AFTER_S: i64 = 3600;

#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Database(#[from] SinkError),
    #[error("frame {sequence} of stream {stream} cannot be told as rows")]
    Rows {
        stream: String,
        sequence: u64,
        #[source]
        cause: RowError,
    },
    #[error("the engine's page of frames of stream {stream} does not end in a whole frame")]
    Page {
        stream: String,
        #[source]
        cause: protocol::DecodeError,
    },
    #[error(
        "frame {sequence} of stream {stream} follows frame {previous} in the journal and names \
         {named}"
    )]
    Chain { stream: String, sequence: u64, previous: u64, named: u64 },
    #[error("the engine does not list the market of stream {0} any more")]
    Unlisted(String),
    #[error("the journal was cut up to frame {0} while it was read: check again")]
    Cut(u64),
    #[error("frame {sequence} of stream {stream} is of an earlier time than frames before it")]
    Backwards { stream: String, sequence: u64 },
}

#[derive(Debug)]
pub struct Check {
    pub config: Config,
    /// Until the engine says what is listed.
    pub catalog: Catalog,
    /// Rows from before may have gone, as [`first_kept`] says; candles and transfers stay.
    pub rows_from: Option<DateTime<Utc>>,
    /// Listed of each kind and table.
    pub differences_max: usize,
}

/// Rows of one stream and hour, added up by the database.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    market: i64,
    /// Since the epoch.
    hour: i64,
    digest: tables::Digest,
}

fn group(row: &PgRow) -> Result<Group, sqlx::Error> {
    let sum: String = row.try_get(3)?;
    let sum = sum.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    let digest = tables::Digest { rows: row.try_get(2)?, sum };
    Ok(Group { market: row.try_get(0)?, hour: row.try_get(1)?, digest })
}

/// A check under way.
struct Checker {
    snapshot: Snapshot,
    streams: Arc<Streams>,
    positions: HashMap<String, Position>,
    /// The journal has nothing up to here.
    begins_after: u64,
    /// Raw rows from before are not compared, in seconds since the epoch.
    rows_from_s: Option<i64>,
    tables: [Table; TABLES],
    /// By table: market by market, hour by hour.
    groups: Vec<Cursor<Group>>,
    kept: Kept,
    pages: Pages,
    /// For hours that are looked into, while the next page is fetched already.
    again: Pages,
    differences_max: usize,
    report: Report,
}

impl Check {
    /// Compares every stream up to where the database stood when this began.
    pub async fn run(self) -> Result<Report, CheckError> {
        let mut checker = self.begin().await?;
        let mut places: Vec<usize> = (0..checker.streams.all().len()).collect();
        places.sort_by_key(|place| checker.streams.at(*place).market_id());
        let many = places.len();
        for (place, at) in places.into_iter().zip(1..) {
            let stream = checker.streams.at(place).name.clone();
            tracing::info!(stream, at, of = many, "comparing");
            checker.stream(place).await?;
        }
        checker.end().await
    }

    async fn begin(&self) -> Result<Checker, CheckError> {
        let config = &self.config;
        let archive = Archive::open(config, self.catalog.clone()).await?;
        archive.ends_at(config.redis_deadline).await?;
        let streams = Arc::new(Streams::of(&archive.catalog()));
        let mut pages = archive.pages(config, &streams);
        // Of any stream, since there is one journal.
        let begins_after = match pages.get(0, 0).await?.content {
            protocol::refill::Content::BeginsAfter(sequence) => sequence.0,
            _ => 0,
        };
        let database = Database::new(&config.database_url, config.database_deadline)?;
        let mut snapshot = Snapshot::open(database).await?;
        let positions = snapshot.positions().await?;
        let mut report = Report::default();
        let rows_from_s = self.rows_from.map(|from| from.timestamp());
        if let Some(from) = self.rows_from {
            let from = from.to_rfc3339();
            report.unknown.push(format!("rows of before {from}, which go by retention_days"));
        }
        let tables = Table::all();
        let mut groups = Vec::with_capacity(TABLES);
        for table in &tables {
            let condition = condition(table, begins_after, rows_from_s);
            groups.push(snapshot.cursor(&table.select_hours(&condition), group).await?);
            report.tables.push(TableReport::of(table.name));
        }
        let kept = Kept::open(&mut snapshot, begins_after).await?;
        snapshot.read_along_keys().await?;
        report.tables.push(TableReport::of(kept::TABLE));
        report.tables.push(TableReport::of(candles::TABLE));
        Ok(Checker {
            snapshot,
            positions,
            begins_after,
            rows_from_s,
            tables,
            groups,
            kept,
            pages,
            again: archive.pages(config, &streams),
            streams,
            differences_max: self.differences_max,
            report,
        })
    }
}

/// What of a table is compared: a journal that begins late says nothing of what came before.
fn condition(table: &Table, begins_after: u64, rows_from_s: Option<i64>) -> String {
    let mut condition = "true".to_owned();
    if begins_after != 0 {
        condition.push_str(&format!(" AND {begins_after} < sequence"));
    }
    if let Some(from_s) = rows_from_s.filter(|_| !table.is_kept_for_ever()) {
        condition.push_str(&format!(" AND to_timestamp({from_s}) <= ts"));
    }
    condition
}

/// The first day of which no row can have gone, or go while this runs; `None`: rows stay for ever.
pub fn first_kept(terms: &RetentionTerms, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    terms.keep_days.map(|days| retention::cutoff(now, days) + Days::new(1))
}

impl Checker {
    /// What is left belongs to no stream.
    async fn end(mut self) -> Result<Report, CheckError> {
        for table in 0..TABLES {
            self.extra_groups(table, (i64::MAX, i64::MAX)).await?;
        }
        self.kept_until(i64::MAX, (i64::MAX, i64::MAX)).await?;
        self.candles_of_others().await?;
        let listed = self.streams.names();
        // One at 0 was claimed and never got a frame.
        let is_other =
            |name: &String, position: &Position| position.sequence != 0 && !listed.contains(name);
        let others = self.positions.iter().filter(|(name, position)| is_other(name, position));
        let mut others: Vec<_> = others.collect();
        others.sort_by_key(|(name, _)| *name);
        for (name, position) in others {
            let sequence = position.sequence;
            let line = format!("{name} is at {sequence}, and the engine does not list it");
            self.report.positions.push(line);
        }
        self.snapshot.end().await;
        Ok(self.report)
    }

    /// Name of a stream by its market's id, also of one that is not listed.
    fn name_of(&self, market: i64) -> String {
        let has_it = |stream: &&crate::streams::Stream| i64::from(stream.market_id().0) == market;
        let found = self.streams.all().iter().find(has_it);
        found.map_or_else(|| format!("market {market}"), |stream| stream.name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_may_be_going_is_not_compared() {
        let now = DateTime::from_timestamp(1_798_675_190, 0).unwrap();
        assert_eq!(now.to_rfc3339(), "2026-12-30T23:59:50+00:00");
        let keep = |keep_days| {
            let every = std::time::Duration::from_secs(60);
            first_kept(&RetentionTerms { keep_days, every, batch_rows: 1 }, now)
        };
        assert_eq!(keep(Some(7)).unwrap().to_rfc3339(), "2026-12-24T00:00:00+00:00");
        assert_eq!(keep(None), None);
    }

    #[test]
    fn a_table_kept_for_ever_is_compared_whole() {
        let [trades, .., transfers] = Table::all();
        let bounds = "true AND 40 < sequence AND to_timestamp(86400) <= ts";
        assert_eq!(condition(&trades, 40, Some(86_400)), bounds);
        assert_eq!(condition(&transfers, 40, Some(86_400)), "true AND 40 < sequence");
        assert_eq!(condition(&trades, 0, None), "true");
    }
}
