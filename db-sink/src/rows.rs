//! A frame as rows of the database. Pure: the same frame is always the same rows.

use protocol::effects::{self, BalanceChange};
use protocol::{
    Action, Amend, ClosedReason, Event, Frame, Lots, MarketId, MarketSpec, OrderId, Outcome, Place,
    Side, Trade, Transfer, TriggerPlace, WaitingOrder,
};

use crate::columns::{
    At, account, asset, client_id, delta, lots, order_id, price, signed, sum, time, units,
};
use crate::error::RowError;
use crate::order_events::{
    closed_order, filled_maker, placement, waiting_order, with_trigger, withdrawn_order,
};
use crate::tables::{
    BalanceChangeRow, Cause, FEES, FillRow, OrderEventKind, OrderEventRow, OtherBalance, Rows,
    TradeRow, TransferRow,
};

/// The frame's own order on its way to market.
struct Entrant<'a> {
    place: &'a Place,
    /// Its row as far as it does not depend on what becomes of it; what was executed before.
    row: OrderEventRow,
    order: OrderId,
}

impl Rows {
    /// Adds the rows of one frame. `market` is the market of the stream it came on, `None` for the
    /// stream of accounts. On an error nothing has been added.
    pub fn append(
        &mut self,
        frame: &Frame<'_>,
        market: Option<&MarketSpec>,
    ) -> Result<(), RowError> {
        let lengths = self.lengths();
        let result = self.append_all(frame, market);
        if result.is_err() {
            self.truncate(lengths);
        }
        result
    }

    fn append_all(
        &mut self,
        frame: &Frame<'_>,
        market: Option<&MarketSpec>,
    ) -> Result<(), RowError> {
        if frame.command.market() != market.map_or(MarketId::ACCOUNTS, |market| market.id) {
            return Err(RowError::OtherStream);
        }
        if !frame.is_effective() {
            return Ok(());
        }
        let at = At::of(frame)?;
        let cause = match &frame.command.action {
            // Nothing of these is stored; their frames count in the position alone.
            Action::CreateAccount
            | Action::SetCancelAfter { .. }
            | Action::ExpireCancelAfter { .. }
            | Action::ListMarket(_)
            | Action::SetPriceTerms { .. }
            | Action::SetLotTerms { .. }
            | Action::SetBookState { .. } => return Ok(()),
            Action::PlaceTrigger(placed) => return self.place_trigger(&at, frame, placed),
            Action::Deposit(transfer) => self.transfer(&at, Cause::Deposit, transfer)?,
            Action::Withdraw(transfer) => self.transfer(&at, Cause::Withdrawal, transfer)?,
            Action::Place(place) => {
                let order = frame.header.outcome.order().ok_or(RowError::Outcome)?;
                let entrant = Entrant { place, row: placement(&at, place, order)?, order };
                self.enter(&at, frame, entrant, market.ok_or(RowError::UnknownMarket)?)?;
                Cause::Place
            }
            Action::Fire(waiting) => {
                self.fire(&at, frame, waiting, market.ok_or(RowError::UnknownMarket)?)?;
                Cause::Fire
            }
            Action::Amend(amend) => {
                self.amend(&at, frame, amend, market.ok_or(RowError::UnknownMarket)?)?;
                Cause::Amend
            }
            Action::Cancel { .. } => {
                self.closed(&at, frame, 0)?;
                Cause::Cancel
            }
            Action::CancelAll(_) => {
                self.closed(&at, frame, 0)?;
                Cause::CancelAll
            }
        };
        self.balances(&at, frame, market, cause)
    }

    fn transfer(&mut self, at: &At, kind: Cause, transfer: &Transfer) -> Result<Cause, RowError> {
        self.transfers.push(TransferRow {
            account_id: account(transfer.account)?,
            kind,
            asset_id: asset(transfer.asset)?,
            ts: at.ts,
            sequence: at.sequence,
            units: units(transfer.units)?,
            transfer_id: transfer.id.0,
        });
        Ok(kind)
    }

    fn place_trigger(
        &mut self,
        at: &At,
        frame: &Frame<'_>,
        placed: &TriggerPlace,
    ) -> Result<(), RowError> {
        let Outcome::Waits { order, .. } = frame.header.outcome else {
            return Err(RowError::Outcome);
        };
        self.order_events.push(waiting_order(at, &placed.place, order, &placed.trigger)?);
        Ok(())
    }

    /// A waiting order goes to market, or is refused.
    fn fire(
        &mut self,
        at: &At,
        frame: &Frame<'_>,
        waiting: &WaitingOrder,
        market: &MarketSpec,
    ) -> Result<(), RowError> {
        let WaitingOrder { order, place, trigger, .. } = waiting;
        let (created_at, triggered_at) = (Some(time(waiting.created_us)?), Some(at.ts));
        if let Outcome::TriggerFailed { refusal, .. } = frame.header.outcome {
            self.order_events.push(OrderEventRow {
                kind: OrderEventKind::TriggerFailed,
                created_at,
                triggered_at,
                refusal: Some(refusal as i16),
                ..waiting_order(at, place, *order, trigger)?
            });
            return Ok(());
        }
        let row = with_trigger(placement(at, place, *order)?, trigger)?;
        let row = OrderEventRow { created_at, triggered_at, ..row };
        self.enter(at, frame, Entrant { place, row, order: *order }, market)
    }

    /// The order as it is from here on; it goes to market once more unless it still waits.
    fn amend(
        &mut self,
        at: &At,
        frame: &Frame<'_>,
        amend: &Amend,
        market: &MarketSpec,
    ) -> Result<(), RowError> {
        match frame.events().next() {
            Some(Event::Closed(before)) if before.reason == ClosedReason::Amended => {
                let place = amend.of_resting(&before);
                let row = closed_order(at, &before, 0)?;
                let row = OrderEventRow {
                    executed_lots: row.executed_lots,
                    executed_quote_units: row.executed_quote_units,
                    created_at: row.created_at,
                    ..placement(at, &place, before.order)?
                };
                let entrant = Entrant { place: &place, row, order: before.order };
                self.enter(at, frame, entrant, market)
            }
            Some(Event::Withdrawn(before)) if before.reason == ClosedReason::Amended => {
                let WaitingOrder { order, place, trigger, created_us, .. } = before.waiting;
                let kind = amend.of_waiting(place.kind).ok_or(RowError::Outcome)?;
                let row = waiting_order(at, &Place { kind, ..place }, order, &trigger)?;
                let created_at = Some(time(created_us)?);
                self.order_events.push(OrderEventRow { created_at, ..row });
                Ok(())
            }
            _ => Err(RowError::Outcome),
        }
    }

    /// The frame's own order, what it traded, the makers it filled, and the makers it pushed out.
    fn enter(
        &mut self,
        at: &At,
        frame: &Frame<'_>,
        entrant: Entrant<'_>,
        market: &MarketSpec,
    ) -> Result<(), RowError> {
        let (order, kind, reason, lots_left) = match frame.header.outcome {
            Outcome::Rested { order, lots_left } => {
                (order, OrderEventKind::Rested, None, lots_left)
            }
            Outcome::Filled { order } => (order, OrderEventKind::Filled, None, Lots::ZERO),
            Outcome::Expired { order, lots_left, reason } => {
                (order, OrderEventKind::Expired, Some(reason as i16), lots_left)
            }
            _ => return Err(RowError::Outcome),
        };
        let Entrant { place, row: mut placed, order: expected } = entrant;
        if order != expected {
            return Err(RowError::Outcome);
        }
        let mut executed_lots = placed.executed_lots.unwrap_or(0);
        let mut executed_quote = placed.executed_quote_units.unwrap_or(0);
        let placement_at = self.order_events.len();
        self.order_events.push(placed);
        let mut sub = 1;
        for (trade, number) in frame.trades().zip(0..) {
            let traded = self.trade(at, &trade, number, place, order, market)?;
            executed_lots = sum(executed_lots, traded.lots, "executed lots")?;
            executed_quote = sum(executed_quote, traded.quote_units, "executed quote")?;
            if trade.maker_lots_left.is_zero() {
                self.order_events.push(filled_maker(at, &trade, sub)?);
                sub += 1;
            }
        }
        (placed.kind, placed.reason) = (kind, reason);
        placed.lots_left = lots(lots_left)?;
        placed.executed_lots = Some(executed_lots);
        placed.executed_quote_units = Some(executed_quote);
        self.order_events[placement_at] = placed;
        self.closed(at, frame, sub)
    }

    /// One trade and its two fills.
    fn trade(
        &mut self,
        at: &At,
        trade: &Trade,
        number: i32,
        place: &Place,
        taker_order: OrderId,
        market: &MarketSpec,
    ) -> Result<TradeRow, RowError> {
        let quote = market.notional(trade.price, trade.lots);
        let row = TradeRow {
            market_id: at.market_id,
            taker_side: trade.taker_side as i16,
            ts: at.ts,
            trade_id: signed(trade.id.0, "trade id")?,
            sequence: at.sequence,
            price_ticks: price(trade.price)?,
            lots: lots(trade.lots)?,
            quote_units: units(quote.ok_or(RowError::OutOfRange("notional"))?)?,
            maker_order_id: order_id(trade.maker_order)?,
            taker_order_id: order_id(taker_order)?,
        };
        self.trades.push(row);
        let fill = |side: Side, sub, is_maker, account_id, order_id, fee| {
            Ok::<_, RowError>(FillRow {
                account_id,
                sub,
                ts: at.ts,
                sequence: at.sequence,
                market_id: at.market_id,
                side: side as i16,
                is_maker,
                fee_asset_id: asset(market.received_asset(side))?,
                trade_id: row.trade_id,
                order_id,
                client_id: place.client_id.filter(|_| !is_maker).map(client_id),
                price_ticks: row.price_ticks,
                lots: row.lots,
                quote_units: row.quote_units,
                fee_units: units(fee)?,
            })
        };
        let (maker, taker) = (account(trade.maker_account)?, account(place.account)?);
        let maker_side = trade.taker_side.opposite();
        let (first, second) = (2 * number, 2 * number + 1);
        let maker = fill(maker_side, first, true, maker, row.maker_order_id, trade.maker_fee)?;
        let taker =
            fill(trade.taker_side, second, false, taker, row.taker_order_id, trade.taker_fee)?;
        self.fills.extend([maker, taker]);
        Ok(row)
    }

    /// Orders that ended without trading; `sub` numbers the frame's order events. One that is
    /// amended has not ended.
    fn closed(&mut self, at: &At, frame: &Frame<'_>, mut sub: i32) -> Result<(), RowError> {
        for event in frame.events() {
            let row = match event {
                Event::Closed(closed) if closed.reason != ClosedReason::Amended => {
                    closed_order(at, &closed, sub)?
                }
                Event::Withdrawn(withdrawn) if withdrawn.reason != ClosedReason::Amended => {
                    withdrawn_order(at, &withdrawn, sub)?
                }
                Event::Closed(_) | Event::Withdrawn(_) | Event::Trade(_) => continue,
            };
            self.order_events.push(row);
            sub += 1;
        }
        Ok(())
    }

    /// One row for each account whose balances the frame changed, however many changes it had.
    fn balances(
        &mut self,
        at: &At,
        frame: &Frame<'_>,
        market: Option<&MarketSpec>,
        cause: Cause,
    ) -> Result<(), RowError> {
        let mut cells: Vec<BalanceChange> = Vec::with_capacity(8);
        effects::balance_changes(frame, market, |change| {
            let same = |cell: &&mut BalanceChange| {
                cell.holder == change.holder && cell.asset == change.asset
            };
            match cells.iter_mut().find(same) {
                Some(cell) => {
                    cell.available += change.available;
                    cell.locked += change.locked;
                }
                None => cells.push(change),
            }
        })?;
        cells.retain(|cell| cell.available != 0 || cell.locked != 0);
        let before = self.balance_changes.len();
        for cell in &cells {
            let account_id = match cell.holder {
                effects::Holder::Fees => FEES,
                effects::Holder::Account(id) => account(id)?,
            };
            let asset_id = asset(cell.asset)?;
            let (available, locked) = (delta(cell.available)?, delta(cell.locked)?);
            let of_account = |row: &&mut BalanceChangeRow| row.account_id == account_id;
            if let Some(row) = self.balance_changes[before..].iter_mut().find(of_account) {
                assert!(row.other.is_none(), "Invariant: a frame changes at most two assets");
                row.other = Some(OtherBalance { asset_id, available, locked });
                continue;
            }
            let sub = i32::try_from(self.balance_changes.len() - before);
            self.balance_changes.push(BalanceChangeRow {
                account_id,
                sub: sub.map_err(|_| RowError::OutOfRange("balance changes"))?,
                ts: at.ts,
                sequence: at.sequence,
                asset_id,
                cause,
                market_id: at.market_id,
                available,
                locked,
                other: None,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
