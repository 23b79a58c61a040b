//! A frame as rows of the database. Pure: the same frame is always the same rows.

use protocol::effects::{self, BalanceChange};
use protocol::{
    Action, Event, Frame, Lots, MarketId, MarketSpec, OrderId, Outcome, Place, Side, Trade,
    Transfer,
};

use crate::columns::{
    At, account, asset, client_id, delta, lots, order_id, price, signed, sum, units,
};
use crate::error::RowError;
use crate::order_events::{closed_order, filled_maker, placement};
use crate::tables::{
    BalanceChangeRow, Cause, FEES, FillRow, OrderEventKind, Rows, TradeRow, TransferRow,
};

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
            Action::PlaceTrigger(_) | Action::Amend(_) | Action::Fire(_) => {
                return Err(RowError::Outcome);
            }
            Action::Deposit(transfer) => self.transfer(&at, Cause::Deposit, transfer)?,
            Action::Withdraw(transfer) => self.transfer(&at, Cause::Withdrawal, transfer)?,
            Action::Place(place) => {
                let market = market.ok_or(RowError::UnknownMarket)?;
                self.place(&at, frame, place, market)?;
                Cause::Place
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

    /// The order placed, what it traded, the makers it filled, and the makers it pushed out.
    fn place(
        &mut self,
        at: &At,
        frame: &Frame<'_>,
        place: &Place,
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
        let mut placed = placement(at, place, order)?;
        let (mut executed_lots, mut executed_quote) = (0i64, 0i64);
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

    /// Orders that left the book without trading; `sub` numbers the frame's order events.
    fn closed(&mut self, at: &At, frame: &Frame<'_>, mut sub: i32) -> Result<(), RowError> {
        for event in frame.events() {
            if let Event::Closed(closed) = event {
                self.order_events.push(closed_order(at, &closed, sub)?);
                sub += 1;
            }
        }
        Ok(())
    }

    /// One row for each balance that the frame changed, however many changes it had.
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
        for (cell, sub) in cells.iter().zip(0..) {
            self.balance_changes.push(BalanceChangeRow {
                account_id: match cell.holder {
                    effects::Holder::Fees => FEES,
                    effects::Holder::Account(id) => account(id)?,
                },
                sub,
                ts: at.ts,
                sequence: at.sequence,
                asset_id: asset(cell.asset)?,
                cause,
                market_id: at.market_id,
                available: delta(cell.available)?,
                locked: delta(cell.locked)?,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{
        AccountId, AssetId, ClientId, Closed, ClosedReason, Command, FrameHeader, FrameWriter,
        GatewayId, OrderKind, Origin, Price, SelfTradePrevention, Sequence, StateDigest,
        StreamCursor, TimeInForce, TradeId, TransferId, Units, fixture,
    };

    fn rows(action: Action, outcome: Outcome, events: &[Event]) -> Result<Rows, RowError> {
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: 1 };
        let command = Command { origin, time_us: 1_767_225_600_000_001, action };
        let header = FrameHeader {
            sequence: Sequence(7),
            previous: None,
            cursor: StreamCursor::START,
            outcome,
            held: Units(0),
            digest: StateDigest::default(),
        };
        let mut writer = FrameWriter::new(8);
        events.iter().for_each(|event| writer.push(event));
        let bytes = writer.finish(&header, &command).concat();
        let mut rows = Rows::default();
        let is_accounts = command.market() == MarketId::ACCOUNTS;
        let market = fixture::market();
        rows.append(&Frame::parse(&bytes).unwrap(), Some(&market).filter(|_| !is_accounts))?;
        Ok(rows)
    }

    fn order(slot: u32) -> OrderId {
        OrderId::from_parts(MarketId(1), slot, 1).unwrap()
    }

    fn bid(lots: u64) -> Place {
        Place {
            market: MarketId(1),
            account: AccountId::new(2).unwrap(),
            side: Side::Bid,
            kind: OrderKind::Limit {
                price: Price::from_ticks(10_100).unwrap(),
                lots: Lots(lots),
                post_only: false,
            },
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            client_id: Some(ClientId(77)),
            valid_until_us: 0,
        }
    }

    fn ask_taken(slot: u32, lots: u64, lots_left: u64) -> Event {
        Event::Trade(Trade {
            id: TradeId(u64::from(slot) + 1),
            maker_account: AccountId::new(1).unwrap(),
            maker_order: order(slot),
            taker_side: Side::Bid,
            price: Price::from_ticks(10_000).unwrap(),
            lots: Lots(lots),
            maker_fee: Units(800),
            taker_fee: Units(5000),
            maker_lots_left: Lots(lots_left),
        })
    }

    #[test]
    fn a_bid_that_takes_two_asks_and_rests_is_all_its_rows() {
        let outcome = Outcome::Rested { order: order(9), lots_left: Lots(4) };
        let events = [ask_taken(0, 5, 0), ask_taken(1, 1, 3)];
        let rows = rows(Action::Place(bid(10)), outcome, &events).unwrap();

        assert_eq!(rows.trades.iter().map(|row| row.quote_units).sum::<i64>(), 6_000_000);
        assert_eq!(rows.trades[1].maker_order_id, order(1).get() as i64);
        assert_eq!(rows.trades[1].taker_order_id, order(9).get() as i64);

        let fills: Vec<_> = rows.fills.iter().map(|row| (row.account_id, row.sub)).collect();
        assert_eq!(fills, [(1, 0), (2, 1), (1, 2), (2, 3)]);
        let (maker, taker) = (rows.fills[0], rows.fills[1]);
        assert_eq!(
            (maker.side, maker.is_maker, maker.fee_asset_id, maker.fee_units),
            (1, true, 1, 800)
        );
        assert_eq!(
            (taker.side, taker.is_maker, taker.fee_asset_id, taker.fee_units),
            (0, false, 2, 5000)
        );
        assert_eq!((maker.client_id, taker.client_id), (None, Some(77)));

        let [placed, ended] = rows.order_events[..] else { panic!("{:?}", rows.order_events) };
        assert_eq!((placed.kind, placed.is_placement), (OrderEventKind::Rested, true));
        assert_eq!((placed.lots, placed.lots_left, placed.executed_lots), (Some(10), 4, Some(6)));
        assert_eq!(placed.executed_quote_units, Some(6_000_000));
        assert_eq!((ended.kind, ended.is_placement), (OrderEventKind::Filled, false));
        assert_eq!((ended.account_id, ended.order_id), (1, order(0).get() as i64));

        let mut cells: Vec<_> = rows.balance_changes.iter().map(cell).collect();
        cells.sort_unstable();
        assert_eq!(
            cells,
            [
                (0, 1, 1_600, 0),
                (0, 2, 10_000, 0),
                (1, 1, 6_000_000 - 1_600, 0),
                (1, 2, 0, -60_000_000),
                // Six lots at 10,000 paid, four more at 10,100 held.
                (2, 1, -6_000_000 - 4_040_000, 4_040_000),
                (2, 2, 60_000_000 - 10_000, 0),
            ]
        );
    }

    fn cell(row: &BalanceChangeRow) -> (i32, i16, i64, i64) {
        (row.account_id, row.asset_id, row.available, row.locked)
    }

    #[test]
    fn a_cancelled_order_tells_what_it_had_executed() {
        let closed = Closed {
            order: order(3),
            account: AccountId::new(2).unwrap(),
            client_id: None,
            side: Side::Ask,
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectBoth,
            post_only: true,
            reason: ClosedReason::ByRequest,
            price: Price::from_ticks(5).unwrap(),
            lots: Lots(10),
            lots_left: Lots(4),
            executed_quote: Units(3000),
            created_us: 1_767_225_599_000_000,
        };
        let account = AccountId::new(2).unwrap();
        let action = Action::cancel_all(MarketId(1), account);
        let rows = rows(action, Outcome::Cancelled, &[Event::Closed(closed)]).unwrap();
        let [ended] = rows.order_events[..] else { panic!("{:?}", rows.order_events) };
        assert_eq!((ended.kind, ended.reason), (OrderEventKind::Cancelled, Some(1)));
        assert_eq!((ended.executed_lots, ended.lots_left), (Some(6), 4));
        assert_eq!(ended.created_at.unwrap().timestamp(), 1_767_225_599);
        assert_eq!(cell(&rows.balance_changes[0]), (2, 2, 40_000_000, -40_000_000));
        assert_eq!(rows.balance_changes[0].cause, Cause::CancelAll);
    }

    #[test]
    fn a_withdrawal_is_a_transfer_and_a_balance_change() {
        let transfer = Transfer {
            account: AccountId::new(2).unwrap(),
            asset: AssetId(1),
            units: Units(500),
            id: TransferId(0xab),
        };
        let rows = rows(Action::Withdraw(transfer), Outcome::Transferred, &[]).unwrap();
        assert_eq!((rows.transfers[0].kind, rows.transfers[0].units), (Cause::Withdrawal, 500));
        assert_eq!(cell(&rows.balance_changes[0]), (2, 1, -500, 0));
    }

    #[test]
    fn what_cannot_be_stored_leaves_nothing_behind() {
        let outcome = Outcome::Filled { order: order(9) };
        // A price times lots beyond what can be counted, after a trade that is fine.
        let events = [ask_taken(0, 5, 0), ask_taken(1, 1 << 61, 3)];
        let error = rows(Action::Place(bid(10)), outcome, &events).unwrap_err();
        assert_eq!(error, RowError::OutOfRange("notional"));
        assert_eq!(
            rows(Action::Place(bid(1)), Outcome::Transferred, &[]).unwrap_err(),
            RowError::Outcome
        );
    }
}
