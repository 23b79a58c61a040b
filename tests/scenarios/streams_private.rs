//! What an account hears of itself: every change of its orders and balances, in order, and nobody
//! else's.

use std::collections::BTreeMap;

use scenarios::client::{Trader, id_of, limit, market, market_by_quote, with};
use scenarios::lane::Scenario;
use scenarios::order_updates::{self, events_of};
use scenarios::socket::Socket;
use scenarios::world::World;
use serde_json::{Value, json};

pub const SCENARIOS: &[Scenario] = &[
    ("streams_private::an_order_is_told_from_its_first_day_to_its_last", a_life),
    ("streams_private::what_never_rests_is_told_as_well", what_never_rests),
    ("streams_private::an_order_that_waits_is_told_when_it_fires_or_fails", what_waits),
    ("streams_private::a_changed_order_is_told_as_it_is_to_be", amended),
    ("streams_private::balances_are_absolute_and_end_as_rest_has_them", balances),
    ("streams_private::one_market_alone_and_the_latest_account_wins", names),
    ("streams_private::what_was_heard_rest_knows", rest_knows),
];

const SYMBOL: &str = "ETH_USDC";
const ORDERS: &str = "account.orderUpdate";
const BALANCES: &str = "account.balanceUpdate";

/// A trader with a socket that hears all of him.
struct Listener {
    trader: Trader,
    socket: Socket,
}

impl Listener {
    fn new(world: &mut World, name: &str, funds: &[(&str, &str)]) -> Listener {
        let trader = world.trader(name, funds);
        let mut socket = world.socket();
        socket.listen_as(&trader, &[ORDERS, BALANCES]);
        Listener { trader, socket }
    }

    fn place(&self, order: &Value) -> Value {
        self.trader.place(order).ok()
    }

    /// Waits until so much was told of the order, and that is it.
    fn heard(&mut self, order: &Value, wanted: &[&str]) {
        let id = id_of(order);
        self.socket.until(&format!("{wanted:?}"), |socket| {
            let events = events_of(socket.data(ORDERS), &id);
            (wanted.len() <= events.len()).then_some(())
        });
        let events = events_of(self.socket.data(ORDERS), &id);
        assert_eq!(events, wanted);
    }

    /// Data of the order's frame with this event, the last of them.
    fn told(&self, order: &Value, event: &str) -> Value {
        let id = id_of(order);
        let of_order = self.socket.data(ORDERS).filter(|data| data["i"] == id.as_str());
        let found = of_order.filter(|data| data["e"] == event).last();
        found.unwrap_or_else(|| panic!("no {event} of {order}")).clone()
    }

    /// Checks all that was told, and that the balances told last are those of REST.
    fn finish(mut self) {
        self.trader.cancel_all(SYMBOL).ok();
        self.until_balances();
        order_updates::check(self.socket.data(ORDERS));
    }

    fn until_balances(&mut self) {
        let trader = self.trader.clone();
        let capital = trader.capital();
        self.socket.until("the balances of REST", |socket| {
            let told = balances_told(socket);
            let nothing = json!({"available": "0", "locked": "0", "staked": "0"});
            let row = |asset: &String| capital.get(asset).unwrap_or(&nothing).clone();
            let is_so = |(asset, told): (&String, &Value)| row(asset) == *told;
            told.iter().all(is_so).then_some(())
        });
    }
}

/// The last of each asset, as REST shows it.
fn balances_told(socket: &Socket) -> BTreeMap<String, Value> {
    let told = socket.data(BALANCES).map(|data| {
        let row = json!({"available": data["A"], "locked": data["L"], "staked": data["S"]});
        (data["a"].as_str().unwrap().to_owned(), row)
    });
    told.collect()
}

fn members(data: &Value, names: &[&str]) -> Value {
    names.iter().map(|name| ((*name).to_owned(), data[*name].clone())).collect()
}

fn a_life(world: &mut World) {
    let mut alice = Listener::new(world, "alice", &[("ETH", "10")]);
    let mut bob = Listener::new(world, "bob", &[("USDC", "10000")]);
    let resting = with(&limit(SYMBOL, "Ask", "100", "3"), json!({"clientId": 77}));
    let resting = alice.place(&resting);
    alice.heard(&resting, &["orderAccepted New"]);
    let accepted = alice.told(&resting, "orderAccepted");
    let wanted = json!({
        "c": 77, "S": "Ask", "o": "LIMIT", "f": "GTC", "q": "3.0000", "p": "100.00",
        "z": "0.0000", "Z": "0", "t": null, "V": "RejectTaker", "y": false, "s": SYMBOL,
    });
    let names: Vec<&str> = wanted.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members(&accepted, &names), wanted);

    let first = bob.place(&limit(SYMBOL, "Bid", "100", "1"));
    bob.heard(&first, &["orderAccepted New", "orderFill Filled"]);
    alice.heard(&resting, &["orderAccepted New", "orderFill PartiallyFilled"]);
    let (sold, bought) = (alice.told(&resting, "orderFill"), bob.told(&first, "orderFill"));
    let wanted = json!({"z": "1.0000", "Z": "100", "l": "1.0000", "L": "100.00"});
    for told in [&sold, &bought] {
        assert_eq!(members(told, &["z", "Z", "l", "L"]), wanted);
        assert_eq!(told["t"], first["fills"][0]["tradeId"]);
    }
    assert_eq!((&sold["m"], &bought["m"]), (&json!(true), &json!(false)));
    assert_eq!((&sold["N"], &bought["N"]), (&json!("USDC"), &json!("ETH")));
    let fee = &first["fills"][0];
    assert_eq!((&bought["n"], &bought["N"]), (&fee["fee"], &fee["feeSymbol"]));

    let second = bob.place(&limit(SYMBOL, "Bid", "100", "1.5"));
    bob.heard(&second, &["orderAccepted New", "orderFill Filled"]);
    alice.trader.cancel(&json!({"symbol": SYMBOL, "orderId": id_of(&resting)})).ok();
    let life = [
        "orderAccepted New",
        "orderFill PartiallyFilled",
        "orderFill PartiallyFilled",
        "orderCancelled Cancelled",
    ];
    alice.heard(&resting, &life);
    let gone = alice.told(&resting, "orderCancelled");
    let wanted = json!({"z": "2.5000", "Z": "250", "q": "3.0000", "c": 77});
    assert_eq!(members(&gone, &["z", "Z", "q", "c"]), wanted);
    // Nothing was told twice, and nobody heard of the other's orders.
    for (listener, foreign) in [(&alice, &first), (&bob, &resting)] {
        assert_eq!(events_of(listener.socket.data(ORDERS), &id_of(foreign)), Vec::<String>::new());
    }
    alice.finish();
    bob.finish();
}

fn what_never_rests(world: &mut World) {
    let mut alice = Listener::new(world, "alice", &[("ETH", "100"), ("USDC", "1000")]);
    let mut bob = Listener::new(world, "bob", &[("USDC", "10000"), ("ETH", "5")]);
    // Nothing to trade with.
    let nothing = bob.place(&market(SYMBOL, "Bid", "1"));
    bob.heard(&nothing, &["orderAccepted New", "orderExpired Expired"]);
    let expired = bob.told(&nothing, "orderExpired");
    let wanted = json!({"o": "MARKET", "q": "1.0000", "R": "INSUFFICIENT_LIQUIDITY"});
    assert_eq!(members(&expired, &["o", "q", "R"]), wanted);

    let resting = alice.place(&limit(SYMBOL, "Ask", "100", "2"));
    let fok = with(&limit(SYMBOL, "Bid", "100", "2.1"), json!({"timeInForce": "FOK"}));
    let fok = bob.place(&fok);
    bob.heard(&fok, &["orderAccepted New", "orderExpired Expired"]);
    let wanted = json!({"f": "FOK", "R": "FILL_OR_KILL", "z": "0.0000"});
    assert_eq!(members(&bob.told(&fok, "orderExpired"), &["f", "R", "z"]), wanted);

    let ioc = with(&limit(SYMBOL, "Bid", "100", "1.5"), json!({"timeInForce": "IOC"}));
    let ioc = bob.place(&ioc);
    bob.heard(&ioc, &["orderAccepted New", "orderFill Filled"]);
    let ioc = with(&limit(SYMBOL, "Bid", "100", "1.5"), json!({"timeInForce": "IOC"}));
    let ioc = bob.place(&ioc);
    let events = ["orderAccepted New", "orderFill PartiallyFilled", "orderExpired Expired"];
    bob.heard(&ioc, &events);
    let wanted = json!({"R": "IMMEDIATE_OR_CANCEL", "z": "0.5000", "Z": "50"});
    assert_eq!(members(&bob.told(&ioc, "orderExpired"), &["R", "z", "Z"]), wanted);
    alice.heard(&resting, &["orderAccepted New", "orderFill PartiallyFilled", "orderFill Filled"]);

    // By quote over two levels: 60 of it buys 0.5 at 100 and 0.1 at 100.00 each.
    alice.place(&limit(SYMBOL, "Ask", "100", "0.5"));
    alice.place(&limit(SYMBOL, "Ask", "120", "1"));
    let by_quote = bob.place(&market_by_quote(SYMBOL, "Bid", "62"));
    let events = ["orderAccepted New", "orderFill PartiallyFilled", "orderFill Filled"];
    bob.heard(&by_quote, &events);
    let wanted = json!({"q": "0.0000", "Q": "62", "z": "0.0000"});
    assert_eq!(members(&bob.told(&by_quote, "orderAccepted"), &["q", "Q", "z"]), wanted);
    let wanted = json!({"q": "0.6000", "Q": "62", "z": "0.6000", "Z": "62", "l": "0.1000"});
    assert_eq!(members(&bob.told(&by_quote, "orderFill"), &["q", "Q", "z", "Z", "l"]), wanted);

    // His own offer stands in the way.
    let own = bob.place(&limit(SYMBOL, "Ask", "110", "1"));
    let crossing = bob.place(&limit(SYMBOL, "Bid", "110", "1"));
    bob.heard(&crossing, &["orderAccepted New", "orderExpired Expired"]);
    assert_eq!(bob.told(&crossing, "orderExpired")["R"], "SELF_TRADE_PREVENTION");
    let order = limit(SYMBOL, "Bid", "110", "1");
    let other = bob.place(&with(&order, json!({"selfTradePrevention": "RejectMaker"})));
    bob.heard(&own, &["orderAccepted New", "orderExpired Expired"]);
    bob.heard(&other, &["orderAccepted New"]);
    // A refused one tells nothing: the next that is told is the one behind it.
    let before = bob.socket.data(ORDERS).count();
    bob.trader.place(&limit(SYMBOL, "Bid", "100", "1000")).refused(400, "INSUFFICIENT_FUNDS");
    let next = bob.place(&limit(SYMBOL, "Bid", "1", "1"));
    bob.heard(&next, &["orderAccepted New"]);
    assert_eq!(bob.socket.data(ORDERS).count(), before + 1);
    alice.finish();
    bob.finish();
}

/// Waits for the last price to be `trigger`.
fn waiting(order: &Value, trigger: &str) -> Value {
    let quantity = order["quantity"].clone();
    let members = json!({"quantity": null, "triggerPrice": trigger, "triggerQuantity": quantity});
    with(order, members)
}

fn what_waits(world: &mut World) {
    let mut maker = Listener::new(world, "maker", &[("ETH", "10"), ("USDC", "10000")]);
    let taker = world.trader("taker", &[("ETH", "10"), ("USDC", "10000")]);
    let mut trade_at = |price: &str| {
        let resting = maker.place(&limit(SYMBOL, "Ask", price, "0.1"));
        taker.place(&limit(SYMBOL, "Bid", price, "0.1")).ok();
        maker.heard(&resting, &["orderAccepted New", "orderFill Filled"]);
    };
    trade_at("100");
    let mut alice = Listener::new(world, "alice", &[("ETH", "2")]);
    let fires = alice.place(&waiting(&limit(SYMBOL, "Ask", "120", "1"), "110"));
    let fails = alice.place(&waiting(&limit(SYMBOL, "Ask", "120", "5"), "110"));
    let leaves = alice.place(&waiting(&limit(SYMBOL, "Ask", "120", "1"), "200"));
    for order in [&fires, &fails, &leaves] {
        alice.heard(order, &["triggerPlaced TriggerPending"]);
    }
    let wanted = json!({"P": "110.00", "Y": "1.0000", "p": "120.00", "q": "1.0000"});
    assert_eq!(members(&alice.told(&fires, "triggerPlaced"), &["P", "Y", "p", "q"]), wanted);
    // Nothing is held for it, so nothing moves.
    assert_eq!(alice.socket.data(BALANCES).count(), 0);
    trade_at("110");
    alice.heard(&fires, &["triggerPlaced TriggerPending", "orderAccepted New"]);
    alice.heard(&fails, &["triggerPlaced TriggerPending", "triggerFailed TriggerFailed"]);
    alice.trader.cancel(&json!({"symbol": SYMBOL, "orderId": id_of(&leaves)})).ok();
    alice.heard(&leaves, &["triggerPlaced TriggerPending", "orderCancelled Cancelled"]);
    taker.place(&limit(SYMBOL, "Bid", "120", "1")).ok();
    let life = ["triggerPlaced TriggerPending", "orderAccepted New", "orderFill Filled"];
    alice.heard(&fires, &life);
    assert_eq!(alice.told(&fires, "orderFill")["P"], "110.00");
    alice.finish();
    maker.finish();
    taker.cancel_all(SYMBOL).ok();
}

fn amended(world: &mut World) {
    let mut alice = Listener::new(world, "alice", &[("ETH", "10")]);
    let mut bob = Listener::new(world, "bob", &[("USDC", "10000")]);
    let bid = bob.place(&limit(SYMBOL, "Bid", "90", "1"));
    let ask = alice.place(&limit(SYMBOL, "Ask", "100", "3"));
    let change = |members: Value| with(&json!({"symbol": SYMBOL, "orderId": id_of(&ask)}), members);
    alice.trader.amend(&change(json!({"quantity": "2"}))).ok();
    alice.heard(&ask, &["orderAccepted New", "orderModified New"]);
    let wanted = json!({"p": "100.00", "q": "2.0000", "z": "0.0000"});
    assert_eq!(members(&alice.told(&ask, "orderModified"), &["p", "q", "z"]), wanted);
    alice.trader.amend(&change(json!({"price": "90"}))).ok();
    let life = [
        "orderAccepted New",
        "orderModified New",
        "orderModified New",
        "orderFill PartiallyFilled",
    ];
    alice.heard(&ask, &life);
    let wanted = json!({"p": "90.00", "q": "2.0000", "z": "1.0000", "m": false});
    assert_eq!(members(&alice.told(&ask, "orderFill"), &["p", "q", "z", "m"]), wanted);
    bob.heard(&bid, &["orderAccepted New", "orderFill Filled"]);
    alice.finish();
    bob.finish();
}

fn balances(world: &mut World) {
    let mut alice = Listener::new(world, "alice", &[("ETH", "10"), ("USDC", "500")]);
    let account = alice.trader.account.clone();
    world.stack().admin().deposit(&account, "BTC", "0.5", &format!("more-{account}")).unwrap();
    let wanted = json!({"available": "0.5", "locked": "0", "staked": "0"});
    alice.socket.until("the deposit", |socket| {
        (balances_told(socket).get("BTC") == Some(&wanted)).then_some(())
    });
    alice.place(&limit(SYMBOL, "Ask", "100", "3"));
    let wanted = json!({"available": "7", "locked": "3", "staked": "0"});
    alice.socket.until("the hold", |socket| {
        (balances_told(socket).get("ETH") == Some(&wanted)).then_some(())
    });
    let bob = world.trader("bob", &[("USDC", "10000")]);
    for step in 0..10 {
        bob.place(&limit(SYMBOL, "Bid", "100", "0.25")).ok();
        alice.place(&limit(SYMBOL, "Bid", &format!("{}", 10 + step), "1"));
    }
    alice.until_balances();
    // Each command tells an asset once: ten fills of the same offer and ten holds.
    let told = |asset: &str| alice.socket.data(BALANCES).filter(|data| data["a"] == asset).count();
    assert_eq!((told("ETH"), told("USDC"), told("BTC")), (11, 20, 1));
    assert!(alice.socket.data(BALANCES).all(|data| data["e"] == "balanceUpdate"));
    alice.finish();
}

/// Who hears what is bound at each SUBSCRIBE.
fn names(world: &mut World) {
    let funds = [("USDC", "1000")];
    let (alice, bob) = (world.trader("alice", &funds), world.trader("bob", &funds));
    let one_market = format!("{ORDERS}.{SYMBOL}");
    let mut socket = world.socket();
    socket.listen_as(&alice, &[&one_market, "trade.ETH_USDC"]);
    socket.listen_as(&bob, &[ORDERS]);
    let elsewhere = alice.place(&limit("SOL_USDC", "Bid", "1", "1")).ok();
    let here = alice.place(&limit(SYMBOL, "Bid", "1", "1")).ok();
    let of_bob = bob.place(&limit("SOL_USDC", "Bid", "1", "1")).ok();
    socket.until("both accounts", |socket| {
        socket.data(&one_market).next().and(socket.data(ORDERS).next()).map(|_| ())
    });
    let told = |socket: &Socket, stream: &str, order: &Value| {
        events_of(socket.data(stream), &id_of(order)).len()
    };
    assert_eq!((told(&socket, &one_market, &here), told(&socket, ORDERS, &of_bob)), (1, 1));
    assert_eq!((told(&socket, &one_market, &elsewhere), told(&socket, ORDERS, &here)), (0, 0));

    // The same name, of the other account: bob is heard no more.
    socket.listen_as(&alice, &[ORDERS]);
    let second_of_bob = bob.place(&limit(SYMBOL, "Bid", "1", "1")).ok();
    let second = alice.place(&limit(SYMBOL, "Bid", "2", "1")).ok();
    socket.until("alice under both names", |socket| {
        (told(socket, ORDERS, &second) + told(socket, &one_market, &second) == 2).then_some(())
    });
    assert_eq!(told(&socket, ORDERS, &second_of_bob), 0);

    // UNSUBSCRIBE needs no signature, and ends one name.
    socket.unsubscribe(&[ORDERS, BALANCES]);
    socket.fence();
    let third = alice.place(&limit(SYMBOL, "Bid", "3", "1")).ok();
    socket.until("the name that is left", |socket| {
        (told(socket, &one_market, &third) == 1).then_some(())
    });
    socket.fence();
    assert_eq!(told(&socket, ORDERS, &third), 0);
    assert_eq!(socket.errors().count(), 0);
    for trader in [&alice, &bob] {
        trader.cancel_all(SYMBOL).ok();
        trader.cancel_all("SOL_USDC").ok();
    }
}

fn rest_knows(world: &mut World) {
    let mut alice = Listener::new(world, "alice", &[("USDC", "100000")]);
    for round in 1..=30 {
        let (trader, price) = (alice.trader.clone(), format!("{round}"));
        // Told by the stream, maybe before its own answer has come.
        let placing =
            std::thread::spawn(move || trader.place(&limit(SYMBOL, "Bid", &price, "1")).ok());
        let data = alice.socket.until("the order", |socket| {
            socket.data(ORDERS).filter(|data| data["e"] == "orderAccepted").nth(round - 1).cloned()
        });
        let which = json!({"symbol": SYMBOL, "orderId": data["i"]});
        let known = alice.trader.order(&which).ok();
        assert_eq!((&known["status"], &known["price"]), (&json!("New"), &data["p"]));
        assert_eq!(id_of(&placing.join().unwrap()), id_of(&known));
        alice.trader.cancel(&which).ok();
        alice.socket.until("its end", |socket| {
            let ended = socket.data(ORDERS).filter(|data| data["e"] == "orderCancelled");
            (ended.count() == round).then_some(())
        });
        assert_eq!(alice.trader.open_orders(SYMBOL), Vec::<Value>::new());
    }
    alice.finish();
}
