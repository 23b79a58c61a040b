//! Streams, typed strictly: a frame that does not parse is skipped, and shows as a gap.

use std::collections::BTreeMap;

use bpx_api_client::types::markets::{OrderBookDepthLimit, OrderBookDepthUpdate, TickerUpdate};
use bpx_api_client::types::order::{
    CancelOpenOrdersPayload, OrderStatus, OrderUpdate, OrderUpdateType, Side,
};
use bpx_api_client::types::trade::TradeUpdate;
use bpx_client::listening::Listening;
use bpx_client::{Caller, as_limit, limit, market, number};
use rust_decimal::Decimal;
use scenarios::client::Trader;
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::Value;

pub const SCENARIOS: &[Scenario] = &[
    ("bpx_api_client::streamed_trades_are_those_of_rest", trades),
    ("bpx_api_client::a_book_kept_from_the_stream_is_the_book", depth),
    ("bpx_api_client::best_prices_and_tickers_follow", tickers),
    ("bpx_api_client::order_updates_are_told_to_the_key_that_signed", orders),
];

const SYMBOL: &str = "SOL_USDC";

/// Two with funds, as the scenarios know them and as they call.
struct Two {
    traders: [Trader; 2],
    alice: Caller,
    bob: Caller,
}

impl Two {
    fn new(world: &mut World) -> Two {
        let funds = [("SOL", "1000"), ("USDC", "100000")];
        let traders = ["alice", "bob"].map(|name| world.trader(name, &funds));
        let [alice, bob] = [0, 1].map(|at: usize| Caller::of(&traders[at]));
        Two { traders, alice, bob }
    }

    fn trade(&self, price: &str, quantity: &str) {
        self.alice.place(limit(SYMBOL, Side::Ask, price, quantity));
        self.bob.place(limit(SYMBOL, Side::Bid, price, quantity));
    }

    fn clear(&self) {
        for caller in [&self.alice, &self.bob] {
            let payload = CancelOpenOrdersPayload { symbol: SYMBOL.to_owned() };
            caller.ask(async |client| client.cancel_open_orders(payload).await);
        }
    }
}

fn trades(world: &mut World) {
    let two = Two::new(world);
    let mut stream: Listening<TradeUpdate> =
        Listening::start(world, &two.traders[0], "trade.SOL_USDC");
    stream.begin(|| two.trade("20.11", "1"));
    for price in ["20.12", "20.13", "20.14", "20.15"] {
        two.trade(price, "0.5");
    }
    let last = stream.until("the last trade", |heard| {
        heard.last().filter(|trade| trade.price == number("20.15")).map(|trade| trade.trade_id)
    });
    let ids: Vec<u64> = stream.heard.iter().map(|trade| trade.trade_id).collect();
    assert!(ids.iter().copied().eq(ids[0]..=last), "{ids:?}");
    let asked = eventually("the trades over REST", || {
        let recent =
            two.alice.ask(async |client| client.get_recent_trades(SYMBOL, Some(1000)).await);
        let known = recent.iter().any(|trade| u64::try_from(trade.id) == Ok(last));
        if known { Ok(recent) } else { Err(recent.len()) }
    });
    for told in &stream.heard {
        assert_eq!((told.event_type.as_str(), told.symbol.as_str()), ("trade", SYMBOL));
        assert!(told.timestamp <= told.event_time, "{told:?}");
        assert!(told.buyer_order_id != told.seller_order_id, "{told:?}");
        let same = asked.iter().find(|trade| u64::try_from(trade.id) == Ok(told.trade_id));
        let same = same.unwrap_or_else(|| panic!("{told:?} is not there"));
        assert_eq!((told.price, told.quantity), (same.price, same.quantity));
        assert_eq!(told.buyer_is_maker, same.is_buyer_maker);
    }
    two.clear();
}

/// Applies a side's changes.
fn change(side: &mut BTreeMap<Decimal, Decimal>, levels: &[(Decimal, Decimal)]) {
    for (price, quantity) in levels {
        if quantity.is_zero() {
            side.remove(price);
        } else {
            side.insert(*price, *quantity);
        }
    }
}

fn depth(world: &mut World) {
    let two = Two::new(world);
    let snapshot = || {
        let levels = Some(OrderBookDepthLimit::OneThousand);
        two.alice.ask(async |client| client.get_order_book_depth(SYMBOL, levels).await)
    };
    let mut stream: Listening<OrderBookDepthUpdate> =
        Listening::start(world, &two.traders[0], "depth.SOL_USDC");
    stream.begin(|| two.trade("20.20", "1"));
    let before = snapshot();
    let (mut asks, mut bids): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (before.asks.into_iter().collect(), before.bids.into_iter().collect());
    for step in 0..20 {
        let price = format!("{}", 18 + step % 4);
        two.bob.place(limit(SYMBOL, Side::Bid, &price, "1.5"));
        let price = format!("{}", 20 + step % 5);
        two.alice.place(limit(SYMBOL, Side::Ask, &price, "1"));
    }
    let after = snapshot();
    assert!(before.last_update_id < after.last_update_id);
    stream.until("the last change", |heard| {
        (heard.last()?.last_update_id == after.last_update_id).then_some(())
    });
    let follows =
        |pair: &[OrderBookDepthUpdate]| pair[1].first_update_id == pair[0].last_update_id + 1;
    assert!(stream.heard.windows(2).all(follows), "a gap");
    let new = stream.heard.iter().filter(|frame| before.last_update_id < frame.last_update_id);
    for frame in new {
        change(&mut asks, &frame.asks);
        change(&mut bids, &frame.bids);
    }
    assert_eq!(asks.into_iter().collect::<Vec<_>>(), after.asks);
    assert_eq!(bids.into_iter().collect::<Vec<_>>(), after.bids);
    assert!(!after.bids.is_empty() || !after.asks.is_empty());
    two.clear();
}

fn tickers(world: &mut World) {
    let two = Two::new(world);
    // Both sides, or the client's type does not take it.
    two.bob.place(limit(SYMBOL, Side::Bid, "10", "1"));
    two.alice.place(limit(SYMBOL, Side::Ask, "30", "1"));
    let mut best: Listening<TickerUpdate> =
        Listening::start(world, &two.traders[0], "bookTicker.SOL_USDC");
    let mut tickers: Listening<Value> = Listening::start(world, &two.traders[0], "ticker.SOL_USDC");
    best.begin(|| two.trade("20.30", "1"));
    two.bob.place(limit(SYMBOL, Side::Bid, "19.31", "2.5"));
    let told = best.until("the new best price", |heard| {
        heard.last().filter(|told| told.bid_price == number("19.31")).cloned()
    });
    assert_eq!((told.bid_quantity, told.ask_price), (number("2.5"), number("30")));
    let depth = two.alice.ask(async |client| client.get_order_book_depth(SYMBOL, None).await);
    assert_eq!(u64::try_from(depth.last_update_id).unwrap(), told.update_id);
    let asked = two.alice.ask(async |client| client.get_ticker(SYMBOL).await);
    let ticker = tickers
        .until("the last price", |heard| heard.last().filter(|told| told["c"] == "20.30").cloned());
    let read = |name: &str| number(ticker[name].as_str().unwrap());
    assert_eq!(
        (read("o"), read("c"), read("h"), read("l"), read("v")),
        (asked.first_price, asked.last_price, asked.high, asked.low, asked.volume)
    );
    assert_eq!(ticker["n"].to_string(), asked.trades);
    two.clear();
}

fn orders(world: &mut World) {
    let two = Two::new(world);
    let mut stream: Listening<OrderUpdate> =
        Listening::start(world, &two.traders[0], "account.orderUpdate");
    stream.begin(|| {
        two.alice.place(limit(SYMBOL, Side::Ask, "40", "1"));
    });
    let mut order = limit(SYMBOL, Side::Ask, "20.41", "3");
    order.client_id = Some(77);
    let resting = as_limit(two.alice.place(order));
    let mut taking = market(SYMBOL, Side::Bid);
    taking.quote_quantity = Some(number("20.41"));
    two.bob.place(taking);
    two.clear();
    let of_it = |heard: &[OrderUpdate]| -> Vec<OrderUpdate> {
        heard.iter().filter(|told| told.order_id == resting.id).cloned().collect()
    };
    let told = stream.until("its end", |heard| {
        let told = of_it(heard);
        matches!(told.last()?.event_type, OrderUpdateType::OrderCancelled).then_some(told)
    });
    let [accepted, fill, cancelled] = told.as_slice() else { panic!("{told:#?}") };
    assert!(matches!(accepted.event_type, OrderUpdateType::OrderAccepted), "{accepted:?}");
    assert!(matches!(fill.event_type, OrderUpdateType::OrderFill), "{fill:?}");
    assert!(matches!(accepted.order_status, OrderStatus::New), "{accepted:?}");
    assert!(matches!(fill.order_status, OrderStatus::PartiallyFilled), "{fill:?}");
    assert!(matches!(cancelled.order_status, OrderStatus::Cancelled), "{cancelled:?}");
    for told in &told {
        assert_eq!((told.symbol.as_str(), told.client_order_id), (SYMBOL, Some(77)));
        assert_eq!((told.quantity, told.price), (number("3"), Some(number("20.41"))));
    }
    assert!(fill.trade_id.is_some() && accepted.trade_id.is_none(), "{told:#?}");
    // Bob's are not among them.
    assert!(stream.heard.iter().all(|told| matches!(told.side, Side::Ask)), "{:#?}", stream.heard);
}
