//! Placing, looking at and cancelling orders, alone and in batches.

use bpx_api_client::types::order::{
    BatchOrderResponse, CancelOpenOrdersPayload, ExecuteOrderPayload, OrderStatus,
    SelfTradePrevention, Side, TimeInForce, TriggerBy, TriggerQuantity,
};
use bpx_client::{Caller, as_limit, as_market, limit, market, number};
use rust_decimal::Decimal;
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;
use xtask::client::now_ms;

use super::two;

pub const SCENARIOS: &[Scenario] = &[
    ("bpx_api_client::two_accounts_trade_to_the_last_unit", two_accounts_trade),
    ("bpx_api_client::a_market_order_spends_no_more_than_was_said", market_by_quote),
    ("bpx_api_client::an_order_is_found_and_cancelled_by_both_ids", by_both_ids),
    ("bpx_api_client::conditions_are_kept", conditions),
    ("bpx_api_client::a_batch_has_orders_and_errors", a_batch),
    ("bpx_api_client::a_trigger_order_waits_and_fires", a_trigger_order),
    ("bpx_api_client::refusals_have_status_and_code", refusals),
];

const SYMBOL: &str = "SOL_USDC";

fn cancel_all(caller: &Caller) -> usize {
    let payload = CancelOpenOrdersPayload { symbol: SYMBOL.to_owned() };
    caller.ask(async |client| client.cancel_open_orders(payload).await).len()
}

fn two_accounts_trade(world: &mut World) {
    let (alice, bob) = two(world);
    let sale = limit(SYMBOL, Side::Ask, "20.01", "2");
    let resting = as_limit(alice.place(ExecuteOrderPayload { client_id: Some(u32::MAX), ..sale }));
    assert_eq!((resting.status, resting.client_id), (OrderStatus::New, Some(u32::MAX)));
    assert_eq!((resting.price, resting.quantity), (number("20.01"), number("2")));
    assert_eq!((resting.executed_quantity, resting.post_only), (Decimal::ZERO, false));
    assert!(now_ms().abs_diff(u64::try_from(resting.created_at).unwrap()) < 60_000);

    let taken = as_limit(bob.place(limit(SYMBOL, Side::Bid, "20.05", "1.23")));
    assert_eq!((taken.status, taken.side), (OrderStatus::Filled, Side::Bid));
    assert_eq!(taken.executed_quantity, number("1.23"));
    assert_eq!(taken.executed_quote_quantity, number("24.6123"));
    assert_eq!(taken.self_trade_prevention, SelfTradePrevention::RejectTaker);
    alice.has("SOL", "998", "0.77");
    alice.has("USDC", "1024.59261", "0");
    bob.has("SOL", "1.22877", "0");
    bob.has("USDC", "99975.3877", "0");

    let id = Some(resting.id.as_str());
    let seen = alice.ask(async |client| client.get_open_order(SYMBOL, id, None).await);
    let seen = as_limit(seen);
    assert_eq!((seen.status, seen.created_at), (OrderStatus::PartiallyFilled, resting.created_at));
    let fill = alice.fills(&resting.id, 1).remove(0);
    assert_eq!((fill.is_maker, fill.side), (true, Side::Ask));
    assert_eq!((fill.fee, fill.fee_symbol.as_str()), (number("0.01969"), "USDC"));
    assert_eq!(fill.client_id, Some(u32::MAX.to_string()));
    let fill = bob.fills(&taken.id, 1).remove(0);
    assert_eq!((fill.is_maker, fill.fee), (false, number("0.00123")));
    assert_eq!((fill.price, fill.quantity), (number("20.01"), number("1.23")));
    assert_eq!((fill.client_id, cancel_all(&alice)), (None, 1));
    alice.has("SOL", "998.77", "0");
}

fn market_by_quote(world: &mut World) {
    let (alice, bob) = two(world);
    alice.place(limit(SYMBOL, Side::Ask, "20.01", "10"));
    let mut order = market(SYMBOL, Side::Bid);
    order.quote_quantity = Some(number("50"));
    let taken = as_market(bob.place(order));
    assert_eq!((taken.status, taken.quote_quantity), (OrderStatus::Filled, Some(number("50"))));
    assert_eq!(taken.executed_quantity, number("2.49"));
    assert_eq!(taken.executed_quote_quantity, number("49.8249"));
    bob.has("USDC", "99950.1751", "0");
    bob.has("SOL", "2.48751", "0");
    let mut order = market(SYMBOL, Side::Bid);
    order.quantity = Some(number("1"));
    let taken = as_market(bob.place(order));
    assert_eq!((taken.status, taken.quantity), (OrderStatus::Filled, Some(number("1"))));
    assert_eq!(cancel_all(&alice), 1);
}

fn by_both_ids(world: &mut World) {
    let (alice, _) = two(world);
    let mut order = limit(SYMBOL, Side::Ask, "25", "1");
    order.client_id = Some(7);
    let placed = as_limit(alice.place(order));
    let seen = alice.ask(async |client| client.get_open_order(SYMBOL, None, Some(7)).await);
    assert_eq!(as_limit(seen).id, placed.id);
    for symbol in [None, Some(SYMBOL)] {
        let open = alice.ask(async |client| client.get_open_orders(symbol).await);
        let ids: Vec<String> = open.into_iter().map(|order| as_limit(order).id).collect();
        assert_eq!(ids, std::slice::from_ref(&placed.id));
    }
    let gone = alice.ask(async |client| client.cancel_order(SYMBOL, None, Some(7)).await);
    assert_eq!(as_limit(gone).status, OrderStatus::Cancelled);
    let id = Some(placed.id.as_str());
    alice.refused(404, "RESOURCE_NOT_FOUND", async |client| {
        client.cancel_order(SYMBOL, id, None).await
    });
    alice.refused(404, "RESOURCE_NOT_FOUND", async |client| {
        client.get_open_order(SYMBOL, id, None).await
    });
}

fn conditions(world: &mut World) {
    let (alice, bob) = two(world);
    alice.place(limit(SYMBOL, Side::Ask, "20", "1"));
    let mut order = limit(SYMBOL, Side::Bid, "20", "2");
    order.time_in_force = Some(TimeInForce::FOK);
    let dropped = as_limit(bob.place(order.clone()));
    assert_eq!((dropped.status, dropped.executed_quantity), (OrderStatus::Expired, Decimal::ZERO));
    order.time_in_force = None;
    order.post_only = Some(true);
    bob.refused(400, "INVALID_ORDER", async |client| client.execute_order(order.clone()).await);
    order.post_only = None;
    order.time_in_force = Some(TimeInForce::IOC);
    let partly = as_limit(bob.place(order));
    assert_eq!((partly.status, partly.executed_quantity), (OrderStatus::Expired, Decimal::ONE));
    let mut order = limit(SYMBOL, Side::Ask, "21", "1");
    order.post_only = Some(true);
    order.self_trade_prevention = Some(SelfTradePrevention::RejectBoth);
    let resting = as_limit(alice.place(order));
    assert!(resting.post_only);
    assert_eq!(resting.self_trade_prevention, SelfTradePrevention::RejectBoth);
    assert_eq!(cancel_all(&alice), 1);
}

fn a_batch(world: &mut World) {
    let (alice, _) = two(world);
    let orders = vec![
        limit(SYMBOL, Side::Ask, "25", "1"),
        limit(SYMBOL, Side::Ask, "25", "1000000"),
        limit(SYMBOL, Side::Ask, "26", "2"),
    ];
    let answers = alice.ask(async |client| client.execute_orders(orders).await);
    let told: Vec<String> = answers
        .into_iter()
        .map(|answer| match answer {
            BatchOrderResponse::Order(order) => as_limit(order).status.to_string(),
            BatchOrderResponse::Error(error) => format!("{} {}", error.operation, error.code),
        })
        .collect();
    assert_eq!(told, ["New", "Err INSUFFICIENT_FUNDS", "New"]);
    alice.has("SOL", "997", "3");
    assert_eq!(cancel_all(&alice), 2);
}

fn a_trigger_order(world: &mut World) {
    let (alice, bob) = two(world);
    let trade_at = |price: &str| {
        alice.place(limit(SYMBOL, Side::Ask, price, "0.01"));
        let taken = as_limit(bob.place(limit(SYMBOL, Side::Bid, price, "0.01")));
        assert_eq!(taken.status, OrderStatus::Filled);
    };
    trade_at("20");
    let mut order = limit(SYMBOL, Side::Ask, "21", "1");
    order.quantity = None;
    order.trigger_price = Some(number("20.5"));
    order.trigger_quantity = Some(TriggerQuantity::Amount(number("1")));
    order.trigger_by = Some(TriggerBy::LastPrice);
    let waiting = as_limit(alice.place(order));
    assert_eq!(waiting.status, OrderStatus::TriggerPending);
    assert_eq!((waiting.quantity, waiting.trigger_price), (number("1"), Some(number("20.5"))));
    assert_eq!(alice.balance("SOL").1, Decimal::ZERO);
    let settings = alice.ask(async |client| client.get_account().await);
    assert_eq!((settings.trigger_orders, settings.limit_orders), (1, 0));
    trade_at("20.5");
    let id = Some(waiting.id.as_str());
    let fired = eventually("the order fires", || {
        let seen = alice.ask(async |client| client.get_open_order(SYMBOL, id, None).await);
        let seen = as_limit(seen);
        if seen.status == OrderStatus::New { Ok(seen) } else { Err(seen.status) }
    });
    assert!(fired.triggered_at.is_some());
    assert_eq!(alice.balance("SOL").1, Decimal::ONE);
    assert_eq!(cancel_all(&alice), 1);
}

fn refusals(world: &mut World) {
    let (alice, bob) = two(world);
    let place = |order: ExecuteOrderPayload, code: &str| {
        alice.refused(400, code, async |client| client.execute_order(order).await);
    };
    place(limit(SYMBOL, Side::Ask, "20", "5000"), "INSUFFICIENT_FUNDS");
    place(limit(SYMBOL, Side::Ask, "20.001", "1"), "INVALID_PRICE");
    place(limit(SYMBOL, Side::Ask, "20", "1.001"), "INVALID_QUANTITY");
    place(limit("NO_SUCH", Side::Ask, "20", "1"), "INVALID_CLIENT_REQUEST");
    place(market(SYMBOL, Side::Ask), "INVALID_CLIENT_REQUEST");
    let order = as_limit(alice.place(limit(SYMBOL, Side::Ask, "25", "1")));
    let id = Some(order.id.as_str());
    bob.refused(404, "RESOURCE_NOT_FOUND", async |client| {
        client.cancel_order(SYMBOL, id, None).await
    });
    assert_eq!(cancel_all(&alice), 1);
}
