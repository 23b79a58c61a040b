//! Candles one by one, in all intervals: the journal's trades joined, beside the rows of `klines`.

use protocol::Interval;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::report::{ColumnDifference, Difference, Field, Kind, TableReport};
use super::snapshot::{Cursor, Snapshot};
use super::tables::US_PER_S;
use super::{CheckError, Checker};
use crate::klines::{self, Candle, CandleKey, Candles, resolution};
use crate::tables::TradeRow;

pub const TABLE: &str = "klines";

/// A row of `klines`.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Microseconds since the epoch.
    open_us: i64,
    candle: Candle,
    /// Sums are whole numbers, as they always are.
    is_whole: bool,
}

/// Of one market, by interval.
pub(super) struct Ladder {
    market: i64,
    stream: String,
    found: Vec<Cursor<Found>>,
    /// Candles that are not complete yet.
    open: Candles,
    /// Candles that hold this moment, or earlier ones, are not known whole.
    known_after_s: Option<i64>,
}

fn found(row: &PgRow) -> Result<Found, sqlx::Error> {
    let sum = |place: usize| {
        let text: String = row.try_get(place)?;
        text.parse::<i128>().map_err(|error| sqlx::Error::Decode(Box::new(error)))
    };
    let candle = Candle {
        first_trade_id: row.try_get(1)?,
        last_trade_id: row.try_get(2)?,
        open_ticks: row.try_get(3)?,
        high_ticks: row.try_get(4)?,
        low_ticks: row.try_get(5)?,
        close_ticks: row.try_get(6)?,
        lots: sum(7)?,
        quote_units: sum(8)?,
        trades: row.try_get(9)?,
    };
    Ok(Found { open_us: row.try_get(0)?, candle, is_whole: row.try_get(10)? })
}

fn select(market: i64, interval: Interval, known_after_s: Option<i64>) -> String {
    let resolution = resolution(interval);
    let known = known_after_s.map_or(String::new(), |known_after_s| {
        format!(" AND to_timestamp({}) < open_time", interval.start_of(known_after_s))
    });
    format!(
        "SELECT (date_part('epoch', open_time) * {US_PER_S})::bigint, first_trade_id, \
         last_trade_id, open_ticks, high_ticks, low_ticks, close_ticks, trunc(lots)::text, \
         trunc(quote_units)::text, trades, \
         lots = trunc(lots) AND quote_units = trunc(quote_units) \
         FROM klines WHERE market_id = {market} AND resolution = {resolution}{known} \
         ORDER BY open_time"
    )
}

impl Ladder {
    pub(super) async fn open(
        snapshot: &mut Snapshot,
        market: i64,
        stream: &str,
        known_after_s: Option<i64>,
    ) -> Result<Ladder, CheckError> {
        let mut cursors = Vec::with_capacity(Interval::ALL.len());
        for interval in Interval::ALL {
            let select = select(market, interval, known_after_s);
            cursors.push(snapshot.cursor(&select, found).await?);
        }
        let (stream, open) = (stream.to_owned(), Candles::new());
        Ok(Ladder { market, stream, found: cursors, open, known_after_s })
    }

    pub(super) fn add(&mut self, trades: &[TradeRow]) {
        for (key, candle) in klines::candles(trades) {
            klines::add(&mut self.open, key, &candle);
        }
    }

    /// The first of an interval's open candles if it is complete at `until_s`.
    fn complete(&mut self, interval: Interval, until_s: i64) -> Option<(CandleKey, Candle)> {
        let of = |open_time_s| CandleKey {
            market_id: i16::try_from(self.market).unwrap_or(i16::MAX),
            resolution: resolution(interval),
            open_time_s,
        };
        let (key, _) = self.open.range(of(i64::MIN)..=of(i64::MAX)).next()?;
        let key = *key;
        let is_complete = interval.next_start(key.open_time_s) <= until_s;
        is_complete.then(|| self.open.remove(&key).map(|candle| (key, candle)))?
    }

    fn knows(&self, interval: Interval, open_time_s: i64) -> bool {
        self.known_after_s.is_none_or(|after_s| interval.start_of(after_s) < open_time_s)
    }
}

impl Checker {
    /// Compares the candles that are complete when the stream's time is `until_s`.
    pub(super) async fn settle_candles(
        &mut self,
        ladder: &mut Ladder,
        until_s: i64,
    ) -> Result<(), CheckError> {
        for (place, interval) in Interval::ALL.into_iter().enumerate() {
            while let Some((key, candle)) = ladder.complete(interval, until_s) {
                if ladder.knows(interval, key.open_time_s) {
                    self.settle_candle(ladder, place, key, &candle).await?;
                }
            }
        }
        Ok(())
    }

    async fn settle_candle(
        &mut self,
        ladder: &mut Ladder,
        place: usize,
        key: CandleKey,
        expected: &Candle,
    ) -> Result<(), CheckError> {
        let open_us = key.open_time_s.saturating_mul(US_PER_S);
        self.extra_candles(ladder, place, open_us).await?;
        let cursor = &mut ladder.found[place];
        let found = self.snapshot.peek(cursor).await?.copied();
        let found = found.filter(|found| found.open_us == open_us);
        let report = candles(&mut self.report.tables);
        report.expected += 1;
        let stream = ladder.stream.as_str();
        let Some(found) = found else {
            report.put(Kind::Missing, self.differences_max, || {
                difference(Kind::Missing, stream, Interval::ALL[place], open_us, expected)
            });
            return Ok(());
        };
        cursor.take();
        report.found += 1;
        let columns = columns(expected, &found);
        if !columns.is_empty() {
            report.put(Kind::Different, self.differences_max, || Difference {
                columns,
                ..difference(Kind::Different, stream, Interval::ALL[place], open_us, expected)
            });
        }
        Ok(())
    }

    async fn extra_candles(
        &mut self,
        ladder: &mut Ladder,
        place: usize,
        until_us: i64,
    ) -> Result<(), CheckError> {
        let cursor = &mut ladder.found[place];
        while let Some(found) = self.snapshot.peek(cursor).await?.copied() {
            if until_us <= found.open_us {
                break;
            }
            cursor.take();
            let report = candles(&mut self.report.tables);
            report.found += 1;
            report.put(Kind::TooMany, self.differences_max, || {
                let (interval, open_us) = (Interval::ALL[place], found.open_us);
                difference(Kind::TooMany, &ladder.stream, interval, open_us, &found.candle)
            });
        }
        Ok(())
    }

    /// At the stream's end all its candles are complete, and what else there is is too much.
    pub(super) async fn end_candles(&mut self, mut ladder: Ladder) -> Result<(), CheckError> {
        self.settle_candles(&mut ladder, i64::MAX).await?;
        for place in 0..ladder.found.len() {
            self.extra_candles(&mut ladder, place, i64::MAX).await?;
        }
        for cursor in ladder.found {
            self.snapshot.close(cursor).await?;
        }
        let market = ladder.market;
        let last = Interval::ALL.len() - 1;
        let unknown = format!(
            "SELECT count(*) FROM klines WHERE market_id = {market} \
             AND (resolution < 0 OR {last} < resolution)"
        );
        let unknown = self.snapshot.number(unknown).await?.unwrap_or(0);
        let report = candles(&mut self.report.tables);
        report.found += unknown.unsigned_abs();
        for _ in 0..unknown {
            report.put(Kind::TooMany, self.differences_max, || Difference {
                kind: Kind::TooMany,
                stream: ladder.stream.clone(),
                row: vec![Field { column: "resolution", value: "of no interval".to_owned() }],
                columns: Vec::new(),
            });
        }
        Ok(())
    }

    /// Of markets that are not listed; found by steps along the key.
    pub(super) async fn candles_of_others(&mut self) -> Result<(), CheckError> {
        let mut next = i64::from(i16::MIN);
        loop {
            let select = format!(
                "SELECT market_id::bigint FROM klines WHERE {next} <= market_id \
                 ORDER BY market_id LIMIT 1"
            );
            let Some(market) = self.snapshot.number(select).await? else { return Ok(()) };
            next = market + 1;
            let mut streams = self.streams.all().iter();
            let of_accounts = i64::from(protocol::MarketId::ACCOUNTS.0);
            let is_listed = streams.any(|stream| i64::from(stream.market_id().0) == market);
            if is_listed && market != of_accounts {
                continue;
            }
            let stream = self.name_of(market);
            let ladder = Ladder::open(&mut self.snapshot, market, &stream, None).await?;
            self.end_candles(ladder).await?;
        }
    }
}

fn candles(tables: &mut [TableReport]) -> &mut TableReport {
    let place = tables.len() - 1;
    &mut tables[place]
}

fn time(us: i64) -> String {
    let time = chrono::DateTime::from_timestamp_micros(us);
    time.map_or_else(|| us.to_string(), |time| time.to_rfc3339())
}

fn difference(
    kind: Kind,
    stream: &str,
    interval: Interval,
    open_us: i64,
    candle: &Candle,
) -> Difference {
    let mut row = vec![
        Field { column: "interval", value: interval.name().to_owned() },
        Field { column: "open_time", value: time(open_us) },
    ];
    let values = values(candle).into_iter();
    row.extend(values.map(|(column, value)| Field { column, value: value.to_string() }));
    Difference { kind, stream: stream.to_owned(), row, columns: Vec::new() }
}

fn values(candle: &Candle) -> [(&'static str, i128); 9] {
    [
        ("first_trade_id", candle.first_trade_id.into()),
        ("last_trade_id", candle.last_trade_id.into()),
        ("open_ticks", candle.open_ticks.into()),
        ("high_ticks", candle.high_ticks.into()),
        ("low_ticks", candle.low_ticks.into()),
        ("close_ticks", candle.close_ticks.into()),
        ("lots", candle.lots),
        ("quote_units", candle.quote_units),
        ("trades", candle.trades.into()),
    ]
}

fn columns(expected: &Candle, found: &Found) -> Vec<ColumnDifference> {
    if *expected == found.candle && found.is_whole {
        return Vec::new();
    }
    let both = values(expected).into_iter().zip(values(&found.candle));
    let different = both.filter(|((_, expected), (_, found))| expected != found);
    let mut columns: Vec<_> = different
        .map(|((column, expected), (_, found))| ColumnDifference {
            column,
            expected: expected.to_string(),
            found: found.to_string(),
        })
        .collect();
    if !found.is_whole {
        let (expected, found) = ("whole".to_owned(), "with a fraction".to_owned());
        columns.push(ColumnDifference { column: "lots, quote_units", expected, found });
    }
    columns
}
