//! Frames and the rows they are.

use super::*;
use protocol::{
    AccountId, AssetId, ClientId, Closed, Command, FrameHeader, FrameWriter, GatewayId, OrderKind,
    Origin, Price, Refusal, SelfTradePrevention, Sequence, StateDigest, StreamCursor, Target,
    TimeInForce, TradeId, TransferId, Trigger, TriggerBy, TriggerDirection, Units, Withdrawn,
    fixture,
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

    assert_eq!(rows.balance_changes.len(), 3, "one row an account");
    assert_eq!(
        cells(&rows),
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

/// Account, asset, available, locked.
fn cells(rows: &Rows) -> Vec<(i32, i16, i64, i64)> {
    let of_row = |row: &BalanceChangeRow| {
        let account = row.account_id;
        let cell = Some((account, row.asset_id, row.available, row.locked));
        let other = row.other.map(|it| (account, it.asset_id, it.available, it.locked));
        cell.into_iter().chain(other)
    };
    let mut cells: Vec<_> = rows.balance_changes.iter().flat_map(of_row).collect();
    cells.sort_unstable();
    cells
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
    assert_eq!(cells(&rows), [(2, 2, 40_000_000, -40_000_000)]);
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
    assert_eq!(cells(&rows), [(2, 1, -500, 0)]);
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

fn trigger() -> Trigger {
    Trigger { price: Price::from_ticks(9_900).unwrap(), by: TriggerBy::MarkPrice }
}

fn waiting() -> WaitingOrder {
    let (order, place, trigger) = (order(9), bid(10), trigger());
    let (direction, created_us) = (TriggerDirection::Rise, 1_767_225_500_000_000);
    WaitingOrder { order, place, trigger, direction, created_us }
}

#[test]
fn an_order_that_waits_holds_nothing_and_ends_with_its_trigger() {
    let placed = TriggerPlace { place: bid(10), trigger: trigger() };
    let direction = TriggerDirection::Rise;
    let outcome = Outcome::Waits { order: order(9), direction };
    let placed = rows(Action::PlaceTrigger(placed), outcome, &[]).unwrap();
    let [row] = placed.order_events[..] else { panic!("{:?}", placed.order_events) };
    assert_eq!((row.kind, row.is_placement, row.lots), (OrderEventKind::Waits, true, Some(10)));
    assert_eq!((row.trigger_price_ticks, row.trigger_by), (Some(9_900), Some(2)));
    assert!(placed.balance_changes.is_empty());

    let withdrawn = Withdrawn { waiting: waiting(), reason: ClosedReason::ByRequest };
    let action = Action::cancel_all(MarketId(1), AccountId::new(2).unwrap());
    let ended = rows(action, Outcome::Cancelled, &[Event::Withdrawn(withdrawn)]).unwrap();
    let [row] = ended.order_events[..] else { panic!("{:?}", ended.order_events) };
    assert_eq!((row.kind, row.is_placement), (OrderEventKind::Cancelled, false));
    assert_eq!((row.lots_left, row.executed_lots, row.triggered_at), (10, Some(0), None));
    assert_eq!(row.created_at.unwrap().timestamp(), 1_767_225_500);
    assert!(ended.balance_changes.is_empty());
}

#[test]
fn an_order_that_fires_is_placed_as_what_it_was_and_one_that_fails_says_why() {
    let outcome = Outcome::Rested { order: order(9), lots_left: Lots(5) };
    let fired = rows(Action::Fire(waiting()), outcome, &[ask_taken(0, 5, 2)]).unwrap();
    let [row] = fired.order_events[..] else { panic!("{:?}", fired.order_events) };
    assert_eq!((row.kind, row.is_placement), (OrderEventKind::Rested, true));
    assert_eq!((row.trigger_price_ticks, row.executed_lots), (Some(9_900), Some(5)));
    assert_eq!(row.created_at.unwrap().timestamp(), 1_767_225_500);
    assert_eq!(row.triggered_at, Some(row.ts));
    assert!(fired.balance_changes.iter().all(|row| row.cause == Cause::Fire));

    let refusal = Refusal::InsufficientFunds;
    let outcome = Outcome::TriggerFailed { order: order(9), refusal };
    let failed = rows(Action::Fire(waiting()), outcome, &[]).unwrap();
    let [row] = failed.order_events[..] else { panic!("{:?}", failed.order_events) };
    assert_eq!((row.kind, row.refusal), (OrderEventKind::TriggerFailed, Some(1)));
    assert_eq!((row.triggered_at, row.reason), (Some(row.ts), None));
}

#[test]
fn an_amended_order_has_not_ended_and_its_sums_go_on() {
    let before = Closed {
        order: order(9),
        account: AccountId::new(2).unwrap(),
        client_id: Some(ClientId(77)),
        side: Side::Bid,
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectTaker,
        post_only: false,
        reason: ClosedReason::Amended,
        price: Price::from_ticks(9_000).unwrap(),
        lots: Lots(10),
        lots_left: Lots(8),
        executed_quote: Units(1_800_000),
        created_us: 1_767_225_500_000_000,
    };
    let amend = Amend {
        market: MarketId(1),
        account: AccountId::new(2).unwrap(),
        target: Target::Order(order(9)),
        price: Price::from_ticks(10_000),
        lots: Some(Lots(12)),
        valid_until_us: 0,
    };
    let outcome = Outcome::Rested { order: order(9), lots_left: Lots(7) };
    let events = [Event::Closed(before), ask_taken(0, 3, 0)];
    let rows = rows(Action::Amend(amend), outcome, &events).unwrap();
    let [row, maker] = rows.order_events[..] else { panic!("{:?}", rows.order_events) };
    assert_eq!((row.kind, row.is_placement, row.reason), (OrderEventKind::Rested, true, None));
    assert_eq!((row.price_ticks, row.lots, row.lots_left), (Some(10_000), Some(12), 7));
    assert_eq!((row.executed_lots, row.executed_quote_units), (Some(5), Some(4_800_000)));
    assert_eq!(row.created_at.unwrap().timestamp(), 1_767_225_500);
    assert_eq!((maker.kind, maker.order_id), (OrderEventKind::Filled, order(0).get() as i64));
    // 8 lots at 9,000 were held; 3 are paid at 10,000 and 7 held at 10,000.
    assert!(cells(&rows).contains(&(2, 1, 7_200_000 - 3_000_000 - 7_000_000, -200_000)));
    assert!(rows.balance_changes.iter().all(|row| row.cause == Cause::Amend));
}
