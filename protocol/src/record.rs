//! The 64-byte little-endian records that commands and events are carried in.
//!
//! ```text
//! byte      0 kind  1 version  2..4 market or asset  4..8 account
//! Place     8 side  9 order type | post-only<<7  10 time in force  11 self-trade | has client
//! id<<7
//!           12..16 client id  16..20 gateway  20..24 epoch  24..32 gateway sequence
//!           32..40 price  40..48 lots or quote units  48..56 valid until  56..64 time
//! Cancel    11 has client id<<7  12..16 client id  16..32 as above  32..40 order id  56..64 time
//! CancelAll 16..32 as above  56..64 time
//! SetBookState 8 state  16..32 as above  56..64 time
//! Transfer  16..32 as above  32..48 transfer id  48..56 units  56..64 time
//! Trade     2 taker side  4..8 maker account  8 trade id  16 maker order  24 price  32 lots
//!           40 maker fee  48 taker fee  56 maker lots left
//! Closed    2 reason  3 flags  4..8 account  8 order  16 price  24 lots  32 lots left
//!           40 executed quote  48 created  56..60 client id
//! ```
//!
//! Bytes not named are zero and are checked to be zero, so that a later version may use them.

use crate::command::{Action, Command, OrderKind, Place, Target, Transfer};
use crate::event::{Closed, ClosedReason, Event, Trade};
use crate::ids::{
    AccountId, AssetId, ClientId, GatewayId, MarketId, OrderId, Origin, TradeId, TransferId,
};
use crate::units::{BookState, Lots, Price, SelfTradePrevention, Side, TimeInForce, Units};

pub const RECORD_BYTES: usize = 64;
pub type Record = [u8; RECORD_BYTES];

/// Version of every layout here and of the frame header.
pub const VERSION: u8 = 2;

const PLACE: u8 = 1;
const CANCEL: u8 = 2;
const CANCEL_ALL: u8 = 3;
const CREATE_ACCOUNT: u8 = 4;
const DEPOSIT: u8 = 5;
const WITHDRAW: u8 = 6;
const SET_BOOK_STATE: u8 = 7;
const TRADE: u8 = 64;
const CLOSED: u8 = 65;

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

fn book_state(byte: u8) -> Result<BookState, DecodeError> {
    let found = BookState::ALL.into_iter().find(|state| *state as u8 == byte);
    found.ok_or(DecodeError::Field("book state"))
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

impl Command {
    #[inline]
    pub fn encode(&self) -> Record {
        let mut out;
        match &self.action {
            Action::Place(place) => {
                out = Writer::new(PLACE);
                encode_place(&mut out, place);
            }
            Action::Cancel { market, account, target } => {
                out = Writer::new(CANCEL);
                out.u16(2, market.0);
                out.u32(4, account.get());
                match target {
                    Target::Order(order) => out.u64(32, order.get()),
                    Target::Client(client_id) => {
                        out.u8(11, HIGH_BIT);
                        out.u32(12, client_id.0);
                    }
                }
            }
            Action::CancelAll { market, account } => {
                out = Writer::new(CANCEL_ALL);
                out.u16(2, market.0);
                out.u32(4, account.get());
            }
            Action::CreateAccount => out = Writer::new(CREATE_ACCOUNT),
            Action::Deposit(transfer) => {
                out = Writer::new(DEPOSIT);
                encode_transfer(&mut out, transfer);
            }
            Action::Withdraw(transfer) => {
                out = Writer::new(WITHDRAW);
                encode_transfer(&mut out, transfer);
            }
            Action::SetBookState { market, state } => {
                out = Writer::new(SET_BOOK_STATE);
                out.u16(2, market.0);
                out.u8(8, *state as u8);
            }
        }
        out.origin(self.origin);
        out.u64(56, self.time_us);
        out.0
    }

    #[inline]
    pub fn decode(record: &Record) -> Result<Command, DecodeError> {
        let read = Reader(record);
        read.version()?;
        let action = match read.u8(0) {
            PLACE => Action::Place(decode_place(&read)?),
            CANCEL => {
                read.zero(8, 11)?;
                let (market, account) = (read.market()?, read.account()?);
                read.zero(40, 56)?;
                let target = match read.u8(11) {
                    0 => {
                        read.zero(12, 16)?;
                        Target::Order(read.order(32)?)
                    }
                    HIGH_BIT => {
                        read.zero(32, 40)?;
                        Target::Client(ClientId(read.u32(12)))
                    }
                    _ => return Err(DecodeError::Reserved),
                };
                Action::Cancel { market, account, target }
            }
            CANCEL_ALL => {
                read.zero(8, 16)?;
                read.zero(32, 56)?;
                Action::CancelAll { market: read.market()?, account: read.account()? }
            }
            CREATE_ACCOUNT => {
                read.zero(2, 16)?;
                read.zero(32, 56)?;
                Action::CreateAccount
            }
            DEPOSIT => Action::Deposit(decode_transfer(&read)?),
            WITHDRAW => Action::Withdraw(decode_transfer(&read)?),
            SET_BOOK_STATE => {
                read.zero(4, 8)?;
                read.zero(9, 16)?;
                read.zero(32, 56)?;
                Action::SetBookState { market: read.market()?, state: book_state(read.u8(8))? }
            }
            kind => return Err(DecodeError::Kind(kind)),
        };
        Ok(Command { origin: read.origin(), time_us: read.u64(56), action })
    }

    /// As [`Command::decode`], from bytes of unknown length.
    pub fn decode_slice(bytes: &[u8]) -> Result<Command, DecodeError> {
        let record = bytes.try_into().map_err(|_| DecodeError::Length(bytes.len()))?;
        Self::decode(record)
    }
}

#[inline]
fn encode_place(out: &mut Writer, place: &Place) {
    out.u16(2, place.market.0);
    out.u32(4, place.account.get());
    out.u8(8, place.side as u8);
    let (kind, price, amount) = match place.kind {
        OrderKind::Limit { price, lots, post_only } => {
            (if post_only { HIGH_BIT } else { 0 }, price.ticks(), lots.0)
        }
        OrderKind::MarketByLots { lots } => (1, 0, lots.0),
        OrderKind::MarketByQuote { quote } => (2, 0, quote.0),
    };
    out.u8(9, kind);
    out.u8(10, place.time_in_force as u8);
    let has_client_id = if place.client_id.is_some() { HIGH_BIT } else { 0 };
    out.u8(11, place.self_trade_prevention as u8 | has_client_id);
    out.client_id(12, place.client_id);
    out.u64(32, price);
    out.u64(40, amount);
    out.u64(48, place.valid_until_us);
}

#[inline]
fn decode_place(read: &Reader<'_>) -> Result<Place, DecodeError> {
    let kind = match read.u8(9) {
        byte @ (0 | HIGH_BIT) => OrderKind::Limit {
            price: read.price(32)?,
            lots: Lots(read.u64(40)),
            post_only: byte == HIGH_BIT,
        },
        byte @ (1 | 2) => {
            read.zero(32, 40)?;
            match byte {
                1 => OrderKind::MarketByLots { lots: Lots(read.u64(40)) },
                _ => OrderKind::MarketByQuote { quote: Units(read.u64(40)) },
            }
        }
        _ => return Err(DecodeError::Field("order type")),
    };
    let byte = read.u8(11);
    Ok(Place {
        market: read.market()?,
        account: read.account()?,
        side: side(read.u8(8))?,
        kind,
        time_in_force: time_in_force(read.u8(10))?,
        self_trade_prevention: self_trade_prevention(byte & !HIGH_BIT)?,
        client_id: read.client_id(12, byte & HIGH_BIT != 0)?,
        valid_until_us: read.u64(48),
    })
}

fn encode_transfer(out: &mut Writer, transfer: &Transfer) {
    out.u16(2, transfer.asset.0);
    out.u32(4, transfer.account.get());
    out.0[32..48].copy_from_slice(&transfer.id.0.to_le_bytes());
    out.u64(48, transfer.units.0);
}

fn decode_transfer(read: &Reader<'_>) -> Result<Transfer, DecodeError> {
    read.zero(8, 16)?;
    let id = u128::from(read.u64(32)) | u128::from(read.u64(40)) << 64;
    Ok(Transfer {
        account: read.account()?,
        asset: AssetId(read.u16(2)),
        units: Units(read.u64(48)),
        id: TransferId(id),
    })
}

const FLAG_ASK: u8 = 1;
const FLAG_POST_ONLY: u8 = 2;
const FLAG_CLIENT_ID: u8 = 4;
const TIME_IN_FORCE_SHIFT: u32 = 3;
const SELF_TRADE_SHIFT: u32 = 5;

impl Event {
    #[inline]
    pub fn encode(&self) -> Record {
        match self {
            Event::Trade(trade) => {
                let mut out = Writer::new(TRADE);
                out.u8(2, trade.taker_side as u8);
                out.u32(4, trade.maker_account.get());
                out.u64(8, trade.id.0);
                out.u64(16, trade.maker_order.get());
                out.u64(24, trade.price.ticks());
                out.u64(32, trade.lots.0);
                out.u64(40, trade.maker_fee.0);
                out.u64(48, trade.taker_fee.0);
                out.u64(56, trade.maker_lots_left.0);
                out.0
            }
            Event::Closed(closed) => encode_closed(closed),
        }
    }

    #[inline]
    pub fn decode(record: &Record) -> Result<Event, DecodeError> {
        let read = Reader(record);
        read.version()?;
        match read.u8(0) {
            TRADE => {
                read.zero(3, 4)?;
                Ok(Event::Trade(Trade {
                    id: TradeId(read.u64(8)),
                    maker_account: read.account()?,
                    maker_order: read.order(16)?,
                    taker_side: side(read.u8(2))?,
                    price: read.price(24)?,
                    lots: Lots(read.u64(32)),
                    maker_fee: Units(read.u64(40)),
                    taker_fee: Units(read.u64(48)),
                    maker_lots_left: Lots(read.u64(56)),
                }))
            }
            CLOSED => decode_closed(&read).map(Event::Closed),
            kind => Err(DecodeError::Kind(kind)),
        }
    }
}

fn encode_closed(closed: &Closed) -> Record {
    let mut out = Writer::new(CLOSED);
    let mut flags = (closed.time_in_force as u8) << TIME_IN_FORCE_SHIFT
        | (closed.self_trade_prevention as u8) << SELF_TRADE_SHIFT;
    if closed.side == Side::Ask {
        flags |= FLAG_ASK;
    }
    if closed.post_only {
        flags |= FLAG_POST_ONLY;
    }
    if closed.client_id.is_some() {
        flags |= FLAG_CLIENT_ID;
    }
    out.u8(2, closed.reason as u8);
    out.u8(3, flags);
    out.u32(4, closed.account.get());
    out.u64(8, closed.order.get());
    out.u64(16, closed.price.ticks());
    out.u64(24, closed.lots.0);
    out.u64(32, closed.lots_left.0);
    out.u64(40, closed.executed_quote.0);
    out.u64(48, closed.created_us);
    out.client_id(56, closed.client_id);
    out.0
}

fn decode_closed(read: &Reader<'_>) -> Result<Closed, DecodeError> {
    let flags = read.u8(3);
    if flags & HIGH_BIT != 0 {
        return Err(DecodeError::Reserved);
    }
    read.zero(60, 64)?;
    Ok(Closed {
        order: read.order(8)?,
        account: read.account()?,
        client_id: read.client_id(56, flags & FLAG_CLIENT_ID != 0)?,
        side: side(flags & FLAG_ASK)?,
        time_in_force: time_in_force(flags >> TIME_IN_FORCE_SHIFT & 3)?,
        self_trade_prevention: self_trade_prevention(flags >> SELF_TRADE_SHIFT & 3)?,
        post_only: flags & FLAG_POST_ONLY != 0,
        reason: closed_reason(read.u8(2))?,
        price: read.price(16)?,
        lots: Lots(read.u64(24)),
        lots_left: Lots(read.u64(32)),
        executed_quote: Units(read.u64(40)),
        created_us: read.u64(48),
    })
}

pub(crate) fn closed_reason(byte: u8) -> Result<ClosedReason, DecodeError> {
    let found = ClosedReason::ALL.into_iter().find(|reason| *reason as u8 == byte);
    found.ok_or(DecodeError::Field("reason"))
}
