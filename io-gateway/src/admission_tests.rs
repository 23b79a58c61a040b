//! What admission takes and what it refuses, member by member.

use proptest::prelude::*;

use super::*;
use crate::fixture::catalog;

fn admit(body: &str) -> Result<Place, ApiError> {
    let parameters = Parameters::from_body(body.as_bytes()).unwrap();
    let account = AccountId::new(7).unwrap();
    new_order(&parameters, &catalog(), account).map(|order| order.place)
}

/// A limit order with some members replaced or added.
fn limit_with(members: &str) -> Result<Place, ApiError> {
    let mut order = serde_json::json!({
        "symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit",
        "price": "20.5", "quantity": "1.25",
    });
    let changes: serde_json::Value = serde_json::from_str(members).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        order[name] = value.clone();
    }
    admit(&order.to_string())
}

fn refused(members: &str) -> (Code, String) {
    let error = limit_with(members).unwrap_err();
    assert_eq!(error.status.as_u16(), 400, "{members}");
    (error.code, error.message.into_owned())
}

#[test]
fn a_limit_order_becomes_ticks_and_lots() {
    let order = limit_with(r#"{"clientId":"7","postOnly":true,"brokerId":1400}"#).unwrap();
    let price = Price::from_ticks(2050).unwrap();
    assert_eq!(order.kind, OrderKind::Limit { price, lots: Lots(125), post_only: true });
    assert_eq!(order.client_id, Some(ClientId(7)));
    assert_eq!(order.time_in_force, TimeInForce::GoodTillCancelled);
    assert_eq!(order.self_trade_prevention, SelfTradePrevention::RejectTaker);
    let numbers = limit_with(r#"{"price":20.5,"quantity":1.25,"clientId":null}"#).unwrap();
    assert_eq!(numbers.kind, OrderKind::Limit { price, lots: Lots(125), post_only: false });
}

#[test]
fn a_market_order_is_by_quantity_or_by_quote() {
    let head = r#"{"symbol":"SOL_USDC","side":"Ask","orderType":"Market","price":"ignored""#;
    let by_lots = admit(&format!(r#"{head},"quantity":"2"}}"#)).unwrap();
    assert_eq!(by_lots.kind, OrderKind::MarketByLots { lots: Lots(200) });
    let by_quote = admit(&format!(r#"{head},"quoteQuantity":"30.000001"}}"#)).unwrap();
    assert_eq!(by_quote.kind, OrderKind::MarketByQuote { quote: Units(30_000_001) });
    for rest in ["}", r#","quantity":"2","quoteQuantity":"30"}"#] {
        let error = admit(&format!("{head}{rest}")).unwrap_err();
        assert_eq!(error.code, Code::InvalidClientRequest);
        assert!(error.message.contains("quoteQuantity"));
    }
    let fine = admit(&format!(r#"{head},"quoteQuantity":"0.0000001"}}"#)).unwrap_err();
    assert_eq!(
        (fine.code, &*fine.message),
        (Code::InvalidQuantity, "quoteQuantity: Quantity decimal too long",)
    );
}

#[test]
fn each_member_is_refused_with_its_code_and_name() {
    use Code::{InvalidClientRequest, InvalidOrder, InvalidPrice, InvalidQuantity, NotImplemented};
    for (members, code, text) in [
        (r#"{"symbol":"SOL_EUR"}"#, InvalidClientRequest, "Invalid market symbol"),
        (r#"{"symbol":null}"#, InvalidClientRequest, "symbol"),
        (r#"{"symbol":5}"#, InvalidClientRequest, "symbol"),
        (r#"{"side":"bid"}"#, InvalidClientRequest, "side"),
        (r#"{"side":null}"#, InvalidClientRequest, "side"),
        (r#"{"orderType":"Stop"}"#, InvalidClientRequest, "orderType"),
        (r#"{"orderType":["Limit"]}"#, InvalidClientRequest, "orderType"),
        (r#"{"timeInForce":"GTD"}"#, InvalidClientRequest, "timeInForce"),
        (r#"{"selfTradePrevention":"Allow"}"#, InvalidClientRequest, "selfTradePrevention"),
        (r#"{"clientId":4294967296}"#, InvalidClientRequest, "clientId"),
        (r#"{"clientId":-1}"#, InvalidClientRequest, "clientId"),
        (r#"{"postOnly":"true"}"#, InvalidClientRequest, "postOnly"),
        (r#"{"price":null}"#, InvalidClientRequest, "price"),
        (r#"{"price":"abc"}"#, InvalidClientRequest, "price"),
        (r#"{"price":{"a":1}}"#, InvalidClientRequest, "price"),
        (r#"{"price":"20.505"}"#, InvalidPrice, "Price decimal too long"),
        (r#"{"price":"0"}"#, InvalidPrice, "price"),
        (r#"{"price":"-1"}"#, InvalidPrice, "price"),
        (r#"{"price":"0.09"}"#, InvalidPrice, "price"),
        (r#"{"price":"100000.01"}"#, InvalidPrice, "price"),
        (r#"{"price":"99999999999999999999999999999999999"}"#, InvalidPrice, "price"),
        (r#"{"quantity":null}"#, InvalidClientRequest, "quantity"),
        (r#"{"quantity":"1.255"}"#, InvalidQuantity, "Quantity decimal too long"),
        (r#"{"quantity":"0"}"#, InvalidQuantity, "quantity"),
        (r#"{"quantity":"-5"}"#, InvalidQuantity, "quantity"),
        (r#"{"quantity":"0.01"}"#, InvalidQuantity, "quantity"),
        (r#"{"quantity":"1000000.01"}"#, InvalidQuantity, "quantity"),
        (r#"{"quantity":true}"#, InvalidClientRequest, "quantity"),
        (r#"{"quoteQuantity":"5"}"#, InvalidClientRequest, "quoteQuantity"),
        (r#"{"postOnly":true,"timeInForce":"IOC"}"#, InvalidOrder, "postOnly"),
        (r#"{"postOnly":true,"orderType":"Market"}"#, InvalidOrder, "postOnly"),
        (r#"{"triggerPrice":"5"}"#, InvalidClientRequest, "`triggerQuantity`"),
        (r#"{"triggerQuantity":"5"}"#, InvalidClientRequest, "`triggerPrice`"),
        (
            r#"{"triggerPrice":"5.001","triggerQuantity":"5"}"#,
            InvalidPrice,
            "Price decimal too long",
        ),
        (r#"{"triggerPrice":"5","triggerQuantity":"5.001"}"#, InvalidQuantity, "Quantity decimal"),
        (r#"{"triggerPrice":"0","triggerQuantity":"5"}"#, InvalidPrice, "triggerPrice"),
        (r#"{"triggerPrice":"5","triggerQuantity":"0"}"#, InvalidQuantity, "triggerQuantity"),
        (r#"{"triggerPrice":"5","triggerQuantity":"5%"}"#, InvalidQuantity, "triggerQuantity"),
        (r#"{"triggerBy":"Last"}"#, InvalidClientRequest, "triggerBy"),
        (r#"{"reduceOnly":true}"#, NotImplemented, "reduceOnly"),
        (r#"{"autoLend":1}"#, InvalidClientRequest, "autoLend"),
        (r#"{"stopLossTriggerPrice":"5"}"#, NotImplemented, "stopLossTriggerPrice"),
        (r#"{"takeProfitLimitPrice":"5"}"#, NotImplemented, "takeProfitLimitPrice"),
        (r#"{"slippageTolerance":"1"}"#, NotImplemented, "slippageTolerance"),
    ] {
        let (found, message) = refused(members);
        assert_eq!(found, code, "{members}: {message}");
        assert!(message.contains(text), "{members}: {message}");
    }
}

#[test]
fn members_that_ask_for_nothing_are_ignored() {
    let members = r#"{"reduceOnly":false,"autoLend":true,"autoBorrow":false,"triggerBy":"MarkPrice",
        "stopLossTriggerPrice":null,"slippageTolerance":null,"brokerId":"x","unknown":[{}]}"#;
    assert!(limit_with(members).is_ok());
}

#[test]
fn an_order_is_named_by_exactly_one_id() {
    let catalog = catalog();
    let market = catalog.market_by_symbol("SOL_USDC").unwrap();
    let find = |body: &str| target(&Parameters::from_body(body.as_bytes()).unwrap(), market);
    let order = OrderId::from_parts(market.id, 3, 1).unwrap();
    assert_eq!(find(&format!(r#"{{"orderId":"{order}"}}"#)), Ok(Target::Order(order)));
    assert_eq!(find(&format!(r#"{{"orderId":{order}}}"#)), Ok(Target::Order(order)));
    assert_eq!(find(r#"{"clientId":"7"}"#), Ok(Target::Client(ClientId(7))));
    let elsewhere = OrderId::from_parts(protocol::MarketId(2), 3, 1).unwrap();
    for missing in ["5", "18446744073709551615", &elsewhere.to_string()] {
        let error = find(&format!(r#"{{"orderId":"{missing}"}}"#)).unwrap_err();
        assert_eq!(error.status.as_u16(), 404, "{missing}");
    }
    for wrong in ["{}", r#"{"orderId":"5","clientId":1}"#, r#"{"orderId":"x"}"#] {
        assert_eq!(find(wrong).unwrap_err().status.as_u16(), 400, "{wrong}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "-?[0-9]{0,40}(\\.[0-9]{0,40})?".prop_map(Into::into),
        "\\PC{0,12}".prop_map(Into::into),
        prop::sample::select(vec!["SOL_USDC", "Bid", "Limit", "Market", "FOK", "20.5", "1%"])
            .prop_map(Into::into),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Into::into))
}

proptest! {
    #[test]
    fn no_order_is_too_strange(
        members in prop::collection::hash_map(
            prop::sample::select(vec![
                "symbol", "side", "orderType", "price", "quantity", "quoteQuantity", "timeInForce",
                "postOnly", "clientId", "selfTradePrevention", "triggerPrice", "triggerQuantity",
            ]),
            json(),
            0..12,
        ),
    ) {
        let mut order = serde_json::json!({
            "symbol": "SOL_USDC", "side": "Ask", "orderType": "Limit", "price": "1", "quantity": "1"
        });
        for (name, value) in members {
            order[name] = value;
        }
        match admit(&order.to_string()) {
            Err(error) => prop_assert_eq!(error.status.as_u16(), 400),
            Ok(place) => if let OrderKind::Limit { price, lots, .. } = place.kind {
                prop_assert!((10..=10_000_000).contains(&price.ticks()));
                prop_assert!((2..=100_000_000).contains(&lots.0));
            },
        }
    }
}
