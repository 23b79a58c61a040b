//! Streams, parsed strictly, beside what REST says of the same trades, orders and books.

use std::collections::BTreeMap;

use bpx_api_client::types::markets::{OrderBookDepthUpdate, TickerUpdate};
use bpx_api_client::types::order::{
    CancelOpenOrdersPayload, ExecuteOrderPayload, OrderStatus, OrderUpdate, OrderUpdateType, Side,
    TimeInForce,
};
use bpx_api_client::types::trade::TradeUpdate;
use bpx_client::{Caller, as_limit, limit, number};
use rust_decimal::Decimal;
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::Value;
use xtask::client::now_ms;

use super::two;

pub const SCENARIOS: &[Scenario] = &[
    ("bpx_api_client::each_trade_is_heard_as_rest_tells_it", trades),
    ("bpx_api_client::a_book_is_kept_from_a_snapshot_and_its_updates", a_book),
    ("bpx_api_client::best_prices_are_heard_with_their_update", best_prices),
    ("bpx_api_client::a_ticker_is_heard_every_second", ticker),
    ("bpx_api_client::order_updates_are_heard_by_its_own_signature", order_updates),
];

const SYMBOL: &str = "SOL_USDC";
const ETHER: &str = "ETH_USDC";

/// Price and quantity of every level.
type Levels = BTreeMap<Decimal, Decimal>;

fn cancel_all(caller: &Caller) {
    for symbol in [SYMBOL, ETHER] {
        let payload = CancelOpenOrdersPayload { symbol: symbol.to_owned() };
        caller.ask(async |client| client.cancel_open_orders(payload).await);
    }
}

fn trade(alice: &Caller, bob: &Caller, price: &str, quantity: &str) {
    alice.place(limit(SYMBOL, Side::Ask, price, quantity));
    bob.place(limit(SYMBOL, Side::Bid, price, quantity));
}

fn trades(world: &mut World) {
    let (alice, bob) = two(world);
    let mut stream = bob.stream::<TradeUpdate>(&["trade.SOL_USDC", "trade.ETH_USDC"]);
    bob.until_it_holds(&mut stream, || trade(&alice, &bob, "20.01", "0.1"));
    for price in ["20.02", "20.03"] {
        alice.place(limit(SYMBOL, Side::Ask, price, "0.5"));
    }
    let taker = as_limit(bob.place(limit(SYMBOL, Side::Bid, "20.05", "1.5"))).id;
    let last = as_limit(alice.place(limit(SYMBOL, Side::Ask, "20.05", "0.2"))).id;
    bob.hear(&mut stream, "the last trade", |heard| {
        heard.iter().any(|trade| trade.seller_order_id == last).then_some(())
    });
    let ids: Vec<u64> = stream.heard.iter().map(|trade| trade.trade_id).collect();
    let wanted: Vec<u64> = (ids[0]..).take(ids.len()).collect();
    assert_eq!(ids, wanted, "each once and in order");
    let recent = eventually("the last trade of REST", || {
        let recent = alice.ask(async |client| client.get_recent_trades(SYMBOL, Some(100)).await);
        let newest = recent.first().map(|trade| trade.id.cast_unsigned());
        if newest == ids.last().copied() { Ok(recent) } else { Err(newest) }
    });
    for told in &stream.heard {
        let asked = recent.iter().find(|trade| trade.id.cast_unsigned() == told.trade_id).unwrap();
        assert_eq!((told.price, told.quantity), (asked.price, asked.quantity));
        assert_eq!(told.buyer_is_maker, asked.is_buyer_maker);
        assert_eq!(told.timestamp / 1000, asked.timestamp);
        assert_eq!((told.symbol.as_str(), told.event_type.as_str()), (SYMBOL, "trade"));
        assert!(told.timestamp <= told.event_time, "{told:?}");
    }
    let taken = stream.heard.iter().filter(|trade| trade.buyer_order_id == taker);
    let prices: Vec<Decimal> = taken.map(|trade| trade.price).collect();
    assert_eq!(prices, ["20.02", "20.03", "20.05"].map(number));
    cancel_all(&bob);
}

fn apply(side: &mut Levels, changes: &[(Decimal, Decimal)]) {
    for &(price, quantity) in changes {
        if quantity.is_zero() {
            side.remove(&price);
        } else {
            side.insert(price, quantity);
        }
    }
}

fn a_book(world: &mut World) {
    let (alice, bob) = two(world);
    let mut stream = alice.stream::<OrderBookDepthUpdate>(&["depth.SOL_USDC"]);
    alice.until_it_holds(&mut stream, || {
        alice.place(limit(SYMBOL, Side::Ask, "25.01", "1"));
    });
    let first = alice.ask(async |client| client.get_order_book_depth(SYMBOL, None).await);
    for step in 0..30_i64 {
        let price = Decimal::new(2000 + step * 7 % 11, 2).to_string();
        alice.place(limit(SYMBOL, Side::Ask, &price, "0.4"));
        if step % 3 == 0 {
            bob.place(limit(SYMBOL, Side::Bid, "20.05", "1"));
        }
    }
    cancel_all(&alice);
    bob.place(limit(SYMBOL, Side::Bid, "19.5", "3"));
    let last = alice.ask(async |client| client.get_order_book_depth(SYMBOL, None).await);
    alice.hear(&mut stream, "the last update", |heard| {
        heard.iter().any(|frame| frame.last_update_id == last.last_update_id).then_some(())
    });
    let mut asks: Levels = first.asks.into_iter().collect();
    let mut bids: Levels = first.bids.into_iter().collect();
    let mut reached = first.last_update_id;
    for pair in stream.heard.windows(2) {
        assert_eq!(pair[1].first_update_id, pair[0].last_update_id + 1, "no gap");
    }
    for frame in stream.heard.iter().filter(|frame| first.last_update_id < frame.last_update_id) {
        assert!(frame.first_update_id <= reached + 1, "the snapshot meets the updates");
        assert!(frame.timestamp <= frame.event_time, "{frame:?}");
        apply(&mut asks, &frame.asks);
        apply(&mut bids, &frame.bids);
        reached = frame.last_update_id;
    }
    assert_eq!(reached, last.last_update_id);
    assert_eq!(asks, last.asks.into_iter().collect());
    assert_eq!(bids, last.bids.into_iter().collect());
    cancel_all(&bob);
}

fn best_prices(world: &mut World) {
    let (alice, bob) = two(world);
    bob.place(limit(SYMBOL, Side::Bid, "18.5", "2"));
    let mut stream = bob.stream::<TickerUpdate>(&["bookTicker.SOL_USDC"]);
    bob.until_it_holds(&mut stream, || {
        alice.place(limit(SYMBOL, Side::Ask, "25.01", "1"));
    });
    let ask = as_limit(alice.place(limit(SYMBOL, Side::Ask, "24.99", "0.7")));
    let told = bob.hear(&mut stream, "a better ask", |heard| {
        heard.iter().find(|best| best.ask_price == ask.price).cloned()
    });
    assert_eq!((told.ask_quantity, told.bid_price), (number("0.7"), number("18.5")));
    assert_eq!((told.bid_quantity, told.symbol.as_str()), (number("2"), SYMBOL));
    let depth = bob.ask(async |client| client.get_order_book_depth(SYMBOL, None).await);
    assert_eq!(told.update_id, depth.last_update_id.cast_unsigned());
    cancel_all(&alice);
    cancel_all(&bob);
}

/// The crate has no type for this stream, so it is read as it comes.
fn ticker(world: &mut World) {
    let (alice, bob) = two(world);
    trade(&alice, &bob, "20.01", "0.1");
    let mut stream = alice.stream::<Value>(&["ticker.SOL_USDC"]);
    alice.hear(&mut stream, "tickers without a trade", |heard| (2 < heard.len()).then_some(()));
    trade(&alice, &bob, "20.04", "0.3");
    let asked = alice.ask(async |client| client.get_ticker(SYMBOL).await);
    let trades: u64 = asked.trades.parse().unwrap();
    let told = alice.hear(&mut stream, "the trade in the ticker", |heard| {
        heard.iter().find(|ticker| ticker["n"] == trades).cloned()
    });
    for (name, wanted) in [
        ("o", asked.first_price),
        ("c", asked.last_price),
        ("h", asked.high),
        ("l", asked.low),
        ("v", asked.volume),
    ] {
        assert_eq!(number(told[name].as_str().unwrap()), wanted, "{name}");
    }
}

/// All that was told of an order: event and state.
fn life(heard: &[OrderUpdate], order: &str) -> Vec<OrderUpdate> {
    heard.iter().filter(|update| update.order_id == order).cloned().collect()
}

fn order_updates(world: &mut World) {
    let (alice, bob) = two(world);
    let mut stream = alice.stream::<OrderUpdate>(&["account.orderUpdate"]);
    alice.until_it_holds(&mut stream, || {
        alice.place(limit(SYMBOL, Side::Ask, "25.01", "1"));
    });
    let sale = limit(SYMBOL, Side::Ask, "20.01", "2");
    let order = as_limit(alice.place(ExecuteOrderPayload { client_id: Some(77), ..sale }));
    bob.place(limit(SYMBOL, Side::Bid, "20.01", "0.5"));
    bob.place(limit(SYMBOL, Side::Bid, "20.01", "1.5"));
    let sale = limit(SYMBOL, Side::Ask, "24", "1");
    let at_once = Some(TimeInForce::IOC);
    let dropped = as_limit(alice.place(ExecuteOrderPayload { time_in_force: at_once, ..sale }));
    cancel_all(&alice);
    alice.hear(&mut stream, "an order that is cancelled", |heard| {
        heard.iter().any(|one| one.order_status == OrderStatus::Cancelled).then_some(())
    });

    let told = life(&stream.heard, &order.id);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(matches!(told[0].event_type, OrderUpdateType::OrderAccepted), "{told:#?}");
    let states: Vec<OrderStatus> = told.iter().map(|update| update.order_status).collect();
    assert_eq!(states, [OrderStatus::New, OrderStatus::PartiallyFilled, OrderStatus::Filled]);
    for update in &told {
        assert_eq!((update.symbol.as_str(), update.side), (SYMBOL, Side::Ask));
        assert_eq!((update.price, update.quantity), (Some(order.price), order.quantity));
        assert_eq!((update.client_order_id, update.related_order_id), (Some(77), None));
        assert_eq!(update.self_trade_prevention, order.self_trade_prevention);
        assert_eq!(update.origin_of_the_update, "USER");
        let ms = u64::try_from(update.timestamp / 1000).unwrap();
        assert!(now_ms().abs_diff(ms) < 60_000, "{update:?}");
    }
    assert_eq!(told[2].executed_quantity, number("2"));
    assert_eq!(told[2].executed_quantity_in_quote, number("40.02"));
    for fill in alice.fills(&order.id, 2) {
        let id = fill.trade_id.map(i64::cast_unsigned);
        let update = told.iter().find(|update| update.trade_id == id).unwrap();
        assert_eq!(update.fill_price, Some(fill.price));
        assert_eq!(update.fill_quantity, Some(fill.quantity));
        assert_eq!((update.fee, update.was_maker), (Some(fill.fee), Some(true)));
        assert_eq!(update.fee_symbol.as_deref(), Some(fill.fee_symbol.as_str()));
    }
    let told = life(&stream.heard, &dropped.id);
    let states: Vec<OrderStatus> = told.iter().map(|update| update.order_status).collect();
    assert_eq!(states, [OrderStatus::New, OrderStatus::Expired]);
    assert_eq!(told[1].order_expiry_reason.as_deref(), Some("IMMEDIATE_OR_CANCEL"));
}
