//! What the document says of bodies is what the code admits.

use protocol::{AccountId, Catalog};
use serde_json::{Value, json};

use super::tests::complaints;
use crate::market_terms::Written;
use crate::parameters::Parameters;
use crate::routes::admin_markets::BOOK_STATES;
use crate::routes::{auth_accounts, auth_keys, cancel_after};
use crate::{admission, fixture};

/// Bodies of an order with one member changed; `null` means left out.
fn orders_changed(members: &[(&str, Value)]) -> Value {
    let mut order = json!({
        "symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": "20.5",
        "quantity": "1.25",
    });
    for (name, value) in members {
        order[name] = value.clone();
    }
    order
}

#[test]
fn an_order_is_admitted_just_when_it_is_as_described() {
    let (catalog, account) = (fixture::catalog(), AccountId::new(1).unwrap());
    let market = ("orderType", json!("Market"));
    let by_quote = [market.clone(), ("quantity", json!(null))];
    let by_quote = |value: Value| [&by_quote[..], &[("quoteQuantity", value)]].concat();
    let bodies = [
        vec![],
        vec![("symbol", json!("SOL_USD"))],
        vec![("symbol", json!(null))],
        vec![("side", json!("bid"))],
        vec![("orderType", json!("Stop"))],
        vec![("price", json!(20.5))],
        vec![("price", json!("0020.50"))],
        vec![("price", json!("-20.5"))],
        vec![("price", json!("0.0"))],
        vec![("price", json!("20."))],
        vec![("price", json!("2e1"))],
        vec![("price", json!(true))],
        vec![("price", json!(["20.5"]))],
        vec![("price", json!(null))],
        vec![("quantity", json!(null))],
        vec![("quoteQuantity", json!("10"))],
        vec![("timeInForce", json!("IOC"))],
        vec![("timeInForce", json!("DAY"))],
        vec![("postOnly", json!(true))],
        vec![("postOnly", json!("true"))],
        vec![("clientId", json!(7)), ("reduceOnly", json!(false))],
        vec![("clientId", json!("7"))],
        vec![("clientId", json!("x7"))],
        vec![("clientId", json!(-1))],
        vec![("clientId", json!(4_294_967_296_u64))],
        vec![("reduceOnly", json!(true))],
        vec![("selfTradePrevention", json!("RejectBoth")), ("unknown", json!([1]))],
        vec![("selfTradePrevention", json!("None"))],
        vec![market.clone(), ("price", json!("nonsense"))],
        vec![market.clone(), ("postOnly", json!(true))],
        vec![market.clone(), ("quoteQuantity", json!("10"))],
        vec![("autoLend", json!(true)), ("autoBorrow", json!(null))],
        vec![("autoBorrowRepay", json!("true"))],
        vec![("stopLossTriggerPrice", json!("1"))],
        vec![("slippageTolerance", json!("1"))],
        by_quote(json!("10")),
        by_quote(json!("x")),
        by_quote(json!(null)),
    ];
    assert_eq!(admitted(&catalog, account, &bodies), 11);
}

/// How many of them are admitted, which is those that are as described.
fn admitted(catalog: &Catalog, account: AccountId, bodies: &[Vec<(&str, Value)>]) -> usize {
    let mut admitted = 0;
    for members in bodies {
        let order = orders_changed(members);
        let text = order.to_string();
        let parameters = Parameters::from_body(text.as_bytes()).unwrap();
        let outcome = admission::new_order(&parameters, catalog, account);
        let complaints = complaints("PlaceOrder", &order);
        assert_eq!(outcome.is_ok(), complaints.is_empty(), "{order}: {outcome:?} {complaints:?}");
        admitted += usize::from(outcome.is_ok());
    }
    admitted
}

#[test]
fn an_order_that_waits_is_admitted_just_when_it_is_as_described() {
    let (catalog, account) = (fixture::catalog(), AccountId::new(1).unwrap());
    let trigger = [("triggerPrice", json!("19")), ("triggerQuantity", json!("1.25"))];
    let with = |members: &[(&'static str, Value)]| [&trigger[..], members].concat();
    let market = ("orderType", json!("Market"));
    let bodies = [
        with(&[]),
        with(&[("quantity", json!(null))]),
        with(&[("quantity", json!("nonsense"))]),
        with(&[("triggerBy", json!("MarkPrice"))]),
        with(&[("triggerBy", json!("Last"))]),
        with(&[("triggerPrice", json!(19)), ("triggerQuantity", json!(1.25))]),
        with(&[("triggerPrice", json!("0"))]),
        with(&[("triggerPrice", json!("1e1"))]),
        with(&[("triggerPrice", json!(null))]),
        with(&[("triggerQuantity", json!(null))]),
        with(&[("triggerQuantity", json!("50%"))]),
        with(&[("triggerQuantity", json!("x"))]),
        with(&[("triggerQuantity", json!(true))]),
        with(&[("price", json!(null))]),
        with(&[("postOnly", json!(true))]),
        with(&[("quoteQuantity", json!("10"))]),
        with(&[("reduceOnly", json!(true))]),
        with(std::slice::from_ref(&market)),
        with(&[market.clone(), ("price", json!("nonsense"))]),
        with(&[market.clone(), ("quantity", json!(null))]),
        with(&[market.clone(), ("postOnly", json!(true))]),
        with(&[market.clone(), ("triggerQuantity", json!("50%"))]),
        with(&[market.clone(), ("quantity", json!(null)), ("quoteQuantity", json!("10"))]),
        with(&[market.clone(), ("triggerPrice", json!(null)), ("triggerQuantity", json!(null))]),
        vec![("triggerBy", json!("IndexPrice"))],
        vec![("triggerBy", json!(1))],
    ];
    assert_eq!(admitted(&catalog, account, &bodies), 11);
}

#[test]
fn an_amendment_is_read_just_when_it_is_as_described() {
    let catalog = fixture::catalog();
    let market = &catalog.markets()[0];
    let order = protocol::OrderId::from_parts(market.id, 3, 1).unwrap().get().to_string();
    let (by_order, by_client) = (json!(order), json!(7));
    let mut read = 0;
    for order in [json!(null), by_order, json!("x"), json!(true)] {
        for client in [json!(null), by_client.clone(), json!(-1)] {
            for price in [json!(null), json!("20.5"), json!("0"), json!([])] {
                for quantity in [json!(null), json!(1.25), json!("x")] {
                    let body = json!({"symbol": "SOL_USDC", "orderId": order, "price": price,
                        "clientId": client, "quantity": quantity});
                    let text = body.to_string();
                    let parameters = Parameters::from_body(text.as_bytes()).unwrap();
                    let is_read = admission::target(&parameters, market).is_ok()
                        && admission::change(&parameters, market).is_ok();
                    let complaints = complaints("AmendOrder", &body);
                    assert_eq!(is_read, complaints.is_empty(), "{body}: {complaints:?}");
                    read += usize::from(is_read);
                }
            }
        }
    }
    assert_eq!(read, 6);
}

/// Whether a body is read and whether it is as described, which is the same.
fn assert_same(schema: &str, body: &Value, read: impl Fn(&Parameters<'_>) -> bool) {
    let text = body.to_string();
    let is_read = read(&Parameters::from_body(text.as_bytes()).unwrap());
    let complaints = complaints(schema, body);
    assert_eq!(is_read, complaints.is_empty(), "{schema} {body}: {complaints:?}");
}

#[test]
fn a_time_to_cancel_after_is_read_just_when_it_is_as_described() {
    let numbers = [0, 1, 999, 1_000, 9_999, 123_456, 999_999, 1_000_000, 2_999_999, 3_599_999];
    for number in numbers.into_iter().chain([3_600_000, 3_600_001, 10_000_000, u64::MAX]) {
        for value in [json!(number), json!(number.to_string()), json!(format!("00{number}"))] {
            let is_good = number == 0 || (1_000..=3_600_000).contains(&number);
            let read = |parameters: &Parameters<'_>| cancel_after::timeout_ms(parameters).is_ok();
            let body = json!({"timeoutMs": value});
            assert_eq!(complaints("CancelAfter", &body).is_empty(), is_good, "{body}");
            assert_same("CancelAfter", &body, read);
        }
    }
    for value in [json!(null), json!(""), json!("1 000"), json!(true), json!(-1)] {
        let body = json!({"timeoutMs": value});
        assert_same("CancelAfter", &body, |it| cancel_after::timeout_ms(it).is_ok());
    }
}

#[test]
fn a_login_is_read_just_when_it_is_as_described() {
    let emails = ["a@b.c", "Ann+x.y@sub.example.org", "ann", "ann@example", "@example.org"];
    let strange = ["a..b@example.org", ".a@example.org", "a@-b.org", "a@b-.org", "a@b..org", ""];
    let others = ["a b@example.org", "a@b@example.org", "\"a\"@b.org", "a@[127.0.0.1]", "ä@b.org"];
    let long = [format!("a@{}.org", "b.".repeat(124)), format!("a@{}.org", "b.".repeat(130))];
    let texts = emails.into_iter().chain(strange).chain(others).chain(long.iter().map(|it| &**it));
    for email in texts {
        for password in [0, 9, 10, 128, 129] {
            let body = json!({"email": email, "password": "é".repeat(password)});
            let read = |it: &Parameters<'_>| auth_accounts::named(it).is_ok();
            assert_same("SignIn", &body, read);
            let is_long = complaints("SignIn", &body).is_empty() && 10 <= password;
            assert_eq!(complaints("SignUp", &body).is_empty(), is_long, "{body}");
        }
    }
}

#[test]
fn a_key_of_one_s_own_is_read_just_when_it_is_as_described() {
    let labels = [json!("x"), json!("é".repeat(200)), json!("x".repeat(201)), json!(""), json!(1)];
    for label in labels.into_iter().chain([json!("a\u{7f}"), json!("a\n"), json!("\u{9f}")]) {
        let body = json!({"label": label});
        assert_same("AddOwnKey", &body, |it| auth_keys::label(it).is_ok());
    }
    let address = ["10.0.0.1", "255.255.255.255", "256.0.0.1", "01.0.0.1", "1.2.3", "1.2.3.4."];
    for text in address.into_iter().chain(["::1", "::ffff:10.0.0.2", "10.0.0.0/8", "home", ""]) {
        let body = json!({"label": "x", "allowedAddresses": [text]});
        assert_same("AddOwnKey", &body, |it| auth_keys::addresses(it).is_ok());
    }
    for addresses in
        [json!([]), json!(null), json!("::1"), json!([1]), json!({}), json!(vec!["::1"; 21])]
    {
        let body = json!({"label": "x", "allowedAddresses": addresses});
        assert_same("AddOwnKey", &body, |it| auth_keys::addresses(it).is_ok());
    }
}

#[test]
fn terms_of_a_market_are_read_just_when_they_are_as_described() {
    let catalog = fixture::catalog();
    let market = &catalog.markets()[0];
    let read = |written: &Parameters<'_>, text: &str| {
        written.choice("orderBookState", &BOOK_STATES).is_ok()
            && Written::read(text.as_bytes()).is_ok_and(|it| it.terms(market, market).is_ok())
    };
    let fees = [json!(null), json!({}), json!({"makerFeeBps": "0"}), json!({"takerFeeBps": 2.5})];
    let bad_fees =
        [json!({"makerFeeBps": "-1"}), json!({"takerFeeBps": true}), json!([]), json!(7)];
    let prices =
        [json!(null), json!({"minPrice": "1", "maxPrice": null}), json!({"minPrice": "0"})];
    let states =
        [json!(null), json!("Closed"), json!("LimitOnly"), json!("PostOnly"), json!("open")];
    let mut found = 0;
    for fees in fees.iter().chain(&bad_fees) {
        for (price, state) in prices.iter().flat_map(|it| states.iter().map(move |at| (it, at))) {
            let body = json!({"fees": fees, "filters": {"price": price}, "orderBookState": state});
            let text = body.to_string();
            assert_same("ChangeMarket", &body, |it| read(it, &text));
            found += usize::from(complaints("ChangeMarket", &body).is_empty());
        }
    }
    assert_eq!(found, 4 * 2 * 4);
}

#[test]
fn a_body_has_at_most_as_many_members_as_described() {
    for (more, fits) in [(59, true), (60, false)] {
        let names: Vec<String> = (0..more).map(|at| format!("x{at}")).collect();
        let members: Vec<_> = names.iter().map(|name| (name.as_str(), json!(1))).collect();
        let order = orders_changed(&members);
        let text = order.to_string();
        assert_eq!(Parameters::from_body(text.as_bytes()).is_ok(), fits);
        let batch = json!([order]);
        for (schema, body) in [("PlaceOrder", &order), ("Batch", &batch), ("CreateAccount", &order)]
        {
            assert_eq!(complaints(schema, body).is_empty(), fits, "{schema} {more}");
        }
    }
}
