//! A trader with an API key, and what the exchange answers it.

use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use ureq::http::Method;
use xtask::client::Client;
use xtask::http;

use crate::listing::decimal;

/// Status and body of an answer, and how long it took.
#[derive(Clone, PartialEq, Debug)]
pub struct Reply {
    pub status: u16,
    /// Text that is no JSON is a string.
    pub body: Value,
    pub took: Duration,
}

impl Reply {
    pub fn of(answer: http::Answer, took: Duration) -> Reply {
        let (status, text) = answer;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Reply { status, body, took }
    }

    /// The body of a success.
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        assert!(
            self.body.get("code").is_none(),
            "clients read a `code` as an error: {}",
            self.body
        );
        self.body
    }

    pub fn is_ok(&self) -> bool {
        self.status == 200
    }

    /// Checks that it was refused in the contract's shape, with just this status and code.
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.body);
    }

    /// The code of a refusal; checks its shape.
    pub fn code(&self) -> &str {
        let members = self.body.as_object();
        let members = members.unwrap_or_else(|| panic!("no error body: {self:?}"));
        let names: Vec<&str> = members.keys().map(String::as_str).collect();
        assert_eq!(names, ["code", "message"], "{self:?}");
        assert!(members["message"].is_string(), "{self:?}");
        members["code"].as_str().unwrap_or_else(|| panic!("code is no string: {self:?}"))
    }
}

/// GET of a public path.
pub fn public(rest_url: &str, path: &str) -> Reply {
    let since = Instant::now();
    let answer = http::get(&format!("{rest_url}{path}"), Duration::from_secs(10)).unwrap();
    Reply::of(answer, since.elapsed())
}

#[derive(Clone, Debug)]
pub struct Trader {
    pub name: String,
    pub account: String,
    pub client: Client,
}

impl Trader {
    /// Signs and sends; `Err` when no answer came back at all.
    pub fn attempt(
        &self,
        method: Method,
        path: &str,
        instruction: &str,
        parameters: &Value,
    ) -> Result<Reply, String> {
        let since = Instant::now();
        let answer = self.client.send(method, path, instruction, parameters);
        answer.map(|answer| Reply::of(answer, since.elapsed())).map_err(|error| error.in_full())
    }

    fn send(&self, method: Method, path: &str, instruction: &str, parameters: &Value) -> Reply {
        self.attempt(method, path, instruction, parameters)
            .unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    pub fn place(&self, order: &Value) -> Reply {
        self.send(Method::POST, "/api/v1/order", "orderExecute", order)
    }

    pub fn try_place(&self, order: &Value) -> Result<Reply, String> {
        self.attempt(Method::POST, "/api/v1/order", "orderExecute", order)
    }

    pub fn place_batch(&self, orders: &Value) -> Reply {
        self.send(Method::POST, "/api/v1/orders", "orderExecute", orders)
    }

    pub fn order(&self, which: &Value) -> Reply {
        self.send(Method::GET, "/api/v1/order", "orderQuery", which)
    }

    pub fn cancel(&self, which: &Value) -> Reply {
        self.send(Method::DELETE, "/api/v1/order", "orderCancel", which)
    }

    pub fn try_cancel(&self, which: &Value) -> Result<Reply, String> {
        self.attempt(Method::DELETE, "/api/v1/order", "orderCancel", which)
    }

    pub fn cancel_all(&self, symbol: &str) -> Reply {
        let which = json!({ "symbol": symbol });
        self.send(Method::DELETE, "/api/v1/orders", "orderCancelAll", &which)
    }

    /// `kind` is the contract's `orderType`.
    pub fn cancel_kind(&self, symbol: &str, kind: &str) -> Reply {
        let which = json!({ "symbol": symbol, "orderType": kind });
        self.send(Method::DELETE, "/api/v1/orders", "orderCancelAll", &which)
    }

    /// `change` names the order and what is to be otherwise.
    pub fn amend(&self, change: &Value) -> Reply {
        self.send(Method::PATCH, "/api/v1/order", "orderModify", change)
    }

    pub fn cancel_after(&self, timeout_ms: u32) -> Reply {
        let body = json!({ "timeoutMs": timeout_ms });
        self.send(Method::POST, "/api/v1/orders/cancelAfter", "orderCancelAfter", &body)
    }

    /// Orders that have ended.
    pub fn order_history(&self, query: &Value) -> Vec<Value> {
        let path = "/wapi/v1/history/orders";
        let reply = self.send(Method::GET, path, "orderHistoryQueryAll", query);
        reply.ok().as_array().unwrap().clone()
    }

    pub fn open_orders(&self, symbol: &str) -> Vec<Value> {
        let filter = json!({ "symbol": symbol });
        let reply = self.send(Method::GET, "/api/v1/orders", "orderQueryAll", &filter);
        reply.ok().as_array().unwrap().clone()
    }

    pub fn capital(&self) -> Value {
        self.send(Method::GET, "/api/v1/capital", "balanceQuery", &json!({})).ok()
    }

    pub fn account_settings(&self) -> Value {
        self.send(Method::GET, "/api/v1/account", "accountQuery", &json!({})).ok()
    }

    /// Available and locked.
    pub fn balance(&self, asset: &str) -> (Decimal, Decimal) {
        let capital = self.capital();
        let Some(balance) = capital.get(asset) else { return (Decimal::ZERO, Decimal::ZERO) };
        assert_eq!(balance["staked"], "0");
        let read = |member: &str| decimal(balance[member].as_str().unwrap());
        (read("available"), read("locked"))
    }

    /// Checks one balance to the last unit.
    pub fn has(&self, asset: &str, available: &str, locked: &str) {
        let wanted = (decimal(available), decimal(locked));
        assert_eq!(self.balance(asset), wanted, "{} of {asset}: available, locked", self.name);
    }
}

/// A limit order.
pub fn limit(symbol: &str, side: &str, price: &str, quantity: &str) -> Value {
    json!({
        "symbol": symbol, "side": side, "orderType": "Limit",
        "price": price, "quantity": quantity,
    })
}

/// A market order by base quantity.
pub fn market(symbol: &str, side: &str, quantity: &str) -> Value {
    json!({ "symbol": symbol, "side": side, "orderType": "Market", "quantity": quantity })
}

/// A market order by quote amount.
pub fn market_by_quote(symbol: &str, side: &str, amount: &str) -> Value {
    json!({ "symbol": symbol, "side": side, "orderType": "Market", "quoteQuantity": amount })
}

/// The order with these members added or replaced; a null takes a member away.
pub fn with(order: &Value, members: Value) -> Value {
    let mut order: Map<String, Value> = order.as_object().unwrap().clone();
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            order.remove(name);
        } else {
            order.insert(name.clone(), value.clone());
        }
    }
    Value::Object(order)
}

/// `id` of an order answer.
pub fn id_of(order: &Value) -> String {
    order["id"].as_str().unwrap_or_else(|| panic!("no order: {order}")).to_owned()
}
