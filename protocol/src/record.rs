//! The 64-byte little-endian records that commands and events are carried in.
//!
//! ```text
//! byte      0 kind  1 version  2..4 market or asset  4..8 account
//! Place     8 side  9 order type | post-only<<7  10 time in force  11 self-trade | has client
//! id<<7
//!           12..16 client id  16..20 gateway  20..24 epoch  24..32 gateway sequence
//!           32..40 price  40..48 lots or quote units  48..56 valid until  56..64 time
//! PlaceTrigger 8..32 as above, 10 | watched<<4  32..37 price  37..42 trigger price
//!           42..48 valid until, ms  48..56 lots or quote units  56..64 time
//! Fire      as PlaceTrigger, 10 | falls<<3  16..24 order  24..32 created  42..48 zero
//! Amend     11 has client id<<7  12..16 client id  16..32 as above  32..40 order id
//!           40..45 price or 0  8..11, 45..48 valid until, ms  48..56 lots or 0  56..64 time
//! Cancel    11 has client id<<7  12..16 client id  16..32 as above  32..40 order id  56..64 time
//! CancelAll 8 kinds  16..32 as above  48..56 created until  56..64 time
//! SetCancelAfter 8..12 ms  12..16 holder  16..32 as above  56..64 time
//! ExpireCancelAfter 12..16 holder  16..32 as above  48..56 deadline  56..64 time
//! SetBookState 8 state  16..32 as above  56..64 time
//! ListMarket 8..10 base  10..12 quote  12 tick scale  13 step scale  16..32 as above
//!           32..40 tick mantissa  40..48 step mantissa  56..64 time
//! SetPriceTerms 8..12, 12..16 band, low and high  16..32 as above  32..37 price min
//!           37..42 price max  42..46, 46..50 impact, low and high  56..64 time
//! SetLotTerms 8..12 maker fee  12..16 taker fee  16..32 as above  32..40 lots min  40..48 lots max
//!           56..64 time
//! Transfer  16..32 as above  32..48 transfer id  48..56 units  56..64 time
//! Trade     2 taker side  4..8 maker account  8 trade id  16 maker order  24 price  32 lots
//!           40 maker fee  48 taker fee  56 maker lots left
//! Closed    2 reason  3 flags  4..8 account  8 order  16 price  24 lots  32 lots left
//!           40 executed quote  48 created  56..60 client id
//! Withdrawn 2 reason  3 order type | post-only<<7  4..8 account  8 order  16..21 price
//!           21..26 trigger price  26 time in force | falls<<3 | watched<<4
//!           27 side | self-trade<<1 | has client id<<7  32 lots or quote units  48 created
//!           56..60 client id
//! ```
//!
//! Bytes not named are zero and are checked to be zero, so that a later version may use them.

mod commands;
mod orders;
mod events;

use crate::event::ClosedReason;
use crate::ids::{AccountId, ClientId, GatewayId, MarketId, OrderId, Origin};
use crate::units::{Price, SelfTradePrevention, Side, TimeInForce};

pub const RECORD_BYTES: usize = 64;
pub type Record = [u8; RECORD_BYTES];

/// Version of every layout here and of the frame header.
pub const VERSION: u8 = 4;

const HIGH_BIT: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("a record has {RECORD_BYTES} bytes, not {0}")]
    Length(usize),
    #[error("version {found} of a record is not version {VERSION}")]
    Version { found: u8 },
    #[error("{0} is not the kind of record expected here")]
    Kind(u8),
    #[error("field {0} is out of its range")]
    Field(&'static str),
    #[error("bytes that this version keeps zero are not zero")]
    Reserved,
}

struct Writer(Record);

impl Writer {
    #[inline]
    fn new(kind: u8) -> Self {
        let mut record = [0; RECORD_BYTES];
        record[0] = kind;
        record[1] = VERSION;
        Writer(record)
    }

    #[inline]
    fn u8(&mut self, at: usize, value: u8) {
        self.0[at] = value;
    }

    #[inline]
    fn u16(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    #[inline]
    fn u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    #[inline]
    fn u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// In five bytes.
    #[inline]
    fn price(&mut self, at: usize, ticks: u64) {
        self.0[at..at + 5].copy_from_slice(&ticks.to_le_bytes()[..5]);
    }

    #[inline]
    fn origin(&mut self, origin: Origin) {
        self.u32(16, origin.gateway.0);
        self.u32(20, origin.epoch);
        self.u64(24, origin.sequence);
    }

    #[inline]
    fn client_id(&mut self, at: usize, client_id: Option<ClientId>) {
        if let Some(client_id) = client_id {
            self.u32(at, client_id.0);
        }
    }
}

pub(crate) struct Reader<'a>(pub(crate) &'a Record);

impl Reader<'_> {
    #[inline]
    pub(crate) fn u8(&self, at: usize) -> u8 {
        self.0[at]
    }

    #[inline]
    pub(crate) fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    #[inline]
    pub(crate) fn u32(&self, at: usize) -> u32 {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.0[at..at + 4]);
        u32::from_le_bytes(bytes)
    }

    #[inline]
    pub(crate) fn u64(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        u64::from_le_bytes(bytes)
    }

    #[inline]
    pub(crate) fn zero(&self, from: usize, to: usize) -> Result<(), DecodeError> {
        if self.0[from..to].iter().all(|&byte| byte == 0) {
            Ok(())
        } else {
            Err(DecodeError::Reserved)
        }
    }

    #[inline]
    pub(crate) fn version(&self) -> Result<(), DecodeError> {
        match self.u8(1) {
            VERSION => Ok(()),
            found => Err(DecodeError::Version { found }),
        }
    }

    #[inline]
    fn account(&self) -> Result<AccountId, DecodeError> {
        AccountId::new(self.u32(4)).ok_or(DecodeError::Field("account"))
    }

    #[inline]
    fn market(&self) -> Result<MarketId, DecodeError> {
        match MarketId(self.u16(2)) {
            MarketId::ACCOUNTS => Err(DecodeError::Field("market")),
            market if MarketId::MAX < market => Err(DecodeError::Field("market")),
            market => Ok(market),
        }
    }

    #[inline]
    fn origin(&self) -> Origin {
        Origin { gateway: GatewayId(self.u32(16)), epoch: self.u32(20), sequence: self.u64(24) }
    }

    #[inline]
    fn price(&self, at: usize) -> Result<Price, DecodeError> {
        Price::from_ticks(self.u64(at)).ok_or(DecodeError::Field("price"))
    }

    /// Of five bytes.
    #[inline]
    fn ticks(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes[..5].copy_from_slice(&self.0[at..at + 5]);
        u64::from_le_bytes(bytes)
    }

    #[inline]
    fn short_price(&self, at: usize) -> Result<Price, DecodeError> {
        Price::from_ticks(self.ticks(at)).ok_or(DecodeError::Field("price"))
    }

    #[inline]
    fn order(&self, at: usize) -> Result<OrderId, DecodeError> {
        OrderId::from_u64(self.u64(at)).ok_or(DecodeError::Field("order"))
    }

    /// The client id at `at` if `present`; else those bytes must be zero.
    #[inline]
    fn client_id(&self, at: usize, present: bool) -> Result<Option<ClientId>, DecodeError> {
        if present {
            return Ok(Some(ClientId(self.u32(at))));
        }
        self.zero(at, at + 4)?;
        Ok(None)
    }
}

fn side(byte: u8) -> Result<Side, DecodeError> {
    match byte {
        0 => Ok(Side::Bid),
        1 => Ok(Side::Ask),
        _ => Err(DecodeError::Field("side")),
    }
}

fn time_in_force(byte: u8) -> Result<TimeInForce, DecodeError> {
    match byte {
        0 => Ok(TimeInForce::GoodTillCancelled),
        1 => Ok(TimeInForce::ImmediateOrCancel),
        2 => Ok(TimeInForce::FillOrKill),
        _ => Err(DecodeError::Field("time in force")),
    }
}

fn self_trade_prevention(byte: u8) -> Result<SelfTradePrevention, DecodeError> {
    match byte {
        0 => Ok(SelfTradePrevention::RejectTaker),
        1 => Ok(SelfTradePrevention::RejectMaker),
        2 => Ok(SelfTradePrevention::RejectBoth),
        _ => Err(DecodeError::Field("self-trade prevention")),
    }
}

pub(crate) fn closed_reason(byte: u8) -> Result<ClosedReason, DecodeError> {
    let found = ClosedReason::ALL.into_iter().find(|reason| *reason as u8 == byte);
    found.ok_or(DecodeError::Field("reason"))
}
