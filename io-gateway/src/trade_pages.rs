//! Where a page of a market's trades is: its ids, and between which moments they were made.
//!
//! Ids of a market follow each other without a gap, and a candle has the first and the last id of
//! its trades. So an offset from the newest is an id, and candles within candles lead to the second
//! of an id in some hundred rows of their key, whatever the offset: month, day, hour, minute,
//! second. Trades need no index by id, and their rows are asked for between two moments.
//!
//! The sink writes a candle in the transaction of its trades and keeps it when they are removed.
//! What one statement has seen here holds for the next: later trades add candles, or add to the
//! last one. So no snapshot is needed.

use chrono::{DateTime, TimeDelta, Utc};
use protocol::Interval;
use sqlx::PgConnection;

use crate::windows::Window;

/// Both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TradePage {
    pub oldest: i64,
    pub newest: i64,
    pub within: Window,
}

/// A month with trades.
#[derive(Clone, Copy, PartialEq, Eq, Debug, sqlx::FromRow)]
struct Month {
    open_time: DateTime<Utc>,
    first_trade_id: i64,
    last_trade_id: i64,
}

/// So far back at least one whole month begins.
const RECENT: TimeDelta = TimeDelta::days(62);

/// Latest first.
const MONTHS: &str = "\
    SELECT open_time, first_trade_id, last_trade_id FROM klines \
    WHERE market_id = $1 AND resolution = $2 AND $3 <= open_time ORDER BY open_time DESC";

/// The second of each wanted id. All candles lie between $3 and $4, which is what the planner
/// leaves chunks out by.
const SECONDS: &str = "\
    SELECT wanted.id, s.open_time FROM unnest($2::bigint[]) AS wanted (id) \
    CROSS JOIN LATERAL (SELECT open_time FROM klines WHERE market_id = $1 AND resolution = $5 \
      AND $3 <= open_time AND open_time < $4 AND first_trade_id <= wanted.id \
     ORDER BY open_time DESC LIMIT 1) AS d \
    CROSS JOIN LATERAL (SELECT open_time FROM klines WHERE market_id = $1 AND resolution = $6 \
      AND $3 <= open_time AND open_time < $4 AND first_trade_id <= wanted.id \
      AND d.open_time <= open_time AND open_time < d.open_time + interval '1 day' \
     ORDER BY open_time DESC LIMIT 1) AS h \
    CROSS JOIN LATERAL (SELECT open_time FROM klines WHERE market_id = $1 AND resolution = $7 \
      AND $3 <= open_time AND open_time < $4 AND first_trade_id <= wanted.id \
      AND h.open_time <= open_time AND open_time < h.open_time + interval '1 hour' \
     ORDER BY open_time DESC LIMIT 1) AS m \
    CROSS JOIN LATERAL (SELECT open_time FROM klines WHERE market_id = $1 AND resolution = $8 \
      AND $3 <= open_time AND open_time < $4 AND first_trade_id <= wanted.id \
      AND m.open_time <= open_time AND open_time < m.open_time + interval '1 minute' \
     ORDER BY open_time DESC LIMIT 1) AS s";

/// `None`: there are not so many trades.
pub async fn find(
    connection: &mut PgConnection,
    market: i16,
    (limit, offset): (i64, i64),
    now: DateTime<Utc>,
) -> Result<Option<TradePage>, sqlx::Error> {
    let recent = now.checked_sub_signed(RECENT).unwrap_or(DateTime::UNIX_EPOCH);
    let mut months = months(connection, market, recent).await?;
    let mut ids = ids(&months, limit, offset);
    let reaches =
        |ids: Option<(i64, i64)>| ids.is_some_and(|(oldest, newest)| newest - oldest + 1 == limit);
    if !reaches(ids) {
        months = self::months(connection, market, DateTime::UNIX_EPOCH).await?;
        ids = self::ids(&months, limit, offset);
    }
    let Some((oldest, newest)) = ids else { return Ok(None) };
    let Some(around) = months_around(&months, oldest, newest) else { return Ok(None) };
    let seconds: Vec<(i64, DateTime<Utc>)> = sqlx::query_as(SECONDS)
        .bind(market)
        .bind([oldest, newest])
        .bind(around.from)
        .bind(around.until)
        .bind(resolution(Interval::Day1))
        .bind(resolution(Interval::Hour1))
        .bind(resolution(Interval::Minute1))
        .bind(resolution(Interval::Second1))
        .fetch_all(connection)
        .await?;
    // A candle that is not there leaves the bounds wider, not wrong.
    let second = |wanted: i64| seconds.iter().find(|(id, _)| *id == wanted).map(|(_, at)| *at);
    let from = second(oldest).unwrap_or(around.from);
    let until = second(newest).map_or(around.until, |at| at + TimeDelta::seconds(1));
    Ok(Some(TradePage { oldest, newest, within: Window { from, until } }))
}

async fn months(
    connection: &mut PgConnection,
    market: i16,
    since: DateTime<Utc>,
) -> Result<Vec<Month>, sqlx::Error> {
    let month = resolution(Interval::Month1);
    let months = sqlx::query_as(MONTHS).bind(market).bind(month).bind(since);
    months.fetch_all(connection).await
}

/// The number of an interval in column `resolution`: its place in [`Interval::ALL`].
pub fn resolution(interval: Interval) -> i16 {
    interval as i16
}

/// The oldest and the newest id of the page; of trades before the first of `months` nothing is
/// known. `None`: no trade is so old, or wanted.
fn ids(months: &[Month], limit: i64, offset: i64) -> Option<(i64, i64)> {
    let (latest, earliest) = (months.first()?, months.last()?);
    let newest = latest.last_trade_id.checked_sub(offset)?;
    let oldest = newest.checked_sub(limit)?.checked_add(1)?.max(earliest.first_trade_id);
    (oldest <= newest).then_some((oldest, newest))
}

/// From the beginning of the month of the one to the end of the month of the other.
fn months_around(months: &[Month], oldest: i64, newest: i64) -> Option<Window> {
    let of = |id: i64| months.iter().find(|month| month.first_trade_id <= id);
    let (from, last) = (of(oldest)?.open_time, of(newest)?.open_time);
    let next = Interval::Month1.next_start(last.timestamp());
    Some(Window { from, until: DateTime::from_timestamp(next, 0)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(number: i64, first_trade_id: i64, last_trade_id: i64) -> Month {
        let start = (0..number).fold(0, |time, _| Interval::Month1.next_start(time));
        let open_time = DateTime::from_timestamp(start, 0).unwrap();
        Month { open_time, first_trade_id, last_trade_id }
    }

    #[test]
    fn an_offset_from_the_newest_is_an_id() {
        let months = [month(3, 90, 100), month(1, 11, 89)];
        assert_eq!(ids(&months, 10, 0), Some((91, 100)));
        assert_eq!(ids(&months, 10, 85), Some((11, 15)), "five are left");
        assert_eq!(ids(&months, 1, 89), Some((11, 11)));
        assert_eq!(ids(&months, 1, 90), None);
        assert_eq!(ids(&months, 0, 0), None);
        assert_eq!(ids(&months, 1, i64::MAX), None);
        assert_eq!(ids(&[], 1, 0), None);
    }

    #[test]
    fn months_without_trades_lie_within() {
        let months = [month(3, 90, 100), month(1, 11, 89)];
        let around = |oldest, newest| {
            let Window { from, until } = months_around(&months, oldest, newest).unwrap();
            (from, until)
        };
        let start = |number| month(number, 0, 0).open_time;
        assert_eq!(around(89, 90), (start(1), start(4)));
        assert_eq!(around(90, 90), (start(3), start(4)));
        assert_eq!(around(11, 89), (start(1), start(2)));
    }

    #[test]
    fn the_numbers_of_the_intervals_are_their_places() {
        for (interval, number) in Interval::ALL.into_iter().zip(0..) {
            assert_eq!(resolution(interval), number);
        }
    }
}
