//! Values of the protocol as values of columns. What the engine lets through fits; what does not
//! fit is an error, never cut short.

use chrono::{DateTime, Utc};
use protocol::{AccountId, AssetId, ClientId, Frame, Lots, OrderId, Price, Units};

use crate::error::RowError;

/// What all rows of a frame have in common.
#[derive(Clone, Copy, Debug)]
pub struct At {
    pub ts: DateTime<Utc>,
    pub sequence: i64,
    pub market_id: i16,
}

impl At {
    pub fn of(frame: &Frame<'_>) -> Result<At, RowError> {
        let market = frame.command.market().0;
        Ok(At {
            ts: time(frame.command.time_us)?,
            sequence: signed(frame.header.sequence.0, "sequence")?,
            market_id: i16::try_from(market).map_err(|_| RowError::OutOfRange("market id"))?,
        })
    }
}

pub fn time(time_us: u64) -> Result<DateTime<Utc>, RowError> {
    let micros = signed(time_us, "time")?;
    DateTime::from_timestamp_micros(micros).ok_or(RowError::OutOfRange("time"))
}

pub fn signed(value: u64, what: &'static str) -> Result<i64, RowError> {
    i64::try_from(value).map_err(|_| RowError::OutOfRange(what))
}

pub fn sum(left: i64, right: i64, what: &'static str) -> Result<i64, RowError> {
    left.checked_add(right).ok_or(RowError::OutOfRange(what))
}

pub fn delta(change: i128) -> Result<i64, RowError> {
    i64::try_from(change).map_err(|_| RowError::OutOfRange("balance change"))
}

pub fn account(id: AccountId) -> Result<i32, RowError> {
    i32::try_from(id.get()).map_err(|_| RowError::OutOfRange("account id"))
}

pub fn asset(id: AssetId) -> Result<i16, RowError> {
    i16::try_from(id.0).map_err(|_| RowError::OutOfRange("asset id"))
}

pub fn order_id(id: OrderId) -> Result<i64, RowError> {
    signed(id.get(), "order id")
}

pub fn client_id(id: ClientId) -> i64 {
    i64::from(id.0)
}

pub fn price(price: Price) -> Result<i64, RowError> {
    signed(price.ticks(), "price")
}

pub fn lots(lots: Lots) -> Result<i64, RowError> {
    signed(lots.0, "lots")
}

pub fn units(units: Units) -> Result<i64, RowError> {
    signed(units.0, "units")
}
