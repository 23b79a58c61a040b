//! The maker against a pretended engine whose replies are real frames.

use super::*;
use crate::config::tests::raw;
use protocol::fixture::catalog;
use protocol::query::Balance;
use protocol::{
    AssetId, Closed, ClosedReason, Command, Event, FrameHeader, FrameWriter, Lots, OpenOrder,
    OrderId, Origin, Price, Side, Standing, StateDigest, StreamCursor, Trade, TradeId, Units,
};

const MARKET: MarketId = MarketId(1);
const USDC: AssetId = AssetId(1);
const SOL: AssetId = AssetId(2);
const RICH: u64 = 1 << 50;
const LIFE: u64 = 0x1234_5678_9abc_def0;

struct World {
    maker: Maker,
    now_us: u64,
    sequence: u64,
    slots: u32,
    /// What rests, newest last.
    resting: Vec<(OrderId, Place)>,
}

fn account(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

fn heartbeat(life: u64) -> Option<Heartbeat> {
    Some(Heartbeat { life, sequence: Sequence(0), queued: None, time_us: 0 })
}

impl World {
    fn new(taker_percent: u32) -> World {
        let raw = crate::config::RawConfig { taker_percent, ..raw() };
        let maker = Maker::new(Config::check(&raw, &catalog()).unwrap(), LIFE, 7);
        World { maker, now_us: 1_000_000, sequence: 0, slots: 0, resting: Vec::new() }
    }

    /// Past the clearing, with funds.
    fn quoting(taker_percent: u32) -> World {
        let mut world = World::new(taker_percent);
        world.begin_life(1);
        for command in world.act() {
            world.reply(&command, Outcome::Cancelled, &[]);
        }
        world.fund(1, RICH, RICH);
        world.fund(2, RICH, RICH);
        world
    }

    /// The engine begins a life and says that it knows of `epoch` 4; 5 is taken.
    fn begin_life(&mut self, engine: u32) {
        self.maker.hear_heartbeat(heartbeat(engine.into()));
        self.take_epoch(4);
    }

    fn take_epoch(&mut self, known: u32) {
        let queries = self.maker.ask(self.now_us);
        let asked = queries.iter().find(|query| matches!(query.ask, Ask::Epoch { .. }));
        let (id, sequence) = (asked.unwrap().id, Sequence(self.sequence));
        let body = AnswerBody::Epoch(known);
        self.maker.hear_answer(&Answer { id, life: LIFE, sequence, body });
        let above = self.maker.epoch_wanted().unwrap();
        self.maker.take_epoch(above + 1);
    }

    fn act(&mut self) -> Vec<Command> {
        self.now_us += 10_000;
        let out = self.maker.act(self.now_us);
        out.iter().map(|it| Command::decode(&it.record).unwrap()).collect()
    }

    fn reply(&mut self, command: &Command, outcome: Outcome, events: &[Event]) {
        self.sequence += 1;
        let mut writer = FrameWriter::new(64);
        events.iter().for_each(|event| writer.push(event));
        let header = FrameHeader {
            sequence: Sequence(self.sequence),
            previous: None,
            cursor: StreamCursor::START,
            outcome,
            held: Units::ZERO,
            digest: StateDigest::default(),
        };
        let command = Command { time_us: self.now_us, ..*command };
        let bytes = writer.finish(&header, &command).concat();
        self.maker.hear_replies(&bytes).unwrap();
    }

    /// The engine rests every maker order and carries out every cancel.
    fn engine(&mut self, commands: &[Command]) {
        for command in commands {
            match command.action {
                Action::Place(place) if place.time_in_force == TimeInForce::GoodTillCancelled => {
                    self.slots += 1;
                    let order = OrderId::from_parts(MARKET, self.slots, 1).unwrap();
                    self.resting.push((order, place));
                    self.reply(command, Outcome::Rested { order, lots_left: lots(&place) }, &[]);
                }
                Action::Cancel { target: Target::Order(id), .. } => {
                    let at = self.resting.iter().position(|(order, _)| *order == id).unwrap();
                    let (order, place) = self.resting.remove(at);
                    let event = Event::Closed(closed(order, &place));
                    self.reply(command, Outcome::Cancelled, &[event]);
                }
                _ => panic!("unexpected {command:?}"),
            }
        }
    }

    fn answer(&mut self, of: u32, wanted: fn(&Ask) -> bool, body: AnswerBody) {
        let queries = self.maker.ask(self.now_us);
        let asked = queries.iter().find(|query| {
            let (Ask::Balances { account } | Ask::OpenOrders { account, .. }) = &query.ask else {
                return false;
            };
            account.get() == of && wanted(&query.ask)
        });
        let id = asked.unwrap().id;
        let sequence = Sequence(self.sequence);
        self.maker.hear_answer(&Answer { id, life: LIFE, sequence, body });
    }

    fn fund(&mut self, of: u32, usdc: u64, sol: u64) {
        let balance =
            |asset, units| Balance { asset, available: Units(units), locked: Units::ZERO };
        let body = AnswerBody::Balances(vec![balance(USDC, usdc), balance(SOL, sol)]);
        self.answer(of, |ask| matches!(ask, Ask::Balances { .. }), body);
    }

    fn list(&mut self, orders: &[(OrderId, Place)]) {
        let listed =
            orders.iter().map(|(order, place)| Standing::Rests(open_order(*order, place), None));
        let body = AnswerBody::OpenOrders(listed.collect());
        self.answer(1, |ask| matches!(ask, Ask::OpenOrders { .. }), body);
    }
}

fn lots(place: &Place) -> Lots {
    let OrderKind::Limit { lots, .. } = place.kind else { panic!("not a limit order") };
    lots
}

fn price(place: &Place) -> Price {
    let OrderKind::Limit { price, .. } = place.kind else { panic!("not a limit order") };
    price
}

fn closed(order: OrderId, place: &Place) -> Closed {
    Closed {
        order,
        account: place.account,
        client_id: None,
        side: place.side,
        time_in_force: place.time_in_force,
        self_trade_prevention: place.self_trade_prevention,
        post_only: false,
        reason: ClosedReason::ByRequest,
        price: price(place),
        lots: lots(place),
        lots_left: lots(place),
        executed_quote: Units::ZERO,
        created_us: 0,
    }
}

fn open_order(order: OrderId, place: &Place) -> OpenOrder {
    OpenOrder {
        order,
        account: place.account,
        client_id: None,
        market: MARKET,
        side: place.side,
        time_in_force: place.time_in_force,
        self_trade_prevention: place.self_trade_prevention,
        post_only: false,
        price: price(place),
        lots: lots(place),
        lots_left: lots(place),
        executed_quote: Units::ZERO,
        created_us: 1,
    }
}

fn places(commands: &[Command]) -> Vec<Place> {
    let place = |command: &Command| match command.action {
        Action::Place(place) => Some(place),
        _ => None,
    };
    commands.iter().filter_map(place).collect()
}

#[test]
fn nothing_is_placed_before_leftovers_are_cancelled_and_funds_known() {
    let mut world = World::new(0);
    assert!(world.act().is_empty(), "the engine is not there yet");
    world.maker.hear_heartbeat(heartbeat(1));
    assert!(world.act().is_empty(), "no epoch is taken yet");
    world.take_epoch(0);
    let clearing = world.act();
    let all = |command: &Command| matches!(command.action, Action::CancelAll(_));
    assert!(clearing.len() == 2 && clearing.iter().all(all));
    assert!(world.act().is_empty(), "still waiting for the replies");
    world.now_us += 2_000_000;
    let again = world.act();
    assert_eq!(again.len(), 2);
    for command in &again {
        world.reply(command, Outcome::Cancelled, &[]);
    }
    assert!(world.act().is_empty(), "funds are unknown");
    assert!(!world.maker.is_funded());
    world.fund(1, RICH, RICH);
    world.fund(2, RICH, RICH);
    assert!(world.maker.is_funded());
    assert!(!places(&world.act()).is_empty());
}

#[test]
fn orders_come_at_the_rate_and_valid_for_a_bounded_time() {
    let mut world = World::quoting(0);
    let mut placed = Vec::new();
    for _ in 0..100 {
        let commands = world.act();
        for place in places(&commands) {
            assert_eq!(place.valid_until_us, world.now_us + 2_000_000);
            assert_eq!(place.self_trade_prevention, SelfTradePrevention::RejectMaker);
            assert_eq!(place.account, account(1));
            placed.push(place);
        }
        world.engine(&commands);
    }
    // 100 a second for one second, and what may be caught up with at the start.
    assert!((100..=112).contains(&placed.len()), "{}", placed.len());
    let bids = placed.iter().filter(|place| place.side == Side::Bid).count();
    assert!((30..=80).contains(&bids), "{bids}");
}

#[test]
fn beyond_the_bound_the_oldest_goes() {
    let mut world = World::quoting(0);
    let mut oldest = None;
    for _ in 0..50 {
        let commands = world.act();
        for command in &commands {
            if let Action::Cancel { target, .. } = command.action {
                assert_eq!(target, Target::Order(oldest.take().unwrap()));
            }
            oldest = world.resting.first().map(|(order, _)| *order);
        }
        world.engine(&commands);
        oldest = world.resting.first().map(|(order, _)| *order);
        assert!(world.resting.len() <= 12, "{}", world.resting.len());
    }
    assert!(10 <= world.resting.len());
}

#[test]
fn a_pause_of_the_engine_is_not_caught_up_with() {
    let mut world = World::quoting(0);
    world.maker.hear_heartbeat(None);
    assert!(!world.maker.is_engine_there());
    world.now_us += 60_000_000;
    assert!(world.act().is_empty());
    assert!(world.maker.ask(world.now_us).is_empty());
    world.maker.hear_heartbeat(heartbeat(2));
    assert!(world.act().is_empty(), "this engine may know other commands under our epoch");
    world.take_epoch(9);
    let commands = world.act();
    assert!(commands.iter().all(|command| command.origin.epoch == 10));
    assert!((1..=11).contains(&commands.len()), "{}", commands.len());
}

#[test]
fn a_side_without_funds_is_not_quoted_until_funded() {
    let mut world = World::quoting(0);
    world.fund(1, 0, RICH);
    let mut sides = Vec::new();
    for _ in 0..50 {
        let commands = world.act();
        sides.extend(places(&commands).iter().map(|place| place.side));
        world.engine(&commands);
    }
    assert!(!sides.is_empty() && !sides.contains(&Side::Bid));
    assert!(!world.maker.is_funded());
    world.fund(1, RICH, RICH);
    sides.clear();
    for _ in 0..50 {
        let commands = world.act();
        sides.extend(places(&commands).iter().map(|place| place.side));
        world.engine(&commands);
    }
    assert!(sides.contains(&Side::Bid));
    assert!(world.maker.is_funded());
}

#[test]
fn a_refusal_for_lack_of_funds_stops_the_side_at_once() {
    let mut world = World::quoting(0);
    let command = loop {
        let commands = world.act();
        if let Some(command) = commands.into_iter().find(|it| !places(&[*it]).is_empty()) {
            break command;
        }
    };
    let side = places(&[command])[0].side;
    world.reply(&command, Outcome::Refused(Refusal::InsufficientFunds), &[]);
    let mut later = Vec::new();
    for _ in 0..30 {
        let commands = world.act();
        later.extend(places(&commands).iter().map(|place| place.side));
    }
    assert!(!later.is_empty() && !later.contains(&side));
}

#[test]
fn an_unfunded_side_frees_what_its_old_orders_hold() {
    let mut world = World::quoting(0);
    while !world.resting.iter().any(|(_, place)| place.side == Side::Bid) {
        let commands = world.act();
        world.engine(&commands);
    }
    world.fund(1, 0, RICH);
    let cancelled_a_bid = (0..60).any(|_| {
        let commands = world.act();
        let is_bid = |id: &OrderId| {
            world.resting.iter().any(|(order, it)| order == id && it.side == Side::Bid)
        };
        let found = commands.iter().any(|command| match command.action {
            Action::Cancel { target: Target::Order(id), .. } => is_bid(&id),
            _ => false,
        });
        world.engine(&commands);
        found
    });
    assert!(cancelled_a_bid);
}

#[test]
fn the_taker_crosses_the_book_with_ioc_orders() {
    let mut world = World::quoting(100);
    let maker_only = world.act();
    assert!(places(&maker_only).iter().all(|place| place.account == account(1)));
    world.engine(&maker_only);
    let frame = br#"{"stream":"bookTicker@SOL_USDC","data":{"e":"bookTicker","E":1,"T":1,
        "s":"SOL_USDC","b":"149.90","B":"1.00","a":"150.10","A":"1.00","u":1}}"#;
    world.maker.hear_market("bookTicker@SOL_USDC", frame);
    for place in (0..10).flat_map(|_| places(&world.act())) {
        assert_eq!(place.account, account(2));
        assert_eq!(place.time_in_force, TimeInForce::ImmediateOrCancel);
        match place.side {
            Side::Bid => assert!(15_010 <= price(&place).ticks()),
            Side::Ask => assert!(price(&place).ticks() <= 14_990),
        }
    }
}

#[test]
fn fills_are_learned_from_trades_and_from_the_replica() {
    let mut world = World::quoting(0);
    while world.resting.len() < 3 {
        let commands = world.act();
        world.engine(&commands);
    }
    let (order, place) = world.resting[0];
    let trade = Trade {
        id: TradeId(1),
        maker_account: account(1),
        maker_order: order,
        taker_side: place.side.opposite(),
        price: price(&place),
        lots: lots(&place),
        maker_fee: Units::ZERO,
        taker_fee: Units::ZERO,
        maker_lots_left: Lots::ZERO,
    };
    let origin = Origin { gateway: protocol::GatewayId(900), epoch: 4, sequence: 9 };
    let earlier = Command { origin, time_us: 0, action: Action::Place(place) };
    let taken = OrderId::from_parts(MARKET, 999, 1).unwrap();
    world.reply(&earlier, Outcome::Filled { order: taken }, &[Event::Trade(trade)]);
    assert_eq!(world.maker.own.get(order), None);
    // Somebody else took the second; the replica no longer lists it, but one we did not know.
    let (second, third) = (world.resting[1].0, world.resting[2]);
    let unknown = OrderId::from_parts(MARKET, 77, 3).unwrap();
    world.list(&[third, (unknown, place)]);
    assert_eq!(world.maker.own.get(second), None);
    assert!(world.maker.own.get(third.0).is_some());
    assert!(world.maker.own.get(unknown).is_some());
    assert_eq!(world.maker.own.count(MARKET), 2);
}

#[test]
fn an_answer_older_than_a_reply_does_not_undo_it() {
    let mut world = World::quoting(0);
    while world.resting.len() < 2 {
        let commands = world.act();
        world.engine(&commands);
    }
    let before = world.sequence;
    let listed_then = world.resting.clone();
    let commands = world.act();
    world.engine(&commands);
    let (closed_since, place) = world.resting[0];
    let cancel = Action::cancel_all(MARKET, account(1));
    let origin = Origin { gateway: protocol::GatewayId(900), epoch: 4, sequence: 10 };
    let command = Command { origin, time_us: 0, action: cancel };
    let event = Event::Closed(closed(closed_since, &place));
    world.reply(&command, Outcome::Cancelled, &[event]);
    let placed_since = world.resting.last().unwrap().0;
    let now = std::mem::replace(&mut world.sequence, before);
    world.list(&listed_then);
    world.sequence = now;
    assert_eq!(world.maker.own.get(closed_since), None);
    assert!(world.maker.own.get(placed_since).is_some());
}

#[test]
fn a_cancel_that_finds_nothing_forgets_the_order() {
    let mut world = World::quoting(0);
    let (cancel, id) = loop {
        let commands = world.act();
        let found = commands.iter().find_map(|command| match command.action {
            Action::Cancel { target: Target::Order(id), .. } => Some((*command, id)),
            _ => None,
        });
        match found {
            Some(found) => break found,
            None => world.engine(&commands),
        }
    };
    assert!(world.maker.own.get(id).is_some_and(|order| order.cancelling));
    world.reply(&cancel, Outcome::Refused(Refusal::OrderNotFound), &[]);
    assert_eq!(world.maker.own.get(id), None);
}

#[test]
fn draining_cancels_everything_and_places_nothing_more() {
    let mut world = World::quoting(0);
    let commands = world.act();
    world.engine(&commands);
    world.maker.drain();
    let commands = world.act();
    let all = |command: &Command| matches!(command.action, Action::CancelAll(_));
    assert!(commands.len() == 2 && commands.iter().all(all));
    world.reply(&commands[0], Outcome::Cancelled, &[]);
    assert!(!world.maker.is_done());
    world.reply(&commands[1], Outcome::Refused(Refusal::UnknownAccount), &[]);
    assert!(world.maker.is_done());
    assert!(world.act().is_empty());
}

#[test]
fn commands_without_replies_hold_it_back_and_are_given_up() {
    let raw = crate::config::RawConfig { in_flight_max: 5, taker_percent: 0, ..raw() };
    let mut world = World::quoting(0);
    world.maker.config = Config::check(&raw, &catalog()).unwrap();
    let sent: usize = (0..20).map(|_| world.act().len()).sum();
    assert_eq!(sent, 5);
    world.now_us += 7_100_000;
    assert!(!world.act().is_empty());
}

#[test]
fn broken_replies_are_an_error_and_no_panic() {
    let mut world = World::new(0);
    assert!(world.maker.hear_replies(b"nonsense").is_err());
    assert!(world.maker.hear_replies(&[0x7F; 64]).is_err());
    assert!(world.maker.hear_replies(&[]).is_ok());
}

#[test]
fn a_command_old_to_the_engine_makes_it_take_another_epoch() {
    let mut world = World::quoting(0);
    world.maker.drain();
    let commands = world.act();
    for command in &commands {
        world.reply(command, Outcome::Refused(Refusal::Stale), &[]);
    }
    assert!(!world.maker.is_done(), "what was not executed is not cleared");
    world.now_us += 2_000_000;
    assert!(world.act().is_empty());
    world.take_epoch(30);
    let again = world.act();
    assert!(again.iter().all(|command| command.origin.epoch == 31 && 2 < command.origin.sequence));
    for command in &again {
        world.reply(command, Outcome::Recognised { first: Sequence(1) }, &[]);
    }
    assert!(world.maker.is_done(), "carried out before");
}

#[test]
fn a_new_connection_is_not_trusted_to_remember_the_epoch() {
    let mut world = World::quoting(0);
    world.maker.connection_lost();
    assert!(world.act().is_empty());
    world.take_epoch(4);
    assert!(world.act().iter().all(|command| command.origin.epoch == 6));
}
