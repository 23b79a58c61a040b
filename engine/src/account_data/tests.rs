//! Who is told what, in the words of the frames.

use protocol::feed::{About, AccountMessage};
use protocol::{
    Action, Amend, CancelAll, CancelKinds, ClientId, Lots, OrderId, OrderKind, Place,
    SelfTradePrevention, Side, Target, TimeInForce, Transfer, TransferId, Trigger, TriggerBy,
    TriggerPlace, Units,
};
use serde_json::Value;

use super::*;
use crate::replica_loop::fixture::{MARKET, QUOTE, TestExchange, account, limit, price};
use protocol::fixture as words;

mod bookkeeping;

const NOW_US: u64 = 60_000_500;

/// An exchange, and who listens to accounts 1 and 2 of it.
struct Scene {
    exchange: TestExchange,
    replica: Replica,
    account_data: AccountData,
}

/// A message as a fan-out reads it.
struct Told {
    account: AccountId,
    number: u64,
    updates: Vec<(About, Value)>,
}

impl Scene {
    fn new() -> Scene {
        let mut scene = Scene::unheard();
        for id in [1, 2] {
            scene.account_data.leases().listen(account(id), NOW_US).unwrap();
        }
        scene
    }

    fn unheard() -> Scene {
        let (exchange, funding) = TestExchange::funded();
        let mut replica = Replica::new(exchange.catalog.clone());
        for frame in Frame::each_of(&funding.frames) {
            replica.apply(&frame.unwrap()).unwrap();
        }
        Scene { exchange, replica, account_data: AccountData::new(7) }
    }

    /// The messages of each frame that the actions cause.
    fn frames(&mut self, actions: &[Action], mut look: impl FnMut(&Replica, Vec<Told>)) {
        let block = self.exchange.block(actions);
        for frame in Frame::each_of(&block.frames) {
            let (frame, mut out) = (frame.unwrap(), Vec::new());
            self.account_data.before(&self.replica, &frame, || NOW_US);
            self.replica.apply(&frame).unwrap();
            self.account_data.after(&self.replica, &frame, || NOW_US, &mut out);
            look(&self.replica, out.iter().map(read).collect());
        }
    }

    /// What account 1 and account 2 are told of their orders, in short.
    fn told(&mut self, actions: &[Action]) -> [Vec<String>; 2] {
        let mut told = [Vec::new(), Vec::new()];
        self.frames(actions, |_, messages| {
            for message in messages {
                let orders = message.updates.iter().filter(|(about, _)| *about != About::Balance);
                told[message.account.index()].extend(orders.map(|(_, data)| short(data)));
            }
        });
        told
    }

    /// The order that the action places.
    fn placed(&mut self, action: Action) -> OrderId {
        let mut placed = None;
        self.frames(&[action], |_, messages| {
            let data = &messages[0].updates[0].1;
            placed = data["i"].as_str().and_then(|id| OrderId::from_u64(id.parse().ok()?));
        });
        placed.unwrap()
    }
}

fn read(publication: &Publication) -> Told {
    let message: AccountMessage<'_> = serde_json::from_slice(&publication.payload).unwrap();
    assert_eq!(message.life, 7);
    let id = publication.channel.strip_prefix("account@").unwrap();
    let updates = message.updates.iter().map(|update| {
        let data: Value = serde_json::from_str(update.data.get()).unwrap();
        assert_eq!(data["E"], NOW_US);
        (update.about, data)
    });
    let account = account(id.parse().unwrap());
    Told { account, number: message.number, updates: updates.collect() }
}

/// `orderFill Filled 0.2/0.2`: event, status, executed of quantity, then what else is there.
fn short(data: &Value) -> String {
    let text = |name: &str| data[name].as_str().unwrap_or("-").to_owned();
    let mut out = format!("{} {} {}/{}", text("e"), text("X"), text("z"), text("q"));
    for name in ["c", "Q", "P", "R", "t", "m"] {
        if !data[name].is_null() {
            out.push_str(&format!(" {name}={}", data[name].to_string().replace('"', "")));
        }
    }
    out
}

fn place(id: u32, side: Side, kind: OrderKind) -> Place {
    Place { kind, ..words::limit(MARKET, id, side, 1, 1) }
}

fn market_order(id: u32, side: Side, lots: u64) -> Place {
    place(id, side, OrderKind::MarketByLots { lots: Lots(lots) })
}

fn waits(place: Place, at: u64) -> Action {
    let trigger = Trigger { price: price(at), by: TriggerBy::LastPrice };
    Action::PlaceTrigger(TriggerPlace { place, trigger })
}

fn amend(id: u32, order: OrderId, at: Option<u64>, lots: Option<u64>) -> Action {
    Action::Amend(Amend {
        market: MARKET,
        account: account(id),
        target: Target::Order(order),
        price: at.map(price),
        lots: lots.map(Lots),
        valid_until_us: 0,
    })
}

#[test]
fn both_sides_of_a_trade_are_told_with_their_totals() {
    let mut scene = Scene::new();
    let named = Place { client_id: Some(ClientId(9)), ..words::limit(MARKET, 1, Side::Ask, 60, 5) };
    let [maker, taker] = scene.told(&[Action::Place(named), limit(2, Side::Bid, 60, 2)]);
    let fill = "orderFill PartiallyFilled 0.2/0.5 c=9 t=1 m=true";
    assert_eq!(maker, ["orderAccepted New 0.0/0.5 c=9", fill]);
    assert_eq!(taker, ["orderAccepted New 0.0/0.2", "orderFill Filled 0.2/0.2 t=1 m=false"]);
    let [maker, taker] = scene.told(&[limit(2, Side::Bid, 61, 4)]);
    assert_eq!(maker, ["orderFill Filled 0.5/0.5 c=9 t=2 m=true"]);
    let fill = "orderFill PartiallyFilled 0.3/0.4 t=2 m=false";
    assert_eq!(taker, ["orderAccepted New 0.0/0.4", fill]);
}

#[test]
fn a_message_has_the_orders_first_and_then_a_balance_for_each_asset() {
    let mut scene = Scene::new();
    scene.told(&[limit(1, Side::Ask, 60, 5)]);
    scene.frames(&[limit(2, Side::Bid, 60, 2)], |_, messages| {
        let about = |message: &Told| -> Vec<_> {
            message.updates.iter().map(|(about, _)| *about).collect()
        };
        let order = About::Order(MARKET);
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].account, messages[0].number), (account(1), 2));
        assert_eq!(about(&messages[0]), [order, About::Balance, About::Balance]);
        assert_eq!((messages[1].account, messages[1].number), (account(2), 1));
        assert_eq!(about(&messages[1]), [order, order, About::Balance, About::Balance]);
        // 0.2 for 6.0 each: the seller pays 1 % of 1.2, the buyer 2 % of 0.2.
        let balance = |at: usize, which: usize| {
            let data = &messages[at].updates[which].1;
            ["a", "A", "L", "S"].map(|name| data[name].as_str().unwrap().to_owned()).join(" ")
        };
        assert_eq!([balance(0, 1), balance(0, 2)], ["Q 1001.188 0 0", "B 999.5 0.3 0"]);
        assert_eq!([balance(1, 2), balance(1, 3)], ["Q 998.8 0 0", "B 1000.196 0 0"]);
    });
}

#[test]
fn what_is_refused_tells_nothing_and_takes_no_number() {
    let mut scene = Scene::new();
    let too_much = limit(1, Side::Bid, 1_000_000, 1_000_000);
    let absent =
        Action::Cancel { market: MARKET, account: account(1), target: Target::Client(ClientId(5)) };
    scene.frames(&[too_much, absent], |_, messages| assert!(messages.is_empty()));
    let nothing_open = Action::cancel_all(MARKET, account(1));
    scene.frames(&[nothing_open], |_, messages| assert!(messages.is_empty()));
    scene.frames(&[limit(1, Side::Bid, 50, 1)], |_, messages| assert_eq!(messages[0].number, 1));
}

#[test]
fn an_order_without_a_counterpart_is_accepted_and_expires() {
    let mut scene = Scene::new();
    let [told, _] = scene.told(&[Action::Place(market_order(1, Side::Bid, 3))]);
    let expired = "orderExpired Expired 0.0/0.3 R=INSUFFICIENT_LIQUIDITY";
    assert_eq!(told, ["orderAccepted New 0.0/0.3", expired]);
    scene.told(&[limit(2, Side::Ask, 60, 1)]);
    for (time_in_force, told) in [
        (TimeInForce::FillOrKill, vec!["orderExpired Expired 0.0/0.3 R=FILL_OR_KILL"]),
        (
            TimeInForce::ImmediateOrCancel,
            vec![
                "orderFill PartiallyFilled 0.1/0.3 t=1 m=false",
                "orderExpired Expired 0.1/0.3 R=IMMEDIATE_OR_CANCEL",
            ],
        ),
    ] {
        let order = Place { time_in_force, ..words::limit(MARKET, 1, Side::Bid, 60, 3) };
        let [found, _] = scene.told(&[Action::Place(order)]);
        assert_eq!(found[0], "orderAccepted New 0.0/0.3");
        assert_eq!(found[1..], told);
    }
}

#[test]
fn a_market_order_by_quote_counts_up_its_quantity() {
    let mut scene = Scene::new();
    scene.told(&[limit(1, Side::Ask, 60, 1), limit(1, Side::Ask, 61, 2)]);
    let order = place(2, Side::Bid, OrderKind::MarketByQuote { quote: Units(1_500) });
    let [_, taker] = scene.told(&[Action::Place(order)]);
    let expected = [
        "orderAccepted New 0.0/0.0 Q=1.5",
        "orderFill PartiallyFilled 0.1/0.1 Q=1.5 t=1 m=false",
        "orderFill Filled 0.2/0.2 Q=1.5 t=2 m=false",
    ];
    assert_eq!(taker, expected);
}

#[test]
fn self_trade_prevention_expires_the_order_it_is_to() {
    let accepted = "orderAccepted New 0.0/0.3";
    let [maker, taker] = ["orderExpired Expired 0.0/0.2", "orderExpired Expired 0.0/0.3"]
        .map(|told| format!("{told} R=SELF_TRADE_PREVENTION"));
    for (policy, expected) in [
        (SelfTradePrevention::RejectTaker, vec![accepted, &taker]),
        (SelfTradePrevention::RejectMaker, vec![accepted, &maker]),
        (SelfTradePrevention::RejectBoth, vec![accepted, &maker, &taker]),
    ] {
        let mut scene = Scene::new();
        scene.told(&[limit(1, Side::Ask, 60, 2)]);
        let order =
            Place { self_trade_prevention: policy, ..words::limit(MARKET, 1, Side::Bid, 60, 3) };
        let [told, other] = scene.told(&[Action::Place(order)]);
        assert_eq!((told, other), (expected.iter().map(ToString::to_string).collect(), vec![]));
    }
}

#[test]
fn each_order_that_is_cancelled_is_told() {
    let mut scene = Scene::new();
    scene.told(&[
        limit(1, Side::Bid, 50, 2),
        limit(2, Side::Ask, 50, 1),
        waits(market_order(1, Side::Bid, 3), 70),
        limit(2, Side::Bid, 40, 1),
    ]);
    let kinds = CancelKinds::All;
    let all = CancelAll { market: MARKET, account: account(1), kinds, created_until_us: 0 };
    let [mut told, other] = scene.told(&[Action::CancelAll(all)]);
    told.sort();
    let expected = ["orderCancelled Cancelled 0.0/0.3 P=7.0", "orderCancelled Cancelled 0.1/0.2"];
    assert_eq!((told, other), (expected.map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn an_amended_order_is_told_as_it_is_to_be_before_it_trades() {
    let mut scene = Scene::new();
    let order = scene.placed(limit(1, Side::Bid, 50, 3));
    scene.told(&[limit(2, Side::Ask, 50, 1), limit(2, Side::Ask, 55, 2)]);
    let [shrunk, _] = scene.told(&[amend(1, order, None, Some(2))]);
    assert_eq!(shrunk, ["orderModified PartiallyFilled 0.1/0.2"]);
    let [taker, maker] = scene.told(&[amend(1, order, Some(55), Some(4))]);
    let expected =
        ["orderModified PartiallyFilled 0.1/0.4", "orderFill PartiallyFilled 0.3/0.4 t=2 m=false"];
    assert_eq!(taker, expected);
    assert_eq!(maker, ["orderFill Filled 0.2/0.2 t=2 m=true"]);
    let waiting = scene.placed(waits(market_order(1, Side::Bid, 3), 70));
    let [told, _] = scene.told(&[amend(1, waiting, None, Some(5))]);
    assert_eq!(told, ["orderModified TriggerPending 0.0/0.5 P=7.0"]);
}

#[test]
fn a_trigger_that_fires_is_an_accepted_order_under_its_id() {
    let mut scene = Scene::new();
    scene.told(&[limit(2, Side::Ask, 60, 1), limit(2, Side::Ask, 61, 1)]);
    let two =
        place(1, Side::Bid, OrderKind::Limit { price: price(61), lots: Lots(2), post_only: false });
    let [told, _] = scene.told(&[waits(two, 60)]);
    assert_eq!(told, ["triggerPlaced TriggerPending 0.0/0.2 P=6.0"]);
    let [told, _] = scene.told(&[limit(1, Side::Bid, 60, 1)]);
    let expected = [
        "orderAccepted New 0.0/0.1",
        "orderFill Filled 0.1/0.1 t=1 m=false",
        "orderAccepted New 0.0/0.2 P=6.0",
        "orderFill PartiallyFilled 0.1/0.2 P=6.0 t=2 m=false",
    ];
    assert_eq!(told, expected);
    // As a maker it still says what it waited for.
    let [told, _] = scene.told(&[limit(2, Side::Ask, 61, 1)]);
    assert_eq!(told, ["orderFill Filled 0.2/0.2 P=6.0 t=3 m=true"]);
}

#[test]
fn a_trigger_that_is_refused_when_it_fires_is_told_to_have_failed() {
    let mut scene = Scene::new();
    let much = place(
        1,
        Side::Bid,
        OrderKind::Limit { price: price(900_000), lots: Lots(900_000), post_only: false },
    );
    let [told, _] =
        scene.told(&[waits(much, 60), limit(2, Side::Ask, 60, 1), limit(1, Side::Bid, 60, 1)]);
    assert_eq!(told[0], "triggerPlaced TriggerPending 0.0/90000.0 P=6.0");
    assert_eq!(told.last().unwrap(), "triggerFailed TriggerFailed 0.0/90000.0 P=6.0");
}

#[test]
fn a_transfer_is_a_balance_alone() {
    let mut scene = Scene::new();
    let (units, id) = (Units(500), TransferId(77));
    let transfer = Transfer { account: account(1), asset: QUOTE, units, id };
    scene.frames(&[Action::Deposit(transfer)], |_, messages| {
        assert_eq!((messages.len(), messages[0].updates.len()), (1, 1));
        let (about, data) = &messages[0].updates[0];
        assert_eq!((*about, data["A"].as_str()), (About::Balance, Some("1000.5")));
    });
    scene.frames(&[Action::Deposit(transfer)], |_, messages| {
        assert!(messages.is_empty(), "it is not done twice");
    });
}

#[test]
fn only_accounts_that_somebody_listens_to_are_told() {
    let mut scene = Scene::unheard();
    let trade = [limit(1, Side::Ask, 60, 1), limit(2, Side::Bid, 60, 1)];
    scene.frames(&trade, |_, messages| assert!(messages.is_empty()));
    scene.account_data.leases().listen(account(1), NOW_US).unwrap();
    let mut accounts = Vec::new();
    scene.frames(&trade, |_, messages| {
        accounts.extend(messages.iter().map(|message| message.account));
    });
    assert_eq!(accounts, [account(1), account(1)], "placed, and traded as the maker");
}
