//! A frame: what became of one command. Header, command and events, a record each.
//!
//! ```text
//! header  0 kind  1 version  2 outcome  3 reason  4..8 number of events  8 sequence  16 previous
//!         24..30 cursor, milliseconds  30..32 digest, low  32..36 cursor, counter
//!         36..40 digest, high  40 subject  48 lots left  56 held
//! ```
//!
//! `subject` is the order, the account created, the sequence of the frame that first carried out
//! what is repeated, or the time at which orders will be cancelled. `reason` of an order that waits
//! is which way. The cursor's parts are cut to what fits: a reader who goes on from there sees
//! some commands again, which are recognised. `previous` chains the frames of one event stream, so
//! that a reader sees a gap.

use crate::command::Command;
use crate::event::{ClosedReason, Event, Outcome, Refusal, Trade};
use crate::ids::{AccountId, OrderId, Sequence, StateDigest, StreamCursor};
use crate::record::{DecodeError, RECORD_BYTES, Reader, Record, VERSION, closed_reason};
use crate::trigger::TriggerDirection;
use crate::units::{Lots, Units};

/// First byte of every frame; no JSON text begins with it.
pub const FRAME: u8 = 0x7F;

const RESTED: u8 = 1;
const FILLED: u8 = 2;
const EXPIRED: u8 = 3;
const CANCELLED: u8 = 4;
const ACCOUNT_CREATED: u8 = 5;
const TRANSFERRED: u8 = 6;
const REPEATED: u8 = 7;
const REFUSED: u8 = 8;
const RECOGNISED: u8 = 9;
const BOOK_STATE_SET: u8 = 10;
const WAITS: u8 = 11;
const TRIGGER_FAILED: u8 = 12;
const CANCEL_AFTER_SET: u8 = 13;
const CANCEL_AFTER_EXPIRED: u8 = 14;
const MARKET_LISTED: u8 = 15;
const TERMS_SET: u8 = 16;

const MILLISECONDS_MAX: u64 = (1 << 48) - 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    pub sequence: Sequence,
    /// The frame before this one on the same event stream; `None` for the first. Refused and
    /// repeated commands are not on the event stream, but name the latest frame that is.
    pub previous: Option<Sequence>,
    /// Where in the market's command stream the command stood.
    pub cursor: StreamCursor,
    pub outcome: Outcome,
    /// What the command took from the account's available balance before it was numbered.
    pub held: Units,
    /// Of the stream's market, or of the accounts, after this frame.
    pub digest: StateDigest,
}

impl FrameHeader {
    /// Whether the command changed anything, which is what event streams carry.
    #[inline]
    pub const fn is_effective(&self) -> bool {
        !matches!(
            self.outcome,
            Outcome::Refused(_) | Outcome::Repeated { .. } | Outcome::Recognised { .. }
        )
    }

    fn encode(&self, events: u32) -> Record {
        let (outcome, reason, subject, lots_left) = match self.outcome {
            Outcome::Rested { order, lots_left } => (RESTED, 0, order.get(), lots_left),
            Outcome::Filled { order } => (FILLED, 0, order.get(), Lots::ZERO),
            Outcome::Expired { order, lots_left, reason } => {
                (EXPIRED, reason as u8, order.get(), lots_left)
            }
            Outcome::Cancelled => (CANCELLED, 0, 0, Lots::ZERO),
            Outcome::AccountCreated { account } => {
                (ACCOUNT_CREATED, 0, u64::from(account.get()), Lots::ZERO)
            }
            Outcome::Transferred => (TRANSFERRED, 0, 0, Lots::ZERO),
            Outcome::Repeated { first } => (REPEATED, 0, first.0, Lots::ZERO),
            Outcome::Refused(refusal) => (REFUSED, refusal as u8, 0, Lots::ZERO),
            Outcome::Recognised { first } => (RECOGNISED, 0, first.0, Lots::ZERO),
            Outcome::BookStateSet => (BOOK_STATE_SET, 0, 0, Lots::ZERO),
            Outcome::Waits { order, direction } => {
                (WAITS, direction as u8, order.get(), Lots::ZERO)
            }
            Outcome::TriggerFailed { order, refusal } => {
                (TRIGGER_FAILED, refusal as u8, order.get(), Lots::ZERO)
            }
            Outcome::CancelAfterSet { deadline_us } => {
                (CANCEL_AFTER_SET, 0, deadline_us, Lots::ZERO)
            }
            Outcome::CancelAfterExpired => (CANCEL_AFTER_EXPIRED, 0, 0, Lots::ZERO),
            Outcome::MarketListed => (MARKET_LISTED, 0, 0, Lots::ZERO),
            Outcome::TermsSet => (TERMS_SET, 0, 0, Lots::ZERO),
        };
        let mut record = [0; RECORD_BYTES];
        record[0] = FRAME;
        record[1] = VERSION;
        record[2] = outcome;
        record[3] = reason;
        record[4..8].copy_from_slice(&events.to_le_bytes());
        let StreamCursor { milliseconds, counter } = self.cursor;
        let digest = self.digest.bits();
        let words = [
            self.sequence.0,
            self.previous.map_or(0, |previous| previous.0),
            milliseconds.min(MILLISECONDS_MAX) | digest << 48,
            counter.min(u64::from(u32::MAX)) | digest >> 16 << 32,
            subject,
            lots_left.0,
            self.held.0,
        ];
        for (at, word) in words.into_iter().enumerate() {
            record[8 + 8 * at..16 + 8 * at].copy_from_slice(&word.to_le_bytes());
        }
        record
    }

    fn decode(record: &Record) -> Result<(FrameHeader, u32), DecodeError> {
        let read = Reader(record);
        if read.u8(0) != FRAME {
            return Err(DecodeError::Kind(read.u8(0)));
        }
        read.version()?;
        let (subject, lots_left) = (read.u64(40), Lots(read.u64(48)));
        let order = || OrderId::from_u64(subject).ok_or(DecodeError::Field("order"));
        let outcome = match read.u8(2) {
            RESTED => Outcome::Rested { order: order()?, lots_left },
            FILLED => Outcome::Filled { order: order()? },
            EXPIRED => Outcome::Expired { order: order()?, lots_left, reason: reason(read.u8(3))? },
            CANCELLED => Outcome::Cancelled,
            ACCOUNT_CREATED => {
                let account = u32::try_from(subject).ok().and_then(AccountId::new);
                Outcome::AccountCreated { account: account.ok_or(DecodeError::Field("account"))? }
            }
            TRANSFERRED => Outcome::Transferred,
            REPEATED => Outcome::Repeated { first: Sequence(subject) },
            REFUSED => Outcome::Refused(refusal(read.u8(3))?),
            RECOGNISED => Outcome::Recognised { first: Sequence(subject) },
            BOOK_STATE_SET => Outcome::BookStateSet,
            WAITS => {
                let direction = match read.u8(3) {
                    0 => TriggerDirection::Rise,
                    1 => TriggerDirection::Fall,
                    _ => return Err(DecodeError::Field("direction")),
                };
                Outcome::Waits { order: order()?, direction }
            }
            TRIGGER_FAILED => {
                Outcome::TriggerFailed { order: order()?, refusal: refusal(read.u8(3))? }
            }
            CANCEL_AFTER_SET => Outcome::CancelAfterSet { deadline_us: subject },
            CANCEL_AFTER_EXPIRED => Outcome::CancelAfterExpired,
            MARKET_LISTED => Outcome::MarketListed,
            TERMS_SET => Outcome::TermsSet,
            _ => return Err(DecodeError::Field("outcome")),
        };
        let (first, second) = (read.u64(24), read.u64(32));
        let digest = StateDigest::from_bits(first >> 48 | second >> 32 << 16);
        let header = FrameHeader {
            sequence: Sequence(read.u64(8)),
            previous: Some(Sequence(read.u64(16))).filter(|previous| previous.0 != 0),
            cursor: StreamCursor {
                milliseconds: first & MILLISECONDS_MAX,
                counter: second & u64::from(u32::MAX),
            },
            outcome,
            held: Units(read.u64(56)),
            digest: digest.unwrap_or_default(),
        };
        Ok((header, read.u32(4)))
    }
}

fn reason(byte: u8) -> Result<ClosedReason, DecodeError> {
    closed_reason(byte)
}

fn refusal(byte: u8) -> Result<Refusal, DecodeError> {
    let found = Refusal::ALL.into_iter().find(|refusal| *refusal as u8 == byte);
    found.ok_or(DecodeError::Field("refusal"))
}

/// Builds one frame at a time in memory reserved at the start.
#[derive(Debug)]
pub struct FrameWriter {
    /// Header, command, then the events.
    records: Vec<Record>,
    events_max: usize,
}

impl FrameWriter {
    pub fn new(events_max: usize) -> Self {
        let mut records = Vec::with_capacity(events_max + 2);
        records.resize(2, [0; RECORD_BYTES]);
        FrameWriter { records, events_max }
    }

    #[inline]
    pub fn clear(&mut self) {
        self.records.truncate(2);
    }

    /// How many more events there is room for.
    #[inline]
    pub fn room(&self) -> usize {
        self.events_max + 2 - self.records.len()
    }

    #[inline]
    pub fn push(&mut self, event: &Event) {
        assert!(0 < self.room(), "Invariant: room for an event is looked at before it happens");
        self.records.push(event.encode());
    }

    /// The records of the finished frame.
    #[inline]
    pub fn finish(&mut self, header: &FrameHeader, command: &Command) -> &[Record] {
        let events = (self.records.len() - 2) as u32;
        self.records[0] = header.encode(events);
        self.records[1] = command.encode();
        &self.records
    }
}

/// A frame that has been checked whole: its events are known to decode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    pub header: FrameHeader,
    pub command: Command,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the front of `bytes`, and what follows it.
    pub fn split_from(bytes: &'a [u8]) -> Result<(Frame<'a>, &'a [u8]), DecodeError> {
        let (header, events) = FrameHeader::decode(record(bytes, 0)?)?;
        let command = Command::decode(record(bytes, 1)?)?;
        let length = (events as usize)
            .checked_add(2)
            .and_then(|records| records.checked_mul(RECORD_BYTES))
            .filter(|length| *length <= bytes.len())
            .ok_or(DecodeError::Length(bytes.len()))?;
        let (bytes, rest) = bytes.split_at(length);
        for at in 2..length / RECORD_BYTES {
            Event::decode(record(bytes, at)?)?;
        }
        Ok((Frame { header, command, bytes }, rest))
    }

    /// The frames that stand one behind the other in `bytes`. Ends after an error, because nobody
    /// knows where the next frame would begin.
    pub fn each_of(bytes: &'a [u8]) -> impl Iterator<Item = Result<Frame<'a>, DecodeError>> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let split = Self::split_from(rest);
            rest = split.map_or(&[], |(_, behind)| behind);
            Some(split.map(|(frame, _)| frame))
        })
    }

    /// As [`Frame::split_from`], with nothing left over.
    pub fn parse(bytes: &'a [u8]) -> Result<Frame<'a>, DecodeError> {
        match Self::split_from(bytes)? {
            (frame, []) => Ok(frame),
            (_, rest) => Err(DecodeError::Length(rest.len())),
        }
    }

    /// The header in a frame's first record, and how many records the frame has; for readers of a
    /// record at a time.
    pub fn head(record: &Record) -> Result<(FrameHeader, usize), DecodeError> {
        let (header, events) = FrameHeader::decode(record)?;
        Ok((header, events as usize + 2))
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn events(&self) -> impl Iterator<Item = Event> + use<'a> {
        let (records, _) = self.bytes[2 * RECORD_BYTES..].as_chunks::<RECORD_BYTES>();
        records.iter().map(|record| match Event::decode(record) {
            Ok(event) => event,
            Err(_) => unreachable!("Invariant: a frame's events were decoded when it was parsed"),
        })
    }

    pub fn trades(&self) -> impl Iterator<Item = Trade> + use<'a> {
        self.events().filter_map(|event| match event {
            Event::Trade(trade) => Some(trade),
            Event::Closed(_) | Event::Withdrawn(_) => None,
        })
    }

    /// As [`FrameHeader::is_effective`].
    pub fn is_effective(&self) -> bool {
        self.header.is_effective()
    }
}

fn record(bytes: &[u8], at: usize) -> Result<&Record, DecodeError> {
    let (records, _) = bytes.as_chunks::<RECORD_BYTES>();
    records.get(at).ok_or(DecodeError::Length(bytes.len()))
}
