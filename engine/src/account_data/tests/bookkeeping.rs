//! Whoever keeps the books of his account by its streams alone has them right: compared with the
//! replica after every frame of arbitrary commands.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::{OrderStatus, Standing, order_words, text};

use super::*;
use crate::replica_loop::fixture::BASE;

/// An order as its updates tell it.
#[derive(Clone, Debug, PartialEq)]
struct Order {
    status: String,
    quantity: String,
    /// In lots and in units of the quote.
    executed: u64,
    executed_quote: u64,
}

/// What one account knows.
#[derive(Default)]
struct Books {
    open: BTreeMap<OrderId, Order>,
    ended: BTreeMap<OrderId, String>,
    /// By symbol: available and locked.
    balances: BTreeMap<String, (String, String)>,
    number: u64,
}

/// The digits of a decimal: `"1.50"` is 150.
fn digits(data: &Value, name: &str) -> u64 {
    data[name].as_str().unwrap().replace('.', "").parse().unwrap()
}

/// Units of Q, which has three decimals.
fn quote(data: &Value, name: &str) -> u64 {
    let text = data[name].as_str().unwrap();
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{rest:0<3}").parse().unwrap()
}

impl Books {
    fn take(&mut self, message: &Told) {
        assert_eq!(message.number, self.number + 1, "numbers are consecutive");
        self.number = message.number;
        let is_balance = |(about, _): &(About, Value)| *about == About::Balance;
        assert!(message.updates.is_sorted_by_key(is_balance), "orders are told first");
        for (about, data) in &message.updates {
            match about {
                About::Balance => self.balance(data),
                About::Order(market) => {
                    assert_eq!((*market, &data["s"]), (MARKET, &"B_Q".into()));
                    self.order(data);
                }
            }
        }
    }

    fn balance(&mut self, data: &Value) {
        let [asset, available, locked] =
            ["a", "A", "L"].map(|name| data[name].as_str().unwrap().to_owned());
        let before = self.balances.insert(asset, (available.clone(), locked.clone()));
        assert_ne!(before, Some((available, locked)), "only what changed is told");
    }

    fn order(&mut self, data: &Value) {
        let id = OrderId::from_u64(data["i"].as_str().unwrap().parse().unwrap()).unwrap();
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        let event = text("e");
        assert!(!self.ended.contains_key(&id), "nothing comes after a final status: {data}");
        let found = Order {
            status: text("X"),
            quantity: text("q"),
            executed: digits(data, "z"),
            executed_quote: quote(data, "Z"),
        };
        let before = self.open.get(&id);
        let executed = before.map_or((0, 0), |order| (order.executed, order.executed_quote));
        match event.as_str() {
            "orderAccepted" => {
                assert!(before.is_none_or(|order| order.status == "TriggerPending"), "{data}");
                assert_eq!((found.status.as_str(), found.executed), ("New", 0), "{data}");
            }
            "triggerPlaced" => assert!(before.is_none(), "{data}"),
            "triggerFailed" => assert_eq!(before.unwrap().status, "TriggerPending", "{data}"),
            "orderFill" => {
                assert_ne!(before.expect("it was accepted").status, "TriggerPending", "{data}");
                let (lots, price) = (digits(data, "l"), digits(data, "L"));
                let sums = (executed.0 + lots, executed.1 + lots * price * 10);
                assert_eq!((found.executed, found.executed_quote), sums, "{data}");
                if data["Q"].is_null() {
                    let is_whole = digits(data, "q") == found.executed;
                    assert_eq!(found.status == "Filled", is_whole, "{data}");
                }
            }
            "orderCancelled" | "orderExpired" | "orderModified" => {
                before.expect("it was accepted or placed");
                assert_eq!((found.executed, found.executed_quote), executed, "{data}");
            }
            other => panic!("{other} is no event"),
        }
        assert_eq!(data["t"].is_null(), event != "orderFill", "{data}");
        if ["Filled", "Cancelled", "Expired", "TriggerFailed"].contains(&found.status.as_str()) {
            self.open.remove(&id);
            self.ended.insert(id, found.status);
        } else {
            self.open.insert(id, found);
        }
    }

    /// What the replica says of the account.
    fn assert_right(&self, replica: &Replica, account: AccountId) {
        let market = replica.market(MARKET).unwrap().spec();
        let orders = replica.open_orders(account, None).into_iter().map(|standing| {
            let (lots, executed, executed_quote, status) = match standing {
                Standing::Rests(open, _) => {
                    let executed = open.lots.0 - open.lots_left.0;
                    let is_new = executed == 0;
                    let status =
                        if is_new { OrderStatus::New } else { OrderStatus::PartiallyFilled };
                    (open.lots, executed, open.executed_quote.0, status)
                }
                Standing::Waits(waiting) => {
                    let lots = match waiting.place.kind {
                        OrderKind::Limit { lots, .. } | OrderKind::MarketByLots { lots } => lots,
                        OrderKind::MarketByQuote { .. } => Lots::ZERO,
                    };
                    (lots, 0, 0, OrderStatus::TriggerPending)
                }
            };
            let status = order_words::word(&order_words::ORDER_STATUSES, status).unwrap();
            let quantity = text::lots(lots, market);
            let status = status.to_owned();
            (standing.order(), Order { status, quantity, executed, executed_quote })
        });
        assert_eq!(self.open, orders.collect());
        assert_eq!(self.balances, balances(replica, account));
        for finished in replica.finished_orders(account, None, &[]) {
            assert!(self.ended.contains_key(&finished.order), "{finished:?}");
        }
    }
}

fn balances(replica: &Replica, account: AccountId) -> BTreeMap<String, (String, String)> {
    let found = replica.balances_of(account).map(|balance| {
        let asset = replica.catalog().asset(balance.asset).unwrap();
        let text = |units: Units| text::units(u128::from(units.0), asset);
        (asset.symbol.clone(), (text(balance.available), text(balance.locked)))
    });
    found.collect()
}

/// One command; open orders of the account are named by a number.
#[derive(Clone, Debug)]
enum Step {
    Place(Place),
    Wait(Place, u64),
    Cancel(u32, usize),
    CancelAll(u32),
    Amend(u32, usize, Option<u64>, Option<u64>),
    Deposit(u32, u64),
}

fn order() -> impl Strategy<Value = Place> {
    let ticks = 45u64..56;
    let kind = prop_oneof![
        6 => (ticks, 1u64..6, any::<bool>()).prop_map(|(ticks, lots, post_only)| {
            OrderKind::Limit { price: price(ticks), lots: Lots(lots), post_only }
        }),
        1 => (1u64..9).prop_map(|lots| OrderKind::MarketByLots { lots: Lots(lots) }),
        1 => (1u64..4_000).prop_map(|quote| OrderKind::MarketByQuote { quote: Units(quote) }),
    ];
    let policy = prop_oneof![
        Just(SelfTradePrevention::RejectTaker),
        Just(SelfTradePrevention::RejectMaker),
        Just(SelfTradePrevention::RejectBoth),
    ];
    let time_in_force = prop_oneof![
        4 => Just(TimeInForce::GoodTillCancelled),
        1 => Just(TimeInForce::ImmediateOrCancel),
        1 => Just(TimeInForce::FillOrKill),
    ];
    let client_id = proptest::option::of((0u32..3).prop_map(ClientId));
    (1u32..=2, any::<bool>(), kind, policy, time_in_force, client_id).prop_map(
        |(id, is_bid, kind, self_trade_prevention, time_in_force, client_id)| {
            let side = if is_bid { Side::Bid } else { Side::Ask };
            Place { self_trade_prevention, time_in_force, client_id, ..place(id, side, kind) }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let option = proptest::option::of::<std::ops::Range<u64>>;
    prop_oneof![
        8 => order().prop_map(Step::Place),
        2 => (order(), 44u64..57).prop_map(|(place, at)| Step::Wait(place, at)),
        2 => (1u32..=2, 0usize..8).prop_map(|(id, which)| Step::Cancel(id, which)),
        1 => (1u32..=2).prop_map(Step::CancelAll),
        3 => (1u32..=2, 0usize..8, option(45..56), option(1..8))
            .prop_map(|(id, which, at, lots)| Step::Amend(id, which, at, lots)),
        1 => (1u32..=2, 1u64..900).prop_map(|(id, units)| Step::Deposit(id, units)),
    ]
}

/// The command; `None`: it names an order that is not there.
fn action(step: &Step, number: usize, replica: &Replica) -> Option<Action> {
    let named = |id, which: usize| {
        let open = replica.open_orders(account(id), None);
        open.get(which % open.len().max(1)).map(Standing::order)
    };
    Some(match step {
        Step::Place(place) => Action::Place(*place),
        Step::Wait(place, at) => waits(*place, *at),
        Step::Cancel(id, which) => Action::Cancel {
            market: MARKET,
            account: account(*id),
            target: Target::Order(named(*id, *which)?),
        },
        Step::CancelAll(id) => Action::cancel_all(MARKET, account(*id)),
        Step::Amend(id, which, at, lots) => amend(*id, named(*id, *which)?, *at, *lots),
        Step::Deposit(id, units) => {
            let (asset, units) =
                (if number.is_multiple_of(2) { QUOTE } else { BASE }, Units(*units));
            let id = (account(*id), TransferId(1 << 64 | number as u128));
            Action::Deposit(Transfer { account: id.0, asset, units, id: id.1 })
        }
    })
}

proptest! {
    #[test]
    fn an_account_that_keeps_books_by_its_streams_has_them_right(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut scene = Scene::new();
        let mut books = [1, 2].map(|id| {
            let balances = balances(&scene.replica, account(id));
            Books { balances, ..Books::default() }
        });
        // Each trade is told twice.
        let mut sides: BTreeMap<u64, Vec<bool>> = BTreeMap::new();
        for (number, step) in steps.iter().enumerate() {
            let Some(action) = action(step, number, &scene.replica) else { continue };
            scene.frames(&[action], |replica, messages| {
                for message in &messages {
                    books[message.account.index()].take(message);
                    for (_, data) in &message.updates {
                        if let Some(trade) = data["t"].as_u64() {
                            sides.entry(trade).or_default().push(data["m"].as_bool().unwrap());
                        }
                    }
                }
                for (books, id) in books.iter().zip([1, 2]) {
                    books.assert_right(replica, account(id));
                }
            });
        }
        let trades = scene.replica.market(MARKET).unwrap().last_trade();
        prop_assert!(sides.keys().copied().eq(1..=trades));
        for (trade, mut told) in sides {
            told.sort_unstable();
            prop_assert_eq!(told, vec![false, true], "trade {}", trade);
        }
    }
}
