//! Two callers of the gateway: one with the administrator's token, one that signs as an account.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use ureq::http::Method;

use crate::error::{Result, XtaskError};
use crate::http::{self, Answer, call, expect_json};
use crate::interrupt;
use crate::signing::{KeyPair, WINDOW_MS, rendered, signed_text};

const CALL_MS_MAX: Duration = Duration::from_secs(10);
/// How long a gateway may answer 503 (the engine is not there yet) before that is a failure.
const BUSY_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Admin {
    pub rest_url: String,
    pub token: String,
}

impl Admin {
    /// Makes a trading account; answers its id.
    pub fn create_account(&self, label: &str) -> Result<String> {
        let answer = self.post("accounts", &json!({ "label": label }))?;
        let id = answer.get("id").filter(|id| id.is_string() || id.is_u64()).map(rendered);
        id.ok_or_else(|| XtaskError::Unable(format!("a new account without an id: {answer}")))
    }

    pub fn register_key(&self, account: &str, public_key: &str, label: &str) -> Result<Value> {
        let body = json!({ "publicKey": public_key, "label": label });
        self.post(&format!("accounts/{account}/keys"), &body)
    }

    /// Credits once for a `transfer_id`, however often it is called.
    pub fn deposit(
        &self,
        account: &str,
        asset: &str,
        quantity: &str,
        transfer_id: &str,
    ) -> Result<Value> {
        let body = json!({ "asset": asset, "quantity": quantity, "transferId": transfer_id });
        self.post(&format!("accounts/{account}/deposits"), &body)
    }

    /// Debits once for a `transfer_id`.
    pub fn withdraw(
        &self,
        account: &str,
        asset: &str,
        quantity: &str,
        transfer_id: &str,
    ) -> Result<Value> {
        let body = json!({ "asset": asset, "quantity": quantity, "transferId": transfer_id });
        self.post(&format!("accounts/{account}/withdrawals"), &body)
    }

    /// POST below `/admin/v1/`. Waits while the gateway says that it cannot reach the engine.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}/admin/v1/{path}", self.rest_url);
        let bearer = format!("Bearer {}", self.token);
        let headers = [("Authorization", bearer.as_str())];
        let until = Instant::now() + BUSY_MAX;
        loop {
            let answer = call(Method::POST, &url, &headers, Some(body), CALL_MS_MAX)?;
            if answer.0 != 503 || until <= Instant::now() {
                return expect_json(&url, answer);
            }
            interrupt::check()?;
            interrupt::pause(Duration::from_millis(250));
        }
    }

    /// Symbols of all listed assets.
    pub fn assets(&self) -> Result<Vec<String>> {
        let url = format!("{}/api/v1/assets", self.rest_url);
        let answer = expect_json(&url, http::get(&url, CALL_MS_MAX)?)?;
        let listed = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        let symbols = listed.iter().filter_map(|asset| asset.get("symbol")?.as_str());
        Ok(symbols.map(str::to_owned).collect())
    }
}

/// One account as a client sees the exchange.
#[derive(Clone, Debug)]
pub struct Client {
    pub rest_url: String,
    pub keys: KeyPair,
}

impl Client {
    pub fn place(&self, order: &Value) -> Result<Answer> {
        self.send(Method::POST, "/api/v1/order", "orderExecute", order)
    }

    pub fn cancel(&self, which: &Value) -> Result<Answer> {
        self.send(Method::DELETE, "/api/v1/order", "orderCancel", which)
    }

    pub fn cancel_all(&self, which: &Value) -> Result<Answer> {
        self.send(Method::DELETE, "/api/v1/orders", "orderCancelAll", which)
    }

    pub fn order(&self, which: &Value) -> Result<Answer> {
        self.send(Method::GET, "/api/v1/order", "orderQuery", which)
    }

    pub fn open_orders(&self, filter: &Value) -> Result<Answer> {
        self.send(Method::GET, "/api/v1/orders", "orderQueryAll", filter)
    }

    pub fn capital(&self) -> Result<Answer> {
        self.send(Method::GET, "/api/v1/capital", "balanceQuery", &json!({}))
    }

    /// Signs and sends. `parameters` become the query of a GET, else the JSON body.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        instruction: &str,
        parameters: &Value,
    ) -> Result<Answer> {
        let timestamp = now_ms();
        let signature = self.keys.sign(&signed_text(instruction, parameters, timestamp))?;
        let (timestamp, window) = (timestamp.to_string(), WINDOW_MS.to_string());
        let headers = [
            ("X-API-Key", self.keys.api_key.as_str()),
            ("X-Signature", &signature),
            ("X-Timestamp", &timestamp),
            ("X-Window", &window),
        ];
        if method == Method::GET {
            let url = format!("{}{path}{}", self.rest_url, query(parameters));
            return call(method, &url, &headers, None, CALL_MS_MAX);
        }
        let url = format!("{}{path}", self.rest_url);
        call(method, &url, &headers, Some(parameters), CALL_MS_MAX)
    }
}

pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn query(parameters: &Value) -> String {
    let Value::Object(members) = parameters else { return String::new() };
    let pairs: Vec<String> = members
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(&rendered(value))))
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// Percent-encodes everything but the unreserved characters.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let escape = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_escaped_and_leaves_nulls_out() {
        assert_eq!(query(&json!({})), "");
        let parameters = json!({"symbol": "SOL_USDC", "note": "a b/é", "none": null, "limit": 5});
        assert_eq!(query(&parameters), "?limit=5&note=a%20b%2F%C3%A9&symbol=SOL_USDC");
    }
}
