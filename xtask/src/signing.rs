//! ED25519 keys and the string a request signs, exactly as a client of the REST contract does it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Result, XtaskError};
use crate::secrets;

/// Milliseconds a signed request stays valid: what clients use when they name none.
pub const WINDOW_MS: u64 = 5000;

/// Both halves in base64, as they are printed and pasted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPair {
    /// The 32-byte public key.
    pub api_key: String,
    /// The 32-byte seed.
    pub api_secret: String,
}

/// The secret stays out of logs and failed assertions.
impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPair({})", self.api_key)
    }
}

impl KeyPair {
    pub fn generate() -> Result<KeyPair> {
        Ok(KeyPair::from_seed(secrets::random_bytes()?))
    }

    pub fn from_seed(seed: [u8; 32]) -> KeyPair {
        let key = SigningKey::from_bytes(&seed);
        KeyPair {
            api_key: STANDARD.encode(key.verifying_key().as_bytes()),
            api_secret: STANDARD.encode(seed),
        }
    }

    /// Signature in base64. Errors: the secret was damaged.
    pub fn sign(&self, text: &str) -> Result<String> {
        let damaged = || XtaskError::Key { what: self.api_key.clone() };
        let seed = STANDARD.decode(&self.api_secret).map_err(|_| damaged())?;
        let seed: [u8; 32] = seed.try_into().map_err(|_| damaged())?;
        Ok(STANDARD.encode(SigningKey::from_bytes(&seed).sign(text.as_bytes()).to_bytes()))
    }
}

/// `instruction=…&<sorted pairs>&timestamp=…&window=…`; a body that is an array is a batch, where
/// each element opens with the instruction.
pub fn signed_text(instruction: &str, parameters: &Value, timestamp_ms: u64) -> String {
    let pieces: Vec<String> = match parameters {
        Value::Array(elements) => {
            elements.iter().map(|element| signed_piece(instruction, element)).collect()
        }
        one => vec![signed_piece(instruction, one)],
    };
    format!("{}&timestamp={timestamp_ms}&window={WINDOW_MS}", pieces.join("&"))
}

fn signed_piece(instruction: &str, parameters: &Value) -> String {
    let mut pairs: Vec<(&str, String)> = match parameters {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.as_str(), rendered(value)))
            .collect(),
        _ => Vec::new(),
    };
    pairs.sort();
    let mut piece = format!("instruction={instruction}");
    for (name, value) in pairs {
        piece.push_str(&format!("&{name}={value}"));
    }
    piece
}

/// Text without its quotes, everything else as JSON has it.
pub fn rendered(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TIME: u64 = 1_767_225_600_000;

    fn counting_key() -> KeyPair {
        KeyPair::from_seed(std::array::from_fn(|at| u8::try_from(at).unwrap()))
    }

    #[test]
    fn the_vectors_of_the_contract_come_out() {
        let key = counting_key();
        assert_eq!(key.api_key, "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=");
        let signed = |instruction, parameters: &Value| {
            key.sign(&signed_text(instruction, parameters, TIME)).unwrap()
        };
        assert_eq!(
            signed("balanceQuery", &Value::Null),
            "hdGamfQVLiHrFO13nyWUPzCwJhtHvbAXj2a3P2WAyQJJ0kVEB+nPQwPvCI21ml3XPWLwHEPUqPRolWCdKA2EC\
             Q=="
        );
        let order = json!({"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit",
            "price": "20.5", "quantity": "1.25", "clientId": 7, "postOnly": true});
        assert_eq!(
            signed("orderExecute", &order),
            "AHJAPS2OhHxukzmSC7O8mxY0OIuWb++wognMnvCA5jEkVWv/soRxwSQG9IRwb531DK9JO9Ycq71W5mUvKHnnA\
             g=="
        );
        let batch = json!([
            {"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit", "price": "20.5",
             "quantity": "1"},
            {"symbol": "SOL_USDC", "side": "Ask", "orderType": "Market", "quoteQuantity": "30"}]);
        assert_eq!(
            signed("orderExecute", &batch),
            "wEtdiUSW6KV0voZgOaAEp73KsHOTh5gUMkvkcAg95hfwNRfu5jwiTgLID3b0ywDeTNjtLUYfS1+q5rb00bzRD\
             g=="
        );
        let cancel = json!({"symbol": "SOL_USDC", "orderId": "4200000001"});
        assert_eq!(
            signed("orderCancel", &cancel),
            "fB8smzZmOvTEgMdPAMMn33bp5cSyr11tUIDVaCAilmMLD/c/hScTgADQiBgs4sWs7EjGXzj3pvBJetNyh4G2C\
             A=="
        );
        assert_eq!(
            signed("subscribe", &Value::Null),
            "VuezQCs88zWDX4P2DQMyeJIgWIJHh7ibqEYlp/Y+oO7u8/1JsOKQlNmcO73zbiHlmpzBzkNZ5WbzpvFUMk+lA\
             w=="
        );
    }

    #[test]
    fn a_null_member_is_not_signed() {
        let text = signed_text("orderExecute", &json!({"b": null, "a": 1}), 7);
        assert_eq!(text, "instruction=orderExecute&a=1&timestamp=7&window=5000");
    }

    #[test]
    fn a_damaged_secret_is_an_error_and_never_shown() {
        let key = KeyPair { api_secret: "c2hvcnQ=".to_owned(), ..counting_key() };
        assert!(key.sign("x").is_err());
        assert!(!format!("{key:?}").contains("c2hvcnQ="));
    }
}
