//! Frames written by hand, and what the replica makes of them.

use protocol::fixture::{self, BASE, MARKET, QUOTE, price, round_catalog};
use protocol::{
    AccountId, Action, AssetId, BookState, Closed, ClosedReason, Command, Event, Frame,
    FrameHeader, FrameWriter, GatewayId, Interval, Lots, MarketId, OrderId, Origin, Outcome, Place,
    Refusal, Sequence, Side, StateDigest, StreamCursor, Target, Trade, TradeId, Transfer,
    TransferId, Units,
};

use super::{Applied, DAY_MINUTES, Inconsistency, LevelChange, Replica, ReplicaError};
use crate::state::{Direction, MarketState};

fn account(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

fn order(slot: u32, generation: u32) -> OrderId {
    OrderId::from_parts(MARKET, slot, generation).unwrap()
}

/// Numbers frames as an engine would and feeds them to a replica.
struct Script {
    replica: Replica,
    sequence: u64,
    previous: [Option<Sequence>; 2],
    time_us: u64,
    trade: u64,
}

impl Script {
    /// Two accounts with 100,000 of both assets each.
    fn funded() -> Self {
        let mut script = Script {
            replica: Replica::new(round_catalog()),
            sequence: 0,
            previous: [None; 2],
            time_us: 1_000_000,
            trade: 0,
        };
        for id in [1, 2] {
            let outcome = Outcome::AccountCreated { account: account(id) };
            script.apply(Action::CreateAccount, outcome, Units::ZERO, &[]).unwrap();
            for asset in [QUOTE, BASE] {
                let transfer = deposit(id, asset, 100_000, script.sequence);
                let action = Action::Deposit(transfer);
                script.apply(action, Outcome::Transferred, Units::ZERO, &[]).unwrap();
            }
        }
        script
    }

    fn apply(
        &mut self,
        action: Action,
        outcome: Outcome,
        held: Units,
        events: &[Event],
    ) -> Result<Applied, ReplicaError> {
        self.sequence += 1;
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: self.sequence };
        let command = Command { origin, time_us: self.time_us, action };
        let stream = usize::from(command.market().0);
        let header = FrameHeader {
            sequence: Sequence(self.sequence),
            previous: self.previous[stream],
            cursor: StreamCursor { milliseconds: self.sequence, counter: 0 },
            outcome,
            held,
            digest: StateDigest::default(),
        };
        // What a replica says to a digest that cannot be right is how the right one is found.
        let bytes = frame(&header, &command, events);
        let found = self.replica.clone().apply(&Frame::parse(&bytes).unwrap()).err();
        let digest = match found.map(|error| error.cause) {
            Some(Inconsistency::Digest { expected, .. }) => expected,
            _ => StateDigest::default(),
        };
        let bytes = frame(&FrameHeader { digest, ..header }, &command, events);
        let frame = Frame::parse(&bytes).unwrap();
        if frame.is_effective() {
            self.previous[stream] = Some(header.sequence);
        }
        self.replica.apply(&frame).cloned()
    }

    fn rest(&mut self, id: u32, side: Side, ticks: u64, lots: u64, at: OrderId) -> Applied {
        let place = limit(id, side, ticks, lots);
        let outcome = Outcome::Rested { order: at, lots_left: Lots(lots) };
        let applied = self.apply(Action::Place(place), outcome, Units::ZERO, &[]).unwrap();
        self.replica.assert_consistent();
        applied
    }

    fn cancel(&mut self, id: u32, closed: Closed) -> Result<Applied, ReplicaError> {
        let target = Target::Order(closed.order);
        let action = Action::Cancel { market: MARKET, account: account(id), target };
        self.apply(action, Outcome::Cancelled, Units::ZERO, &[Event::Closed(closed)])
    }

    /// A trade against `maker`, of which `left` stays, with the right id and fees.
    fn trade(&mut self, maker: OrderId, taker_side: Side, lots: u64, left: u64) -> Trade {
        self.trade += 1;
        let known = *self.replica.market(MARKET).unwrap().orders().get(maker).unwrap();
        let spec = self.replica.market(MARKET).unwrap().spec();
        let gets = |side| match side {
            Side::Bid => spec.base_units(Lots(lots)).unwrap(),
            Side::Ask => spec.notional(known.price, Lots(lots)).unwrap(),
        };
        Trade {
            id: TradeId(self.trade),
            maker_account: known.account,
            maker_order: maker,
            taker_side,
            price: known.price,
            lots: Lots(lots),
            maker_fee: spec.maker_fee.fee_on(gets(taker_side.opposite())),
            taker_fee: spec.taker_fee.fee_on(gets(taker_side)),
            maker_lots_left: Lots(left),
        }
    }

    fn closed(&self, order: OrderId, reason: ClosedReason) -> Closed {
        let open = *self.replica.market(MARKET).unwrap().orders().get(order).unwrap();
        Closed {
            order,
            account: open.account,
            client_id: open.client_id,
            side: open.side,
            time_in_force: open.time_in_force,
            self_trade_prevention: open.self_trade_prevention,
            post_only: open.post_only,
            reason,
            price: open.price,
            lots: open.lots,
            lots_left: open.lots_left,
            executed_quote: open.executed_quote,
            created_us: open.created_us,
        }
    }

    /// Available and locked.
    fn balance(&self, id: u32, asset: AssetId) -> (u64, u64) {
        let mut balances = self.replica.balances_of(account(id));
        let found = balances.find(|balance| balance.asset == asset).unwrap();
        (found.available.0, found.locked.0)
    }
}

fn frame(header: &FrameHeader, command: &Command, events: &[Event]) -> Vec<u8> {
    let mut writer = FrameWriter::new(events.len());
    events.iter().for_each(|event| writer.push(event));
    writer.finish(header, command).concat()
}

fn deposit(id: u32, asset: AssetId, units: u64, transfer: u64) -> Transfer {
    let id_of_transfer = TransferId(u128::from(transfer) << 64 | 7);
    Transfer { account: account(id), asset, units: Units(units), id: id_of_transfer }
}

fn limit(id: u32, side: Side, ticks: u64, lots: u64) -> Place {
    fixture::limit(MARKET, id, side, ticks, lots)
}

fn cause(result: Result<Applied, ReplicaError>) -> Inconsistency {
    result.unwrap_err().cause
}

#[test]
fn a_trade_moves_what_the_maker_held_and_what_the_taker_had() {
    let mut script = Script::funded();
    script.rest(1, Side::Ask, 50, 10, order(0, 1));
    assert_eq!(script.balance(1, BASE), (99_000, 1_000));
    let trade = script.trade(order(0, 1), Side::Bid, 4, 6);
    let outcome = Outcome::Filled { order: order(1, 1) };
    let action = Action::Place(limit(2, Side::Bid, 60, 4));
    let applied = script.apply(action, outcome, Units(2_400), &[Event::Trade(trade)]).unwrap();
    script.replica.assert_consistent();
    // 4 lots at 50 ticks: 2,000 quote and 400 base; 1 % of 2,000 and 2 % of 400.
    assert_eq!(script.balance(1, QUOTE), (101_980, 0));
    assert_eq!(script.balance(1, BASE), (99_000, 600));
    assert_eq!(script.balance(2, QUOTE), (98_000, 0));
    assert_eq!(script.balance(2, BASE), (100_392, 0));
    let fees: Vec<_> = script.replica.fees().collect();
    assert_eq!(fees, [(QUOTE, Units(20)), (BASE, Units(8))]);
    let left = LevelChange { side: Side::Ask, price: price(50), lots: Lots(6) };
    assert_eq!(applied.levels, [left]);
    assert_eq!(applied.update_id, 2);
    assert_eq!(applied.best_before.ask, Some((price(50), Lots(10))));
    assert_eq!(applied.best_after.ask, Some((price(50), Lots(6))));
    let market = script.replica.market(MARKET).unwrap();
    assert_eq!(market.last_price(), Some(price(50)));
    assert_eq!(market.figures(script.time_us, DAY_MINUTES).quote, 2_000);
    assert_eq!(market.candle(Interval::Hour1).unwrap().trades, 1);
    let maker = script.replica.order(account(1), order(0, 1)).unwrap().resting().unwrap();
    assert_eq!((maker.lots_left, maker.executed_quote), (Lots(6), Units(2_000)));
    assert_eq!(script.replica.order(account(2), order(0, 1)), None);
}

#[test]
fn a_sweep_is_one_update_and_frees_its_makers() {
    let mut script = Script::funded();
    script.rest(1, Side::Ask, 50, 3, order(0, 1));
    script.rest(1, Side::Ask, 50, 3, order(1, 1));
    script.rest(1, Side::Ask, 51, 3, order(2, 1));
    let trades = [
        script.trade(order(0, 1), Side::Bid, 3, 0),
        script.trade(order(1, 1), Side::Bid, 3, 0),
        script.trade(order(2, 1), Side::Bid, 1, 2),
    ];
    let outcome = Outcome::Filled { order: order(3, 1) };
    let action = Action::Place(limit(2, Side::Bid, 51, 7));
    let applied = script.apply(action, outcome, Units(3_570), &trades.map(Event::Trade)).unwrap();
    script.replica.assert_consistent();
    let level =
        |ticks, lots| LevelChange { side: Side::Ask, price: price(ticks), lots: Lots(lots) };
    assert_eq!(applied.levels, [level(50, 0), level(51, 2)]);
    assert_eq!(applied.update_id, 4);
    let state = script.replica.market_state(MARKET);
    assert_eq!(state.generations, [1, 1, 1, 1]);
    assert_eq!((state.last_trade, state.orders.len()), (3, 1));
    assert_eq!(state.previous, Some(Sequence(script.sequence)));
    // Freed slots are given out again, the next generation of each.
    script.rest(2, Side::Bid, 40, 1, order(3, 2));
    script.rest(1, Side::Bid, 41, 1, order(1, 2));
    assert_eq!(script.replica.market_state(MARKET).generations, [1, 2, 1, 2]);
}

#[test]
fn orders_of_one_price_keep_the_order_they_came_to_rest_in() {
    let mut script = Script::funded();
    for slot in [3, 0, 2] {
        script.rest(1, Side::Bid, 40, 1, order(slot, 1));
        script.time_us -= 1;
    }
    let state = script.replica.market_state(MARKET);
    let slots: Vec<_> = state.orders.iter().map(|open| open.order().slot()).collect();
    assert_eq!(slots, [3, 0, 2]);
    assert_eq!(state.generations, [1, 0, 1, 1]);
    let opened: Vec<_> = script.replica.open_orders(account(1), None);
    let slots: Vec<_> = opened.iter().map(|open| open.order().slot()).collect();
    assert_eq!(slots, [2, 0, 3], "sorted by creation");
    assert!(script.replica.open_orders(account(1), Some(MarketId(2))).is_empty());
}

#[test]
fn the_newest_order_answers_to_a_client_id() {
    let mut script = Script::funded();
    let client_id = Some(protocol::ClientId(0));
    for slot in [0, 1] {
        let place = Place { client_id, ..limit(1, Side::Bid, 40, 1) };
        let outcome = Outcome::Rested { order: order(slot, 1), lots_left: Lots(1) };
        script.apply(Action::Place(place), outcome, Units(400), &[]).unwrap();
    }
    script.rest(1, Side::Bid, 40, 1, order(2, 1));
    let find = |script: &Script| {
        let orders = script.replica.market(MARKET).unwrap().orders();
        orders.by_client_id(account(1), protocol::ClientId(0)).map(protocol::Standing::order)
    };
    assert_eq!(find(&script), Some(order(1, 1)));
    let closed = script.closed(order(1, 1), ClosedReason::ByRequest);
    let target = Target::Client(protocol::ClientId(0));
    let action = Action::Cancel { market: MARKET, account: account(1), target };
    script.apply(action, Outcome::Cancelled, Units::ZERO, &[Event::Closed(closed)]).unwrap();
    script.replica.assert_consistent();
    assert_eq!(find(&script), Some(order(0, 1)));
    assert_eq!(script.balance(1, QUOTE), (99_200, 800));
}

#[test]
fn self_trade_prevention_closes_own_makers() {
    let mut script = Script::funded();
    script.rest(1, Side::Ask, 50, 10, order(0, 1));
    let closed = Event::Closed(script.closed(order(0, 1), ClosedReason::SelfTradePrevention));
    let outcome = Outcome::Rested { order: order(1, 1), lots_left: Lots(2) };
    let action = Action::Place(limit(1, Side::Bid, 50, 2));
    let applied = script.apply(action, outcome, Units(1_000), &[closed]).unwrap();
    script.replica.assert_consistent();
    assert_eq!(applied.levels.len(), 2);
    assert_eq!(applied.update_id, 2);
    assert_eq!(script.balance(1, BASE), (100_000, 0));
    assert_eq!(script.balance(1, QUOTE), (99_000, 1_000));
}

#[test]
fn refused_commands_move_the_cursor_are_remembered_and_change_nothing_else() {
    let mut script = Script::funded();
    script.rest(1, Side::Bid, 40, 1, order(0, 1));
    let before = script.replica.market_state(MARKET);
    let refused = Outcome::Refused(Refusal::InsufficientFunds);
    let action = Action::Place(limit(1, Side::Bid, 40, 1_000));
    let applied = script.apply(action, refused, Units::ZERO, &[]).unwrap();
    assert!(applied.levels.is_empty());
    let after = script.replica.market_state(MARKET);
    let memories = |state: &MarketState| state.senders[0].memories.len();
    assert_eq!(memories(&after), memories(&before) + 1);
    let MarketState { cursor, time_us, sum, .. } = before;
    let senders = before.senders.clone();
    assert_eq!(MarketState { senders, sum, cursor, time_us, ..after }, before);
    let cursor = StreamCursor { milliseconds: script.sequence, counter: 0 };
    assert_eq!(script.replica.cursor(MARKET), cursor);
    assert_eq!(script.replica.last_sequence(), Some(Sequence(script.sequence)));
    let unlisted = Place { market: MarketId(9), ..limit(1, Side::Bid, 40, 1) };
    let mut other = Script { previous: [None; 2], ..script };
    let unknown = Outcome::Refused(Refusal::UnknownMarket);
    let cancel_all = Action::cancel_all(MARKET, account(1));
    other.apply(cancel_all, unknown, Units::ZERO, &[]).unwrap();
    assert_eq!(other.replica.cursor(MARKET), cursor);
    assert!(other.replica.market(unlisted.market).is_none());
}

#[test]
fn transfers_are_remembered_and_add_up() {
    let mut script = Script::funded();
    let transfer = deposit(2, QUOTE, 30_000, 77);
    let action = Action::Withdraw(transfer);
    script.apply(action, Outcome::Transferred, Units(30_000), &[]).unwrap();
    let first = Sequence(script.sequence);
    script.apply(action, Outcome::Repeated { first }, Units::ZERO, &[]).unwrap();
    script.replica.assert_consistent();
    assert_eq!(script.balance(2, QUOTE), (70_000, 0));
    let state = script.replica.accounts_state();
    assert_eq!((state.accounts, state.transfers.len()), (2, 5));
    assert_eq!(state.supply, [(QUOTE, Units(170_000)), (BASE, Units(200_000))]);
    assert_eq!(state.transfers[4].direction, Direction::Withdrawal);
    assert_eq!(state.previous, Some(first));
    let again = script.apply(action, Outcome::Transferred, Units(30_000), &[]);
    assert_eq!(cause(again), Inconsistency::TransferTwice(transfer.id));
}

#[test]
fn a_gap_a_repeat_and_a_broken_stream_are_errors() {
    let mut script = Script::funded();
    let expected = Sequence(script.sequence + 1);
    script.sequence += 1;
    let skipped = script.apply(Action::CreateAccount, Outcome::Transferred, Units::ZERO, &[]);
    assert_eq!(cause(skipped), Inconsistency::Sequence { expected });
    script.sequence -= 3;
    let repeated = script.apply(Action::CreateAccount, Outcome::Transferred, Units::ZERO, &[]);
    let error = repeated.unwrap_err();
    assert_eq!(error.cause, Inconsistency::Sequence { expected });
    assert_eq!(error.to_string(), "frame 6 contradicts the state before it");
    let mut script = Script::funded();
    script.previous[0] = Some(Sequence(2));
    let outcome = Outcome::AccountCreated { account: account(3) };
    let broken = script.apply(Action::CreateAccount, outcome, Units::ZERO, &[]);
    let (expected, found) = (Some(Sequence(6)), Some(Sequence(2)));
    assert_eq!(cause(broken), Inconsistency::Previous { expected, found });
}

/// Applies one wrong frame to a book with a resting ask of account 1: 10 lots at 50.
fn wrong(
    action: impl FnOnce(&mut Script) -> (Action, Outcome, Units, Vec<Event>),
) -> Inconsistency {
    let mut script = Script::funded();
    script.rest(1, Side::Ask, 50, 10, order(0, 1));
    let (action, outcome, held, events) = action(&mut script);
    cause(script.apply(action, outcome, held, &events))
}

/// A bid of account 2 that trades once, as `change` would have it.
fn wrong_trade(change: impl FnOnce(&mut Trade)) -> Inconsistency {
    wrong(|script| {
        let mut trade = script.trade(order(0, 1), Side::Bid, 4, 6);
        change(&mut trade);
        let action = Action::Place(limit(2, Side::Bid, 60, 4));
        let outcome = Outcome::Filled { order: order(1, 1) };
        (action, outcome, Units(2_400), vec![Event::Trade(trade)])
    })
}

#[test]
fn a_trade_that_does_not_fit_is_an_error() {
    let (trade, maker) = (TradeId(1), order(0, 1));
    let misfit = Inconsistency::Maker { trade, maker };
    assert_eq!(wrong_trade(|trade| trade.maker_lots_left = Lots(7)), misfit);
    assert_eq!(wrong_trade(|trade| trade.maker_account = account(2)), misfit);
    assert_eq!(wrong_trade(|trade| trade.price = price(49)), misfit);
    assert_eq!(wrong_trade(|trade| trade.taker_side = Side::Ask), misfit);
    let unknown = Inconsistency::UnknownOrder(order(0, 2));
    assert_eq!(wrong_trade(|trade| trade.maker_order = order(0, 2)), unknown);
    let skipped = Inconsistency::TradeId { last: 0, found: TradeId(2) };
    assert_eq!(wrong_trade(|trade| trade.id = TradeId(2)), skipped);
    let fee = Inconsistency::Fee(trade);
    assert_eq!(wrong_trade(|trade| trade.taker_fee = Units(401)), fee);
    let amount = Inconsistency::Amount(order(1, 1));
    let fewer = |trade: &mut Trade| (trade.lots, trade.maker_lots_left) = (Lots(3), Lots(7));
    assert_eq!(wrong_trade(fewer), amount);
}

#[test]
fn an_order_that_does_not_fit_is_an_error() {
    let rest = |ticks, id, lots_left, held| {
        wrong(|_| {
            let outcome = Outcome::Rested { order: id, lots_left: Lots(lots_left) };
            (Action::Place(limit(2, Side::Bid, ticks, 4)), outcome, Units(held), Vec::new())
        })
    };
    assert_eq!(rest(50, order(1, 1), 4, 0), Inconsistency::Crossed(order(1, 1)));
    assert_eq!(rest(40, order(1, 1), 3, 0), Inconsistency::Amount(order(1, 1)));
    let generation = Inconsistency::Generation { found: order(1, 2), expected: 1 };
    assert_eq!(rest(40, order(1, 2), 4, 0), generation);
    let taken = Inconsistency::SlotTaken { found: order(0, 2), resting: order(0, 1) };
    assert_eq!(rest(40, order(0, 2), 4, 0), taken);
    let foreign = OrderId::from_parts(MarketId(2), 1, 1).unwrap();
    assert_eq!(rest(40, foreign, 4, 0), Inconsistency::ForeignOrder(foreign));
    let (account, asset, available) = (account(2), QUOTE, 100_000);
    let held = Inconsistency::Held { account, asset, held: 100_001, available };
    assert_eq!(rest(40, order(1, 1), 4, 100_001), held);
    let poor = wrong(|_| {
        let outcome = Outcome::Rested { order: order(1, 1), lots_left: Lots(1_000_000) };
        let place = limit(2, Side::Bid, 40, 1_000_000);
        (Action::Place(place), outcome, Units::ZERO, Vec::new())
    });
    assert_eq!(poor, Inconsistency::Balance { account, asset });
}

#[test]
fn a_cancel_that_does_not_fit_is_an_error() {
    let mut script = Script::funded();
    script.rest(1, Side::Ask, 50, 10, order(0, 1));
    let right = script.closed(order(0, 1), ClosedReason::ByRequest);
    let with = |id: u32, closed: Closed| {
        let mut copy = Script { replica: script.replica.clone(), ..script };
        let result = copy.cancel(id, closed);
        result.map(|_| ()).map_err(|error| error.cause)
    };
    let otherwise = Err(Inconsistency::ClosedOtherwise(order(0, 1)));
    assert_eq!(with(1, Closed { lots_left: Lots(9), ..right }), otherwise);
    assert_eq!(with(1, Closed { created_us: 5, ..right }), otherwise);
    let unasked = Err(Inconsistency::ClosedUnasked(order(0, 1)));
    assert_eq!(with(2, right), unasked);
    let reason = ClosedReason::SelfTradePrevention;
    assert_eq!(with(1, Closed { reason, ..right }), unasked);
    let unknown = Err(Inconsistency::UnknownOrder(order(5, 1)));
    assert_eq!(with(1, Closed { order: order(5, 1), ..right }), unknown);
    assert_eq!(with(1, right), Ok(()));
}

mod state;
