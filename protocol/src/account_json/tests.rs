//! Each kind of update, byte by byte as clients get it.

use super::*;
use crate::feed::AccountMessage;
use crate::fixture::{self, price};
use crate::ids::MarketId;
use crate::trigger::TriggerBy;

const TIMES: Times = Times { now_us: 1_700_000_000_000_002, time_us: 1_700_000_000_000_001 };

/// 1.25 SOL at 20.50, of which nothing has traded.
fn bid() -> ToldOrder {
    ToldOrder {
        order: OrderId::from_parts(MarketId(1), 3, 1).unwrap(),
        client_id: Some(ClientId(7)),
        side: Side::Bid,
        kind: OrderKind::Limit { price: price(2050), lots: Lots(125), post_only: true },
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectTaker,
        trigger: None,
        executed: Lots(0),
        executed_quote: Units(0),
    }
}

#[track_caller]
fn assert_data(event: OrderEvent, status: OrderStatus, order: ToldOrder, expected: &str) {
    let catalog = fixture::catalog();
    let listed = Listed::of(&catalog.markets()[0], &catalog).unwrap();
    let mut updates = Updates::default();
    updates.push_order(&listed, TIMES, &OrderUpdate { event, status, order });
    let message = updates.message(5, 9);
    let read: AccountMessage<'_> = serde_json::from_str(&message).unwrap();
    assert_eq!((read.life, read.number, read.updates.len()), (5, 9, 1));
    assert_eq!(read.updates[0].about, About::Order(MarketId(1)));
    assert_eq!(read.updates[0].data.get(), expected);
}

#[test]
fn an_accepted_order_is_told_with_its_terms() {
    assert_data(
        OrderEvent::Accepted,
        OrderStatus::New,
        bid(),
        concat!(
            r#"{"e":"orderAccepted","E":1700000000000002,"T":1700000000000001,"s":"SOL_USDC","#,
            r#""i":"2149580803","c":7,"S":"Bid","o":"LIMIT","f":"GTC","q":"1.25","p":"20.50","#,
            r#""X":"New","z":"0.00","Z":"0","t":null,"V":"RejectTaker","O":"USER","y":true,"#,
            r#""r":false}"#
        ),
    );
}

#[test]
fn a_fill_is_told_with_its_trade_and_the_totals() {
    let fill = Fill {
        trade: TradeId(17),
        price: price(2049),
        lots: Lots(50),
        is_maker: false,
        fee: Units(500_000),
    };
    let (executed, executed_quote) = (Lots(75), Units(15_367_500));
    assert_data(
        OrderEvent::Fill(fill),
        OrderStatus::PartiallyFilled,
        ToldOrder { client_id: None, executed, executed_quote, ..bid() },
        concat!(
            r#"{"e":"orderFill","E":1700000000000002,"T":1700000000000001,"s":"SOL_USDC","#,
            r#""i":"2149580803","S":"Bid","o":"LIMIT","f":"GTC","q":"1.25","p":"20.50","#,
            r#""X":"PartiallyFilled","z":"0.75","Z":"15.3675","t":17,"l":"0.50","L":"20.49","#,
            r#""m":false,"n":"0.0005","N":"SOL","V":"RejectTaker","O":"USER","y":true,"r":false}"#
        ),
    );
}

#[test]
fn a_market_order_by_quote_has_as_quantity_what_it_executed() {
    let fill = Fill {
        trade: TradeId(18),
        price: price(2050),
        lots: Lots(4),
        is_maker: false,
        fee: Units(820),
    };
    assert_data(
        OrderEvent::Fill(fill),
        OrderStatus::Filled,
        ToldOrder {
            side: Side::Ask,
            kind: OrderKind::MarketByQuote { quote: Units(1_000_000) },
            executed: Lots(4),
            executed_quote: Units(820_000),
            ..bid()
        },
        concat!(
            r#"{"e":"orderFill","E":1700000000000002,"T":1700000000000001,"s":"SOL_USDC","#,
            r#""i":"2149580803","c":7,"S":"Ask","o":"MARKET","f":"GTC","q":"0.04","Q":"1","#,
            r#""X":"Filled","z":"0.04","Z":"0.82","t":18,"l":"0.04","L":"20.50","m":false,"#,
            r#""n":"0.00082","N":"USDC","V":"RejectTaker","O":"USER","r":false}"#
        ),
    );
}

#[test]
fn an_order_that_expired_says_why() {
    let lots = Lots(125);
    assert_data(
        OrderEvent::Expired(ClosedReason::InsufficientLiquidity),
        OrderStatus::Expired,
        ToldOrder { client_id: None, kind: OrderKind::MarketByLots { lots }, ..bid() },
        concat!(
            r#"{"e":"orderExpired","E":1700000000000002,"T":1700000000000001,"s":"SOL_USDC","#,
            r#""i":"2149580803","S":"Bid","o":"MARKET","f":"GTC","q":"1.25","X":"Expired","#,
            r#""R":"INSUFFICIENT_LIQUIDITY","z":"0.00","Z":"0","t":null,"V":"RejectTaker","#,
            r#""O":"USER","r":false}"#
        ),
    );
}

#[test]
fn an_order_is_cancelled_and_modified_without_a_reason() {
    let (executed, executed_quote) = (Lots(25), Units(5_125_000));
    let order = ToldOrder {
        client_id: None,
        kind: OrderKind::Limit { price: price(2050), lots: Lots(125), post_only: false },
        executed,
        executed_quote,
        ..bid()
    };
    for (event, name, status, status_name) in [
        (OrderEvent::Cancelled, "orderCancelled", OrderStatus::Cancelled, "Cancelled"),
        (OrderEvent::Modified, "orderModified", OrderStatus::PartiallyFilled, "PartiallyFilled"),
    ] {
        let expected = format!(
            concat!(
                r#"{{"e":"{}","E":1700000000000002,"T":1700000000000001,"s":"SOL_USDC","#,
                r#""i":"2149580803","S":"Bid","o":"LIMIT","f":"GTC","q":"1.25","p":"20.50","#,
                r#""X":"{}","z":"0.25","Z":"5.125","t":null,"V":"RejectTaker","O":"USER","#,
                r#""y":false,"r":false}}"#
            ),
            name, status_name
        );
        assert_data(event, status, order, &expected);
    }
}

#[test]
fn a_trigger_order_is_told_with_its_trigger() {
    let order = ToldOrder {
        client_id: None,
        kind: OrderKind::MarketByLots { lots: Lots(125) },
        time_in_force: TimeInForce::ImmediateOrCancel,
        self_trade_prevention: SelfTradePrevention::RejectBoth,
        trigger: Some(Trigger { price: price(2100), by: TriggerBy::MarkPrice }),
        ..bid()
    };
    for (event, name, status, status_name) in [
        (OrderEvent::TriggerPlaced, "triggerPlaced", OrderStatus::TriggerPending, "TriggerPending"),
        (OrderEvent::TriggerFailed, "triggerFailed", OrderStatus::TriggerFailed, "TriggerFailed"),
    ] {
        let expected = format!(
            concat!(
                r#"{{"e":"{}","E":1700000000000002,"T":1700000000000001,"s":"SOL_USDC","#,
                r#""i":"2149580803","S":"Bid","o":"MARKET","f":"IOC","q":"1.25","P":"21.00","#,
                r#""Y":"1.25","B":"MarkPrice","X":"{}","z":"0.00","Z":"0","t":null,"#,
                r#""V":"RejectBoth","O":"USER","r":false}}"#
            ),
            name, status_name
        );
        assert_data(event, status, order, &expected);
    }
}

#[test]
fn balances_are_absolute_and_nothing_is_staked() {
    let sol = fixture::asset(fixture::BASE, "SOL", 9);
    let mut updates = Updates::default();
    assert!(updates.is_empty());
    updates.push_balance(&sol, TIMES, (Units(1_250_000_000), Units(0)));
    updates.push_balance(&sol, TIMES, (Units(1), Units(2)));
    let message = updates.message(5, 9);
    let read: AccountMessage<'_> = serde_json::from_str(&message).unwrap();
    let told: Vec<_> = read.updates.iter().map(|it| (it.about, it.data.get())).collect();
    let expected = [
        concat!(
            r#"{"e":"balanceUpdate","E":1700000000000002,"T":1700000000000001,"a":"SOL","#,
            r#""A":"1.25","L":"0","S":"0"}"#
        ),
        concat!(
            r#"{"e":"balanceUpdate","E":1700000000000002,"T":1700000000000001,"a":"SOL","#,
            r#""A":"0.000000001","L":"0.000000002","S":"0"}"#
        ),
    ];
    assert_eq!(told, expected.map(|data| (About::Balance, data)));
}

#[test]
fn every_expiry_has_its_word_in_capitals() {
    let words = ClosedReason::ALL.into_iter().filter_map(order_words::expiry_reason);
    let capitals: Vec<_> = words
        .map(|word| {
            let mut out = String::new();
            push_upper_snake(&mut out, word);
            out
        })
        .collect();
    let expected = [
        "IMMEDIATE_OR_CANCEL",
        "FILL_OR_KILL",
        "SELF_TRADE_PREVENTION",
        "INSUFFICIENT_LIQUIDITY",
        "UNKNOWN",
        "PRICE_IMPACT",
    ];
    assert_eq!(capitals, expected);
}
