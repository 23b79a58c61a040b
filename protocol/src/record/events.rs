//! Events as records.

use crate::command::Place;
use crate::event::{Closed, Event, Trade};
use crate::ids::TradeId;
use crate::record::orders::{kind_of, kind_parts, trigger_byte, trigger_parts};
use crate::record::{
    DecodeError, HIGH_BIT, Reader, Record, Writer, closed_reason, self_trade_prevention, side,
    time_in_force,
};
use crate::trigger::{Trigger, WaitingOrder, Withdrawn};
use crate::units::{Lots, Side, Units};

const TRADE: u8 = 64;
const CLOSED: u8 = 65;
const WITHDRAWN: u8 = 66;

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
            Event::Withdrawn(withdrawn) => encode_withdrawn(withdrawn),
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
            WITHDRAWN => decode_withdrawn(&read).map(Event::Withdrawn),
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

fn encode_withdrawn(withdrawn: &Withdrawn) -> Record {
    let WaitingOrder { order, place, trigger, direction, created_us } = &withdrawn.waiting;
    let mut out = Writer::new(WITHDRAWN);
    let (kind, price, amount) = kind_parts(place.kind);
    out.u8(2, withdrawn.reason as u8);
    out.u8(3, kind);
    out.u32(4, place.account.get());
    out.u64(8, order.get());
    out.price(16, price);
    out.price(21, trigger.price.ticks());
    out.u8(26, trigger_byte(place.time_in_force as u8, trigger.by, *direction));
    let has_client_id = if place.client_id.is_some() { HIGH_BIT } else { 0 };
    out.u8(27, place.side as u8 | (place.self_trade_prevention as u8) << 1 | has_client_id);
    out.u64(32, amount);
    out.u64(48, *created_us);
    out.client_id(56, place.client_id);
    out.0
}

fn decode_withdrawn(read: &Reader<'_>) -> Result<Withdrawn, DecodeError> {
    read.zero(28, 32)?;
    read.zero(40, 48)?;
    read.zero(60, 64)?;
    let order = read.order(8)?;
    let (in_force, by, direction) = trigger_parts(read.u8(26))?;
    let flags = read.u8(27);
    let place = Place {
        market: order.market(),
        account: read.account()?,
        side: side(flags & 1)?,
        kind: kind_of(read.u8(3), read.ticks(16), read.u64(32))?,
        time_in_force: time_in_force(in_force)?,
        self_trade_prevention: self_trade_prevention((flags & !HIGH_BIT) >> 1)?,
        client_id: read.client_id(56, flags & HIGH_BIT != 0)?,
        valid_until_us: 0,
    };
    let trigger = Trigger { price: read.short_price(21)?, by };
    let waiting = WaitingOrder { order, place, trigger, direction, created_us: read.u64(48) };
    Ok(Withdrawn { waiting, reason: closed_reason(read.u8(2))? })
}
