//! Commands as records.

use std::num::NonZeroU32;

use crate::command::{Action, CancelAll, CancelKinds, Command, Transfer};
use crate::ids::{AssetId, GatewayId, Origin, TransferId};
use crate::market::{FeeRate, Increment};
use crate::record::orders::{
    decode_amend, decode_fire, decode_place, decode_place_trigger, decode_target, encode_amend,
    encode_place, encode_target, encode_with_trigger,
};
use crate::record::{DecodeError, Reader, Record, Writer};
use crate::terms::{Listing, LotTerms, Multipliers, PriceTerms};
use crate::trigger::{TriggerDirection, TriggerPlace};
use crate::units::{BookState, Lots, Units};

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
        Action::Amend(amend) => {
            out = Writer::new(AMEND);
            encode_amend(&mut out, amend);
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
        Action::SetCancelAfter { account, holder, timeout_ms } => {
            out = Writer::new(SET_CANCEL_AFTER);
            out.u32(4, account.get());
            out.u32(8, *timeout_ms);
            out.u32(12, holder.0);
        }
        Action::ExpireCancelAfter { account, holder, deadline_us } => {
            out = Writer::new(EXPIRE_CANCEL_AFTER);
            out.u32(4, account.get());
            out.u32(12, holder.0);
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
        PLACE_TRIGGER => Action::PlaceTrigger(decode_place_trigger(read)?),
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
            read.zero(32, 56)?;
            let (account, holder) = (read.account()?, GatewayId(read.u32(12)));
            Action::SetCancelAfter { account, holder, timeout_ms: read.u32(8) }
        }
        EXPIRE_CANCEL_AFTER => {
            read.zero(2, 4)?;
            read.zero(8, 12)?;
            read.zero(32, 48)?;
            let (account, holder) = (read.account()?, GatewayId(read.u32(12)));
            Action::ExpireCancelAfter { account, holder, deadline_us: read.u64(48) }
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
