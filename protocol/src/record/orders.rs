//! Orders as commands carry them: placed, waiting for a trigger, amended; and how one is named.

use crate::command::{Amend, OrderKind, Place, Target};
use crate::ids::ClientId;
use crate::record::{
    DecodeError, HIGH_BIT, Reader, Writer, self_trade_prevention, side, time_in_force,
};
use crate::trigger::{Trigger, TriggerBy, TriggerDirection, TriggerPlace, WaitingOrder};
use crate::units::{Lots, Price, Units};

const US_PER_MS: u64 = 1000;
/// Of a time in six bytes, in milliseconds.
const MS_MAX: u64 = (1 << 48) - 1;
/// Beside the time in force.
const FALLS: u8 = 1 << 3;
const WATCHED_SHIFT: u32 = 4;

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
pub(super) fn encode_place(out: &mut Writer, place: &Place) {
    let (price, amount) = encode_terms(out, place);
    out.u64(32, price);
    out.u64(40, amount);
    out.u64(48, place.valid_until_us);
}

#[inline]
pub(super) fn decode_place(read: &Reader<'_>) -> Result<Place, DecodeError> {
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
pub(super) fn encode_with_trigger(
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

pub(super) fn decode_place_trigger(read: &Reader<'_>) -> Result<TriggerPlace, DecodeError> {
    let (mut place, trigger, direction) = decode_with_trigger(read)?;
    // Which way is decided by the engine.
    if direction != TriggerDirection::Rise {
        return Err(DecodeError::Reserved);
    }
    place.valid_until_us = read_ms(read, 42) * US_PER_MS;
    Ok(TriggerPlace { place, trigger })
}

pub(super) fn decode_fire(read: &Reader<'_>) -> Result<WaitingOrder, DecodeError> {
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

pub(super) fn encode_amend(out: &mut Writer, amend: &Amend) {
    out.u16(2, amend.market.0);
    out.u32(4, amend.account.get());
    encode_target(out, &amend.target);
    out.price(40, amend.price.map_or(0, Price::ticks));
    let until = amend.valid_until_us.div_ceil(US_PER_MS).min(MS_MAX).to_le_bytes();
    out.0[8..11].copy_from_slice(&until[..3]);
    out.0[45..48].copy_from_slice(&until[3..6]);
    out.u64(48, amend.lots.map_or(0, |lots| lots.0));
}

pub(super) fn decode_amend(read: &Reader<'_>) -> Result<Amend, DecodeError> {
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
pub(super) fn encode_target(out: &mut Writer, target: &Target) {
    match target {
        Target::Order(order) => out.u64(32, order.get()),
        Target::Client(client_id) => {
            out.u8(11, HIGH_BIT);
            out.u32(12, client_id.0);
        }
    }
}

#[inline]
pub(super) fn decode_target(read: &Reader<'_>) -> Result<Target, DecodeError> {
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
