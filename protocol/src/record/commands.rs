//! Commands as records.

use std::num::NonZeroU32;

use crate::command::{
    Action, Amend, CancelAll, CancelKinds, Command, OrderKind, Place, Target, Transfer,
};
use crate::ids::{AssetId, ClientId, Origin, TransferId};
use crate::market::{FeeRate, Increment};
use crate::record::{
    DecodeError, HIGH_BIT, Reader, Record, Writer, self_trade_prevention, side, time_in_force,
};
use crate::terms::{Listing, LotTerms, Multipliers, PriceTerms};
use crate::trigger::{Trigger, TriggerBy, TriggerDirection, TriggerPlace, WaitingOrder};
use crate::units::{BookState, Lots, Price, Units};

const PLACE: u8 = 1;
const CANCEL: u8 = 2;
const CANCEL_ALL: u8 = 3;
const CREATE_ACCOUNT: u8 = 4;
const DEPOSIT: u8 = 5;
const WITHDRAW: u8 = 6;
const SET_BOOK_STATE: u8 = 7;
const PLACE_TRIGGER: u8 = 8;
const FIRE: u8 = 9;
const AMEND: u8 = 10;
const SET_CANCEL_AFTER: u8 = 11;
const EXPIRE_CANCEL_AFTER: u8 = 12;
const LIST_MARKET: u8 = 13;
const SET_PRICE_TERMS: u8 = 14;
const SET_LOT_TERMS: u8 = 15;

const US_PER_MS: u64 = 1000;
/// Of a time in six bytes, in milliseconds.
const MS_MAX: u64 = (1 << 48) - 1;
/// Beside the time in force.
const FALLS: u8 = 1 << 3;
const WATCHED_SHIFT: u32 = 4;

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
                encode_target(&mut out, target);
            }
            _ => out = encode_rarer(&self.action),
        }
        // What fires is the engine's own: its record has other things to carry there.
        if !matches!(self.action, Action::Fire(_)) {
            out.origin(self.origin);
        }
        out.u64(56, self.time_us);
        out.0
    }

    #[inline]
    pub fn decode(record: &Record) -> Result<Command, DecodeError> {
        let read = Reader(record);
        read.version()?;
        let (mut origin, time_us) = (read.origin(), read.u64(56));
        let action = match read.u8(0) {
            PLACE => Action::Place(decode_place(&read)?),
            CANCEL => {
                read.zero(8, 11)?;
                read.zero(40, 56)?;
                let (market, account) = (read.market()?, read.account()?);
                Action::Cancel { market, account, target: decode_target(&read)? }
            }
            FIRE => {
                origin = Origin::INTERNAL;
                Action::Fire(decode_fire(&read)?)
            }
            _ => decode_rarer(&read)?,
        };
        Ok(Command { origin, time_us, action })
    }

    /// As [`Command::decode`], from bytes of unknown length.
    pub fn decode_slice(bytes: &[u8]) -> Result<Command, DecodeError> {
        let record = bytes.try_into().map_err(|_| DecodeError::Length(bytes.len()))?;
        Self::decode(record)
    }
}

fn encode_rarer(action: &Action) -> Writer {
    let mut out;
    match action {
        Action::Place(_) | Action::Cancel { .. } => {
            unreachable!("Invariant: those are written where the rarer ones are told apart")
        }
        Action::CancelAll(CancelAll { market, account, kinds, created_until_us }) => {
            out = Writer::new(CANCEL_ALL);
            out.u16(2, market.0);
            out.u32(4, account.get());
            out.u8(8, *kinds as u8);
            out.u64(48, *created_until_us);
        }
        Action::PlaceTrigger(TriggerPlace { place, trigger }) => {
            out = Writer::new(PLACE_TRIGGER);
            encode_with_trigger(&mut out, place, trigger, TriggerDirection::Rise);
        }
        Action::Fire(waiting) => {
            out = Writer::new(FIRE);
            encode_with_trigger(&mut out, &waiting.place, &waiting.trigger, waiting.direction);
            out.u64(16, waiting.order.get());
            out.u64(24, waiting.created_us);
        }
        Action::Amend(amend) => out = encode_amend(amend),
        Action::CreateAccount => out = Writer::new(CREATE_ACCOUNT),
        Action::Deposit(transfer) => {
            out = Writer::new(DEPOSIT);
            encode_transfer(&mut out, transfer);
        }
        Action::Withdraw(transfer) => {
            out = Writer::new(WITHDRAW);
            encode_transfer(&mut out, transfer);
        }
        Action::SetCancelAfter { account, timeout_ms } => {
            out = Writer::new(SET_CANCEL_AFTER);
            out.u32(4, account.get());
            out.u32(8, *timeout_ms);
        }
        Action::ExpireCancelAfter { account, deadline_us } => {
            out = Writer::new(EXPIRE_CANCEL_AFTER);
            out.u32(4, account.get());
            out.u64(48, *deadline_us);
        }
        Action::ListMarket(listing) => out = encode_listing(listing),
        Action::SetPriceTerms { market, terms } => {
            out = Writer::new(SET_PRICE_TERMS);
            out.u16(2, market.0);
            encode_price_terms(&mut out, terms);
        }
        Action::SetLotTerms { market, terms } => {
            out = Writer::new(SET_LOT_TERMS);
            out.u16(2, market.0);
            out.u32(8, terms.maker_fee.millionths);
            out.u32(12, terms.taker_fee.millionths);
            out.u64(32, terms.lots_min.0);
            out.u64(40, terms.lots_max.0);
        }
        Action::SetBookState { market, state } => {
            out = Writer::new(SET_BOOK_STATE);
            out.u16(2, market.0);
            out.u8(8, *state as u8);
        }
    }
    out
}

fn decode_rarer(read: &Reader<'_>) -> Result<Action, DecodeError> {
    Ok(match read.u8(0) {
        CANCEL_ALL => {
            read.zero(9, 16)?;
            read.zero(32, 48)?;
            Action::CancelAll(CancelAll {
                market: read.market()?,
                account: read.account()?,
                kinds: cancel_kinds(read.u8(8))?,
                created_until_us: read.u64(48),
            })
        }
        PLACE_TRIGGER => {
            let (mut place, trigger, direction) = decode_with_trigger(read)?;
            if direction != TriggerDirection::Rise {
                return Err(DecodeError::Reserved);
            }
            place.valid_until_us = read_ms(read, 42) * US_PER_MS;
            Action::PlaceTrigger(TriggerPlace { place, trigger })
        }
        AMEND => Action::Amend(decode_amend(read)?),
        CREATE_ACCOUNT => {
            read.zero(2, 16)?;
            read.zero(32, 56)?;
            Action::CreateAccount
        }
        DEPOSIT => Action::Deposit(decode_transfer(read)?),
        WITHDRAW => Action::Withdraw(decode_transfer(read)?),
        SET_CANCEL_AFTER => {
            read.zero(2, 4)?;
            read.zero(12, 16)?;
            read.zero(32, 56)?;
            Action::SetCancelAfter { account: read.account()?, timeout_ms: read.u32(8) }
        }
        EXPIRE_CANCEL_AFTER => {
            read.zero(2, 4)?;
            read.zero(8, 16)?;
            read.zero(32, 48)?;
            Action::ExpireCancelAfter { account: read.account()?, deadline_us: read.u64(48) }
        }
        LIST_MARKET => Action::ListMarket(decode_listing(read)?),
        SET_PRICE_TERMS => {
            read.zero(4, 8)?;
            read.zero(50, 56)?;
            Action::SetPriceTerms { market: read.market()?, terms: decode_price_terms(read)? }
        }
        SET_LOT_TERMS => {
            read.zero(4, 8)?;
            read.zero(48, 56)?;
            let terms = LotTerms {
                lots_min: Lots(read.u64(32)),
                lots_max: Lots(read.u64(40)),
                maker_fee: FeeRate { millionths: read.u32(8) },
                taker_fee: FeeRate { millionths: read.u32(12) },
            };
            Action::SetLotTerms { market: read.market()?, terms }
        }
        SET_BOOK_STATE => {
            read.zero(4, 8)?;
            read.zero(9, 16)?;
            read.zero(32, 56)?;
            Action::SetBookState { market: read.market()?, state: book_state(read.u8(8))? }
        }
        kind => return Err(DecodeError::Kind(kind)),
    })
}

/// All of a new order but price, amount and bound.
#[inline]
fn encode_terms(out: &mut Writer, place: &Place) -> (u64, u64) {
    out.u16(2, place.market.0);
    out.u32(4, place.account.get());
    out.u8(8, place.side as u8);
    let (kind, price, amount) = kind_parts(place.kind);
    out.u8(9, kind);
    out.u8(10, place.time_in_force as u8);
    let has_client_id = if place.client_id.is_some() { HIGH_BIT } else { 0 };
    out.u8(11, place.self_trade_prevention as u8 | has_client_id);
    out.client_id(12, place.client_id);
    (price, amount)
}

/// Order type with its flag, price in ticks or 0, lots or quote units.
#[inline]
pub(super) const fn kind_parts(kind: OrderKind) -> (u8, u64, u64) {
    match kind {
        OrderKind::Limit { price, lots, post_only } => {
            (if post_only { HIGH_BIT } else { 0 }, price.ticks(), lots.0)
        }
        OrderKind::MarketByLots { lots } => (1, 0, lots.0),
        OrderKind::MarketByQuote { quote } => (2, 0, quote.0),
    }
}

/// The inverse of [`kind_parts`].
#[inline]
pub(super) fn kind_of(byte: u8, price: u64, amount: u64) -> Result<OrderKind, DecodeError> {
    match byte {
        0 | HIGH_BIT => Ok(OrderKind::Limit {
            price: Price::from_ticks(price).ok_or(DecodeError::Field("price"))?,
            lots: Lots(amount),
            post_only: byte == HIGH_BIT,
        }),
        1 | 2 if price != 0 => Err(DecodeError::Reserved),
        1 => Ok(OrderKind::MarketByLots { lots: Lots(amount) }),
        2 => Ok(OrderKind::MarketByQuote { quote: Units(amount) }),
        _ => Err(DecodeError::Field("order type")),
    }
}

#[inline]
fn encode_place(out: &mut Writer, place: &Place) {
    let (price, amount) = encode_terms(out, place);
    out.u64(32, price);
    out.u64(40, amount);
    out.u64(48, place.valid_until_us);
}

#[inline]
fn decode_place(read: &Reader<'_>) -> Result<Place, DecodeError> {
    let kind = kind_of(read.u8(9), read.u64(32), read.u64(40))?;
    let place = decode_terms(read, kind, read.u8(10))?;
    Ok(Place { valid_until_us: read.u64(48), ..place })
}

#[inline]
fn decode_terms(read: &Reader<'_>, kind: OrderKind, in_force: u8) -> Result<Place, DecodeError> {
    let byte = read.u8(11);
    Ok(Place {
        market: read.market()?,
        account: read.account()?,
        side: side(read.u8(8))?,
        kind,
        time_in_force: time_in_force(in_force)?,
        self_trade_prevention: self_trade_prevention(byte & !HIGH_BIT)?,
        client_id: read.client_id(12, byte & HIGH_BIT != 0)?,
        valid_until_us: 0,
    })
}

/// The bound is rounded up to milliseconds; where there is none, it is zero.
fn encode_with_trigger(
    out: &mut Writer,
    place: &Place,
    trigger: &Trigger,
    direction: TriggerDirection,
) {
    let (price, amount) = encode_terms(out, place);
    out.u8(10, trigger_byte(place.time_in_force as u8, trigger.by, direction));
    out.price(32, price);
    out.price(37, trigger.price.ticks());
    write_ms(out, 42, place.valid_until_us.div_ceil(US_PER_MS));
    out.u64(48, amount);
}

fn decode_with_trigger(
    read: &Reader<'_>,
) -> Result<(Place, Trigger, TriggerDirection), DecodeError> {
    let kind = kind_of(read.u8(9), read.ticks(32), read.u64(48))?;
    let (in_force, by, direction) = trigger_parts(read.u8(10))?;
    let trigger = Trigger { price: read.short_price(37)?, by };
    Ok((decode_terms(read, kind, in_force)?, trigger, direction))
}

fn decode_fire(read: &Reader<'_>) -> Result<WaitingOrder, DecodeError> {
    let (place, trigger, direction) = decode_with_trigger(read)?;
    read.zero(42, 48)?;
    let order = read.order(16)?;
    if order.market() != place.market {
        return Err(DecodeError::Field("order"));
    }
    Ok(WaitingOrder { order, place, trigger, direction, created_us: read.u64(24) })
}

/// Time in force, what is watched, and which way, in one byte.
pub(super) const fn trigger_byte(
    time_in_force: u8,
    by: TriggerBy,
    direction: TriggerDirection,
) -> u8 {
    let falls = match direction {
        TriggerDirection::Rise => 0,
        TriggerDirection::Fall => FALLS,
    };
    time_in_force | falls | (by as u8) << WATCHED_SHIFT
}

/// The inverse of [`trigger_byte`]; the time in force is still a number.
pub(super) fn trigger_parts(byte: u8) -> Result<(u8, TriggerBy, TriggerDirection), DecodeError> {
    let watched = byte >> WATCHED_SHIFT;
    let by = TriggerBy::ALL.into_iter().find(|by| *by as u8 == watched);
    let direction = if byte & FALLS == 0 { TriggerDirection::Rise } else { TriggerDirection::Fall };
    Ok((byte & (FALLS - 1), by.ok_or(DecodeError::Field("trigger"))?, direction))
}

fn encode_amend(amend: &Amend) -> Writer {
    let mut out = Writer::new(AMEND);
    out.u16(2, amend.market.0);
    out.u32(4, amend.account.get());
    encode_target(&mut out, &amend.target);
    out.price(40, amend.price.map_or(0, Price::ticks));
    let until = amend.valid_until_us.div_ceil(US_PER_MS).min(MS_MAX).to_le_bytes();
    out.0[8..11].copy_from_slice(&until[..3]);
    out.0[45..48].copy_from_slice(&until[3..6]);
    out.u64(48, amend.lots.map_or(0, |lots| lots.0));
    out
}

fn decode_amend(read: &Reader<'_>) -> Result<Amend, DecodeError> {
    let mut until = [0; 8];
    until[..3].copy_from_slice(&read.0[8..11]);
    until[3..6].copy_from_slice(&read.0[45..48]);
    let price = match read.ticks(40) {
        0 => None,
        _ => Some(read.short_price(40)?),
    };
    Ok(Amend {
        market: read.market()?,
        account: read.account()?,
        target: decode_target(read)?,
        price,
        lots: Some(Lots(read.u64(48))).filter(|lots| !lots.is_zero()),
        valid_until_us: u64::from_le_bytes(until) * US_PER_MS,
    })
}

fn write_ms(out: &mut Writer, at: usize, milliseconds: u64) {
    out.0[at..at + 6].copy_from_slice(&milliseconds.min(MS_MAX).to_le_bytes()[..6]);
}

fn read_ms(read: &Reader<'_>, at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(&read.0[at..at + 6]);
    u64::from_le_bytes(bytes)
}

#[inline]
fn encode_target(out: &mut Writer, target: &Target) {
    match target {
        Target::Order(order) => out.u64(32, order.get()),
        Target::Client(client_id) => {
            out.u8(11, HIGH_BIT);
            out.u32(12, client_id.0);
        }
    }
}

#[inline]
fn decode_target(read: &Reader<'_>) -> Result<Target, DecodeError> {
    match read.u8(11) {
        0 => {
            read.zero(12, 16)?;
            Ok(Target::Order(read.order(32)?))
        }
        HIGH_BIT => {
            read.zero(32, 40)?;
            Ok(Target::Client(ClientId(read.u32(12))))
        }
        _ => Err(DecodeError::Reserved),
    }
}

fn encode_listing(listing: &Listing) -> Writer {
    let mut out = Writer::new(LIST_MARKET);
    out.u16(2, listing.market.0);
    out.u16(8, listing.base.0);
    out.u16(10, listing.quote.0);
    // Scales are decimals of a number that fits 64 bits, so far below 256.
    out.u8(12, listing.tick.scale as u8);
    out.u8(13, listing.step.scale as u8);
    out.u64(32, listing.tick.mantissa);
    out.u64(40, listing.step.mantissa);
    out
}

fn decode_listing(read: &Reader<'_>) -> Result<Listing, DecodeError> {
    read.zero(4, 8)?;
    read.zero(14, 16)?;
    read.zero(48, 56)?;
    let increment = |mantissa, scale| Increment {
        mantissa: read.u64(mantissa),
        scale: u32::from(read.u8(scale)),
    };
    Ok(Listing {
        market: read.market()?,
        base: AssetId(read.u16(8)),
        quote: AssetId(read.u16(10)),
        tick: increment(32, 12),
        step: increment(40, 13),
    })
}

fn encode_price_terms(out: &mut Writer, terms: &PriceTerms) {
    out.price(32, terms.price_min.ticks());
    out.price(37, terms.price_max.ticks());
    for (at, factor) in [
        (8, terms.band.min_millionths),
        (12, terms.band.max_millionths),
        (42, terms.impact.min_millionths),
        (46, terms.impact.max_millionths),
    ] {
        out.u32(at, factor.map_or(0, NonZeroU32::get));
    }
}

fn decode_price_terms(read: &Reader<'_>) -> Result<PriceTerms, DecodeError> {
    let multipliers = |min, max| Multipliers {
        min_millionths: NonZeroU32::new(read.u32(min)),
        max_millionths: NonZeroU32::new(read.u32(max)),
    };
    Ok(PriceTerms {
        price_min: read.short_price(32)?,
        price_max: read.short_price(37)?,
        band: multipliers(8, 12),
        impact: multipliers(42, 46),
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

fn book_state(byte: u8) -> Result<BookState, DecodeError> {
    let found = BookState::ALL.into_iter().find(|state| *state as u8 == byte);
    found.ok_or(DecodeError::Field("book state"))
}

fn cancel_kinds(byte: u8) -> Result<CancelKinds, DecodeError> {
    let found = CancelKinds::ALL.into_iter().find(|kinds| *kinds as u8 == byte);
    found.ok_or(DecodeError::Field("kinds"))
}
