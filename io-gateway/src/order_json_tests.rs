//! The shapes of order objects, member by member.

use protocol::{
    AccountId, Action, ClientId, ClosedReason, Command, GatewayId, Origin, Price, Sequence, TradeId,
};
use serde_json::{Value, json};

use super::*;
use crate::fixture;
use crate::openapi::tests::assert_described;

fn order_id() -> OrderId {
    OrderId::from_parts(protocol::MarketId(1), 3, 1).unwrap()
}

fn price(ticks: u64) -> Price {
    Price::from_ticks(ticks).unwrap()
}

fn place(side: Side, kind: OrderKind) -> Place {
    Place {
        market: protocol::MarketId(1),
        account: AccountId::new(7).unwrap(),
        side,
        kind,
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectTaker,
        client_id: Some(ClientId(7)),
        valid_until_us: 0,
    }
}

fn trade(id: u64, ticks: u64, lots: u64, taker_fee: u64) -> Trade {
    Trade {
        id: TradeId(id),
        maker_account: AccountId::new(9).unwrap(),
        maker_order: order_id(),
        taker_side: Side::Bid,
        price: price(ticks),
        lots: Lots(lots),
        maker_fee: Units(1),
        taker_fee: Units(taker_fee),
        maker_lots_left: Lots::ZERO,
    }
}

fn decision(place: Place, outcome: Outcome, trades: Vec<Trade>) -> Decision {
    let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: 1 };
    let time_us = 1_735_689_600_123_456;
    let command = Command { origin, time_us, action: Action::Place(place) };
    Decision { sequence: Sequence(5), command, outcome, trades, closed: Vec::new() }
}

fn placed(place: Place, outcome: Outcome, trades: Vec<Trade>) -> Value {
    let catalog = fixture::catalog();
    let market = &catalog.markets()[0];
    let decision = decision(place, outcome, trades);
    let state = OrderState::placed(&decision, &place, market).unwrap();
    let mut answer = state.json(market, &catalog).unwrap();
    answer.fills = Some(fills(&decision.trades, market, &catalog).unwrap());
    assert_described("PlacedOrder", &answer);
    serde_json::to_value(answer).unwrap()
}

#[test]
fn a_limit_order_that_rests_has_every_member() {
    let kind = OrderKind::Limit { price: price(2050), lots: Lots(125), post_only: true };
    let outcome = Outcome::Rested { order: order_id(), lots_left: Lots(125) };
    let expected = json!({
        "orderType": "Limit",
        "id": order_id().get().to_string(),
        "clientId": 7,
        "symbol": "SOL_USDC",
        "side": "Bid",
        "timeInForce": "GTC",
        "selfTradePrevention": "RejectTaker",
        "status": "New",
        "createdAt": 1_735_689_600_123_u64,
        "executedQuantity": "0.00",
        "executedQuoteQuantity": "0",
        "quantity": "1.25",
        "price": "20.50",
        "postOnly": true,
        "reduceOnly": null,
        "relatedOrderId": null,
        "strategyId": null,
        "triggerPrice": null,
        "triggerQuantity": null,
        "triggerBy": null,
        "triggeredAt": null,
        "stopLossTriggerPrice": null,
        "stopLossLimitPrice": null,
        "stopLossTriggerBy": null,
        "takeProfitTriggerPrice": null,
        "takeProfitLimitPrice": null,
        "takeProfitTriggerBy": null,
        "fills": [],
    });
    assert_eq!(placed(place(Side::Bid, kind), outcome, Vec::new()), expected);
}

#[test]
fn trades_add_up_and_stand_in_fills() {
    let kind = OrderKind::Limit { price: price(2050), lots: Lots(125), post_only: false };
    let trades = vec![trade(1, 2040, 25, 250_000), trade(2, 2050, 50, 500_000)];
    let rested = Outcome::Rested { order: order_id(), lots_left: Lots(50) };
    let order = placed(place(Side::Bid, kind), rested, trades.clone());
    assert_eq!(order["status"], "PartiallyFilled");
    assert_eq!(order["executedQuantity"], "0.75");
    assert_eq!(order["executedQuoteQuantity"], "15.35");
    let fill = json!({
        "price": "20.40", "quantity": "0.25", "tradeId": 1, "fee": "0.00025", "feeSymbol": "SOL"
    });
    assert_eq!(order["fills"][0], fill);
    let filled = Outcome::Filled { order: order_id() };
    let order = placed(place(Side::Bid, kind), filled, trades);
    assert_eq!(order["status"], "Filled");
    assert!(order.get("code").is_none());
}

#[test]
fn a_market_order_has_no_price_and_by_quote_is_as_much_as_it_bought() {
    let by_quote = OrderKind::MarketByQuote { quote: Units(16_000_000) };
    let trades = vec![trade(1, 2040, 25, 250_000), trade(2, 2050, 50, 500_000)];
    let filled = Outcome::Filled { order: order_id() };
    let order = placed(place(Side::Bid, by_quote), filled, trades);
    assert_eq!((&order["orderType"], &order["quantity"]), (&json!("Market"), &json!("0.75")));
    assert_eq!(order["quoteQuantity"], "16");
    assert!(order.get("price").is_none() && order.get("postOnly").is_none());
    assert_eq!(order["slippageTolerance"], Value::Null);

    let by_lots = OrderKind::MarketByLots { lots: Lots(500) };
    let reason = ClosedReason::InsufficientLiquidity;
    let expired = Outcome::Expired { order: order_id(), lots_left: Lots(475), reason };
    let order = placed(place(Side::Bid, by_lots), expired, vec![trade(1, 2040, 25, 1)]);
    assert_eq!((&order["status"], &order["quantity"]), (&json!("Expired"), &json!("5.00")));
    assert_eq!(order["executedQuantity"], "0.25");
    assert!(order.as_object().unwrap().contains_key("quoteQuantity"));
    assert_eq!(order["quoteQuantity"], Value::Null);
}

#[test]
fn a_cancelled_order_keeps_what_it_executed() {
    let closed = Closed {
        order: order_id(),
        account: AccountId::new(7).unwrap(),
        client_id: None,
        side: Side::Ask,
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectBoth,
        post_only: false,
        reason: ClosedReason::ByRequest,
        price: price(2050),
        lots: Lots(125),
        lots_left: Lots(100),
        executed_quote: Units(5_125_000),
        created_us: 1_735_689_600_123_456,
    };
    let catalog = fixture::catalog();
    let order = OrderState::cancelled(&closed).json(&catalog.markets()[0], &catalog).unwrap();
    let order = serde_json::to_value(order).unwrap();
    assert_eq!((&order["status"], &order["side"]), (&json!("Cancelled"), &json!("Ask")));
    assert_eq!(order["executedQuantity"], "0.25");
    assert_eq!(order["executedQuoteQuantity"], "5.125");
    assert_eq!(
        (&order["clientId"], &order["createdAt"]),
        (&Value::Null, &json!(1_735_689_600_123_u64))
    );
    assert!(order.get("fills").is_none());
}
