//! What a frame did to balances and fees: the one place that derives it.
//!
//! The replica applies these changes, the sink stores them, and tests compare them with the
//! engine's ledger. Their sum per asset is zero but for deposits and withdrawals.

use crate::command::{Action, Amend, OrderKind, Place};
use crate::event::{ClosedReason, Event, Outcome, Trade};
use crate::frame::Frame;
use crate::ids::{AccountId, AssetId};
use crate::market::MarketSpec;
use crate::trigger::WaitingOrder;
use crate::units::{Side, Units};

/// Who owns units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Holder {
    /// Fees collected by the exchange.
    Fees,
    Account(AccountId),
}

/// A change of one balance, in units. Several changes of one frame may name the same balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BalanceChange {
    pub holder: Holder,
    pub asset: AssetId,
    pub available: i128,
    pub locked: i128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EffectsError {
    #[error("the frame belongs to another market")]
    OtherMarket,
    #[error("an amount is beyond what can be counted")]
    AmountOutOfRange,
    #[error("an amended order is not told as it stood before")]
    Amended,
}

/// Calls `change` for each balance change of `frame`. `market` is the frame's market; `None` for
/// frames of the accounts stream.
pub fn balance_changes(
    frame: &Frame<'_>,
    market: Option<&MarketSpec>,
    mut change: impl FnMut(BalanceChange),
) -> Result<(), EffectsError> {
    if !frame.is_effective() {
        return Ok(());
    }
    match &frame.command.action {
        Action::CreateAccount
        | Action::PlaceTrigger(_)
        | Action::SetCancelAfter { .. }
        | Action::ExpireCancelAfter { .. }
        | Action::ListMarket(_)
        | Action::SetPriceTerms { .. }
        | Action::SetLotTerms { .. }
        | Action::SetBookState { .. } => Ok(()),
        Action::Deposit(transfer) | Action::Withdraw(transfer) => {
            let units = i128::from(transfer.units.0);
            let is_deposit = matches!(frame.command.action, Action::Deposit(_));
            change(BalanceChange {
                holder: Holder::Account(transfer.account),
                asset: transfer.asset,
                available: if is_deposit { units } else { -units },
                locked: 0,
            });
            Ok(())
        }
        Action::Place(place) | Action::Fire(WaitingOrder { place, .. }) => {
            let market = market_of(frame, market)?;
            closed_changes(frame, market, &mut change)?;
            for trade in frame.trades() {
                trade_changes(place.account, &trade, market, &mut change)?;
            }
            rest_change(place, frame.header.outcome, market, &mut change)
        }
        Action::Amend(amend) => amend_changes(frame, amend, market_of(frame, market)?, &mut change),
        Action::Cancel { .. } | Action::CancelAll(_) => {
            closed_changes(frame, market_of(frame, market)?, &mut change)
        }
    }
}

/// The order as it stood is closed, as amended, before it trades or rests as it is to be.
fn amend_changes(
    frame: &Frame<'_>,
    amend: &Amend,
    market: &MarketSpec,
    change: &mut impl FnMut(BalanceChange),
) -> Result<(), EffectsError> {
    closed_changes(frame, market, change)?;
    for trade in frame.trades() {
        trade_changes(amend.account, &trade, market, change)?;
    }
    let Outcome::Rested { lots_left, .. } = frame.header.outcome else { return Ok(()) };
    let amended = |event| match event {
        Event::Closed(closed) if closed.reason == ClosedReason::Amended => Some(closed),
        _ => None,
    };
    let closed = frame.events().find_map(amended).ok_or(EffectsError::Amended)?;
    let price = amend.price.unwrap_or(closed.price);
    rest(amend.account, closed.side, market.hold(closed.side, price, lots_left), market, change)
}

fn market_of<'m>(
    frame: &Frame<'_>,
    market: Option<&'m MarketSpec>,
) -> Result<&'m MarketSpec, EffectsError> {
    market.filter(|market| market.id == frame.command.market()).ok_or(EffectsError::OtherMarket)
}

/// What an order that came to rest now holds.
fn rest_change(
    place: &Place,
    outcome: Outcome,
    market: &MarketSpec,
    change: &mut impl FnMut(BalanceChange),
) -> Result<(), EffectsError> {
    let (Outcome::Rested { lots_left, .. }, OrderKind::Limit { price, .. }) = (outcome, place.kind)
    else {
        return Ok(());
    };
    rest(place.account, place.side, market.hold(place.side, price, lots_left), market, change)
}

fn rest(
    account: AccountId,
    side: Side,
    held: Option<Units>,
    market: &MarketSpec,
    change: &mut impl FnMut(BalanceChange),
) -> Result<(), EffectsError> {
    let held = signed(held)?;
    change(BalanceChange {
        holder: Holder::Account(account),
        asset: market.paid_asset(side),
        available: -held,
        locked: held,
    });
    Ok(())
}

/// What closed orders release.
fn closed_changes(
    frame: &Frame<'_>,
    market: &MarketSpec,
    change: &mut impl FnMut(BalanceChange),
) -> Result<(), EffectsError> {
    for event in frame.events() {
        let Event::Closed(closed) = event else { continue };
        let released = signed(market.hold(closed.side, closed.price, closed.lots_left))?;
        change(BalanceChange {
            holder: Holder::Account(closed.account),
            asset: market.paid_asset(closed.side),
            available: released,
            locked: -released,
        });
    }
    Ok(())
}

/// The maker pays from what its order holds; the taker from what was available before the command.
fn trade_changes(
    taker: AccountId,
    trade: &Trade,
    market: &MarketSpec,
    change: &mut impl FnMut(BalanceChange),
) -> Result<(), EffectsError> {
    let maker_side = trade.taker_side.opposite();
    let maker_pays = signed(market.hold(maker_side, trade.price, trade.lots))?;
    let taker_pays = signed(market.hold(trade.taker_side, trade.price, trade.lots))?;
    let (maker_fee, taker_fee) = (i128::from(trade.maker_fee.0), i128::from(trade.taker_fee.0));
    let (maker_gets, taker_gets) = (taker_pays, maker_pays);
    let mut one = |holder, asset, available, locked| {
        change(BalanceChange { holder, asset, available, locked });
    };
    let (maker, taker) = (Holder::Account(trade.maker_account), Holder::Account(taker));
    one(maker, market.paid_asset(maker_side), 0, -maker_pays);
    one(maker, market.received_asset(maker_side), maker_gets - maker_fee, 0);
    one(taker, market.paid_asset(trade.taker_side), -taker_pays, 0);
    one(taker, market.received_asset(trade.taker_side), taker_gets - taker_fee, 0);
    one(Holder::Fees, market.received_asset(maker_side), maker_fee, 0);
    one(Holder::Fees, market.received_asset(trade.taker_side), taker_fee, 0);
    Ok(())
}

fn signed(units: Option<Units>) -> Result<i128, EffectsError> {
    units.map(|units| i128::from(units.0)).ok_or(EffectsError::AmountOutOfRange)
}
