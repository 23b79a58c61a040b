//! One stream's frames, from the journal's first to the database's position.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::Frame;
use protocol::refill::Content;
use tokio::time::Instant;

use super::candles::Ladder;
use super::hours::Hour;
use super::report::StreamReport;
use super::rows::append;
use super::tables::{HOUR_S, TABLES, US_PER_S, each_row};
use super::{CheckError, Checker, SETTLED_AFTER_S};
use crate::lane;
use crate::refill::Page;
use crate::tables::Rows;

const SAY_EVERY: Duration = Duration::from_secs(3);

/// A stream under way.
struct Walk {
    place: usize,
    market: i64,
    stream: String,
    position: u64,
    /// The last frame compared.
    last: Option<u64>,
    frames: u64,
    /// The latest time, in seconds since the epoch.
    time_s: i64,
    /// Everything before is compared.
    settled_s: i64,
    hours: BTreeMap<i64, Hour>,
    /// Of a market, once it is known whether the journal has all of it.
    candles: Option<Ladder>,
    said: Instant,
}

impl Checker {
    pub(super) async fn stream(&mut self, place: usize) -> Result<(), CheckError> {
        let stream = self.streams.at(place);
        let stand = self.positions.get(&stream.name).copied().unwrap_or_default();
        let mut walk = Walk {
            place,
            market: i64::from(stream.market_id().0),
            stream: stream.name.clone(),
            position: stand.sequence,
            last: None,
            frames: 0,
            time_s: i64::MIN,
            settled_s: i64::MIN,
            hours: BTreeMap::new(),
            candles: None,
            said: Instant::now(),
        };
        let ends_at = self.walk(&mut walk).await?;
        if stand.cursor != lane::cursor(stand.sequence) {
            let (stream, id) = (&walk.stream, stand.cursor);
            let line = format!("{stream} is at {} under the id {id}", stand.sequence);
            self.report.positions.push(line);
        }
        self.judge_position(&walk, ends_at);
        self.end_stream(walk).await
    }

    /// Answers where the journal ends, when it ends before the position.
    async fn walk(&mut self, walk: &mut Walk) -> Result<Option<u64>, CheckError> {
        let mut after = self.begins_after;
        if walk.position <= after {
            return Ok(None);
        }
        self.pages.order(walk.place, after).await?;
        loop {
            let page = self.pages.next().await?;
            let up_to = match page.content {
                Content::UpTo(up_to) => up_to.0,
                Content::BeginsAfter(sequence) => return Err(CheckError::Cut(sequence.0)),
                Content::UnknownMarket => return Err(CheckError::Unlisted(walk.stream.clone())),
            };
            let is_last = walk.position <= up_to || up_to <= after;
            if !is_last {
                // Fetched while this page is compared.
                self.pages.order(walk.place, up_to).await?;
            }
            self.page(walk, &page).await?;
            if is_last {
                return Ok(Some(up_to).filter(|up_to| *up_to < walk.position));
            }
            after = up_to;
            walk.say(up_to);
        }
    }

    async fn page(&mut self, walk: &mut Walk, page: &Page) -> Result<(), CheckError> {
        let streams = std::sync::Arc::clone(&self.streams);
        let mut rows = Rows::default();
        for frame in Frame::each_of(page.frames()) {
            let frame =
                frame.map_err(|cause| CheckError::Page { stream: walk.stream.clone(), cause })?;
            if walk.position < frame.header.sequence.0 {
                break;
            }
            if !frame.is_effective() {
                continue;
            }
            if walk.last.is_none() {
                self.first(walk, &frame).await?;
            }
            walk.take(&frame, self.begins_after)?;
            append(&mut rows, &frame, streams.at(walk.place))?;
        }
        self.add(walk, &rows);
        self.compare_kept(walk.market, &rows).await?;
        let settled_s = walk.time_s.saturating_sub(SETTLED_AFTER_S);
        self.settle(walk, settled_s).await
    }

    /// The first frame says whether any came before the journal's.
    async fn first(&mut self, walk: &mut Walk, frame: &Frame<'_>) -> Result<(), CheckError> {
        let time_s = time_s(frame);
        let known_after_s = frame.header.previous.map(|_| time_s);
        if known_after_s.is_some() {
            let (stream, begins_after) = (&walk.stream, self.begins_after);
            let time = chrono::DateTime::from_timestamp(time_s, 0).unwrap_or_default();
            self.report.unknown.push(format!(
                "{stream}: rows of frames up to {begins_after}, behind which the journal begins, \
                 and candles that hold {} or are earlier",
                time.to_rfc3339()
            ));
        }
        self.open_candles(walk, known_after_s).await
    }

    async fn open_candles(
        &mut self,
        walk: &mut Walk,
        known_after_s: Option<i64>,
    ) -> Result<(), CheckError> {
        if self.streams.at(walk.place).market.is_some() {
            let (market, stream) = (walk.market, walk.stream.as_str());
            let ladder = Ladder::open(&mut self.snapshot, market, stream, known_after_s).await?;
            walk.candles = Some(ladder);
        }
        Ok(())
    }

    fn add(&self, walk: &mut Walk, rows: &Rows) {
        for table in 0..TABLES {
            let layout = &self.tables[table];
            let from_s = self.rows_from_s.filter(|_| !layout.is_kept_for_ever());
            each_row(rows, table, &mut |cells| {
                let time_s = layout.time_s(cells);
                if from_s.is_none_or(|from_s| from_s <= time_s) {
                    let hour = walk.hours.entry(time_s.div_euclid(HOUR_S)).or_default();
                    layout.add(cells, &mut hour.digests[table]);
                }
            });
        }
        if let Some(candles) = &mut walk.candles {
            candles.add(&rows.trades);
        }
    }

    /// Compares what nothing can be added to before the stream's time `until_s`.
    async fn settle(&mut self, walk: &mut Walk, until_s: i64) -> Result<(), CheckError> {
        while let Some(hour) = walk.hours.first_entry() {
            let end_s = hour.key().saturating_add(1).saturating_mul(HOUR_S);
            if until_s < end_s {
                break;
            }
            let (hour, expected) = hour.remove_entry();
            self.settle_hour(walk.place, hour, &expected).await?;
        }
        if let Some(candles) = &mut walk.candles {
            self.settle_candles(candles, until_s).await?;
        }
        walk.settled_s = walk.settled_s.max(until_s);
        Ok(())
    }

    async fn end_stream(&mut self, mut walk: Walk) -> Result<(), CheckError> {
        self.settle(&mut walk, i64::MAX).await?;
        for table in 0..TABLES {
            self.extra_groups(table, (walk.market + 1, i64::MIN)).await?;
        }
        self.kept_until(walk.market + 1, (i64::MIN, i64::MIN)).await?;
        if walk.last.is_none() && self.begins_after == 0 {
            self.open_candles(&mut walk, None).await?;
        }
        if let Some(candles) = walk.candles.take() {
            self.end_candles(candles).await?;
        }
        let Walk { stream, position, frames, .. } = walk;
        tracing::info!(stream, position, frames, "compared");
        self.report.streams.push(StreamReport { stream, position, frames });
        Ok(())
    }

    fn judge_position(&mut self, walk: &Walk, ends_at: Option<u64>) {
        let Walk { stream, position, last, .. } = walk;
        let report = &mut self.report;
        match (ends_at, last) {
            (Some(ends_at), _) => report.positions.push(format!(
                "{stream} is at {position}, but the journal ends at frame {ends_at}"
            )),
            (None, Some(last)) if last == position => (),
            (None, Some(last)) => report.positions.push(format!(
                "{stream} is at {position}, which is no frame of it; the last before is {last}"
            )),
            // Nothing to compare, or nothing to compare with.
            (None, None) if *position <= self.begins_after => {
                if self.begins_after != 0 && *position != 0 {
                    report.unknown.push(format!(
                        "{stream}: all of it; the journal begins behind frame {}",
                        self.begins_after
                    ));
                }
            }
            (None, None) => report
                .positions
                .push(format!("{stream} is at {position}, but the journal has no frame of it")),
        }
    }
}

impl Walk {
    /// Each frame names the one before it.
    fn take(&mut self, frame: &Frame<'_>, begins_after: u64) -> Result<(), CheckError> {
        let sequence = frame.header.sequence.0;
        let named = frame.header.previous.map_or(0, |previous| previous.0);
        let is_next = match self.last {
            Some(last) => named == last,
            None => named <= begins_after,
        };
        let previous = self.last.unwrap_or(begins_after);
        if !is_next {
            let stream = self.stream.clone();
            return Err(CheckError::Chain { stream, sequence, previous, named });
        }
        let time_s = time_s(frame);
        if time_s < self.settled_s {
            return Err(CheckError::Backwards { stream: self.stream.clone(), sequence });
        }
        let hour = self.hours.entry(time_s.div_euclid(HOUR_S));
        let hour = hour.or_insert_with(|| Hour { after: previous, ..Hour::default() });
        hour.last = sequence;
        self.time_s = self.time_s.max(time_s);
        self.last = Some(sequence);
        self.frames += 1;
        Ok(())
    }

    fn say(&mut self, up_to: u64) {
        if self.said.elapsed() < SAY_EVERY {
            return;
        }
        self.said = Instant::now();
        let percent = 100.0 * up_to as f64 / self.position.max(1) as f64;
        let percent = format_args!("{percent:.1}");
        tracing::info!(stream = %self.stream, percent, frames = self.frames, "comparing");
    }
}

fn time_s(frame: &Frame<'_>) -> i64 {
    i64::try_from(frame.command.time_us).unwrap_or(i64::MAX).div_euclid(US_PER_S)
}
