//! Orders that wait for a trigger, are changed, or are cancelled when nobody says otherwise.

use serde_json::json;

use super::*;
use crate::fake_engine::waiting_id;

impl Stand {
    async fn place_trigger(&self, members: &str, pairs: &str) -> (u16, Value) {
        let body = format!(
            r#"{{"symbol":"SOL_USDC","side":"Bid","orderType":"Limit","price":"19.50",
                "triggerPrice":"19.00","triggerQuantity":"2",{members}"clientId":5}}"#
        );
        let signed = format!(
            "clientId=5&orderType=Limit&price=19.50&{pairs}side=Bid&symbol=SOL_USDC&\
             triggerBy=MarkPrice&triggerPrice=19.00&triggerQuantity=2"
        );
        self.signed(("POST", "/api/v1/order"), "orderExecute", &signed, &body).await
    }

    async fn amend(&self, id: &str, members: &str, pairs: &str) -> (u16, Value) {
        let body = format!(r#"{{"symbol":"SOL_USDC","orderId":"{id}"{members}}}"#);
        let signed = format!("orderId={id}{pairs}&symbol=SOL_USDC");
        self.signed(("PATCH", "/api/v1/order"), "orderModify", &signed, &body).await
    }

    async fn cancel_after(&self, timeout_ms: u64) -> (u16, Value) {
        let (body, signed) =
            (format!(r#"{{"timeoutMs":{timeout_ms}}}"#), format!("timeoutMs={timeout_ms}"));
        let path = ("POST", "/api/v1/orders/cancelAfter");
        self.signed(path, "orderCancelAfter", &signed, &body).await
    }

    async fn cancel_kind(&self, kind: &str) -> Value {
        let body = format!(r#"{{"symbol":"SOL_USDC","orderType":"{kind}"}}"#);
        let signed = format!("orderType={kind}&symbol=SOL_USDC");
        let path = ("DELETE", "/api/v1/orders");
        self.signed(path, "orderCancelAll", &signed, &body).await.1
    }
}

#[tokio::test]
async fn an_order_waits_for_its_trigger_and_is_open_until_it_is_cancelled() {
    let redis = Server::redis("gateway").unwrap();
    let _engine = fake_engine::run(&redis, &["SOL_USDC", "BTC_USDC"]).await;
    let stand = Stand::ready(&redis).await;
    let (status, order) = stand.place_trigger(r#""triggerBy":"MarkPrice","#, "").await;
    assert_eq!((status, &order["status"]), (200, &json!("TriggerPending")), "{order}");
    let id = waiting_id(MarketId(1)).to_string();
    for (name, wanted) in [
        ("id", json!(id)),
        ("quantity", json!("2.00")),
        ("executedQuantity", json!("0.00")),
        ("price", json!("19.50")),
        ("triggerPrice", json!("19.00")),
        ("triggerQuantity", json!("2.00")),
        ("triggerBy", json!("MarkPrice")),
        ("triggeredAt", Value::Null),
        ("fills", json!([])),
    ] {
        assert_eq!(order[name], wanted, "{name} of {order}");
    }
    let path = format!("/api/v1/order?symbol=SOL_USDC&orderId={id}");
    let pairs = format!("orderId={id}&symbol=SOL_USDC");
    let (_, open) = stand.signed(("GET", &path), "orderQuery", &pairs, "").await;
    for name in ["id", "status", "quantity", "price", "triggerPrice", "triggerBy", "createdAt"] {
        assert_eq!(open[name], order[name], "{name} of {open}");
    }
    let (_, account) = stand.signed(("GET", "/api/v1/account"), "accountQuery", "", "").await;
    assert_eq!((&account["limitOrders"], &account["triggerOrders"]), (&json!(1), &json!(1)));

    let resting = stand.cancel_kind("RestingLimitOrder").await;
    assert_eq!(resting[0]["id"], order_id(MarketId(1)).to_string());
    assert_eq!(resting.as_array().unwrap().len(), 1);
    let waiting = stand.cancel_kind("ConditionalOrder").await;
    assert_eq!((&waiting[0]["id"], &waiting[0]["status"]), (&json!(id), &json!("Cancelled")));
    assert_eq!(waiting[0]["triggerPrice"], "19.00");
    assert_eq!(stand.cancel_kind("ConditionalOrder").await, json!([]));
    let body = format!(r#"{{"symbol":"SOL_USDC","orderId":"{id}"}}"#);
    let gone = stand.signed(("DELETE", "/api/v1/order"), "orderCancel", &pairs, &body).await;
    assert_eq!((gone.0, &gone.1["code"]), (404, &json!("RESOURCE_NOT_FOUND")));
}

#[tokio::test]
async fn an_order_is_changed_in_place_or_refused_by_name() {
    let redis = Server::redis("gateway").unwrap();
    let _engine = fake_engine::run(&redis, &["SOL_USDC", "BTC_USDC"]).await;
    let stand = Stand::ready(&redis).await;
    let id = order_id(MarketId(1)).to_string();
    let (status, order) =
        stand.amend(&id, r#","price":"22.00","quantity":"1.5""#, "&price=22.00&quantity=1.5").await;
    assert_eq!((status, &order["status"]), (200, &json!("PartiallyFilled")), "{order}");
    assert_eq!((&order["id"], &order["price"]), (&json!(id), &json!("22.00")));
    assert_eq!((&order["quantity"], &order["executedQuantity"]), (&json!("1.50"), &json!("0.25")));
    assert_eq!(order["executedQuoteQuantity"], "5.25");
    assert_eq!(order["fills"], json!([]));
    for (members, pairs, code, word) in [
        ("", "", "INVALID_CLIENT_REQUEST", "price"),
        (r#","price":"22.001""#, "&price=22.001", "INVALID_PRICE", "Price"),
        (r#","quantity":"0""#, "&quantity=0", "INVALID_QUANTITY", "quantity"),
        (r#","quantity":"0.25""#, "&quantity=0.25", "INVALID_QUANTITY", "quantity"),
    ] {
        let (status, error) = stand.amend(&id, members, pairs).await;
        assert_eq!((status, &error["code"]), (400, &json!(code)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
    }
}

#[tokio::test]
async fn a_dead_man_s_switch_is_set_moved_and_switched_off() {
    let redis = Server::redis("gateway").unwrap();
    let _engine = fake_engine::run(&redis, &["SOL_USDC", "BTC_USDC"]).await;
    let stand = Stand::ready(&redis).await;
    // The engine decides at 1,767,225,600,123.456 milliseconds; rounded up.
    let at = |ms: u64| json!({ "triggerAt": 1_767_225_600_124 + ms });
    assert_eq!(stand.cancel_after(5_000).await, (200, at(5_000)));
    assert_eq!(stand.cancel_after(3_600_000).await, (200, at(3_600_000)));
    assert_eq!(stand.cancel_after(0).await, (200, json!({ "triggerAt": null })));
    for timeout_ms in [1, 999, 3_600_001, u64::MAX] {
        let (status, error) = stand.cancel_after(timeout_ms).await;
        assert_eq!((status, &error["code"]), (400, &json!("INVALID_CLIENT_REQUEST")));
        assert!(error["message"].as_str().unwrap().starts_with("timeoutMs"), "{error}");
    }
}
