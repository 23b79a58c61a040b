//! Whether a signed request is what the owner of its key asked for, just now.
//!
//! The signature covers `instruction=<name>&<k>=<v>…&timestamp=…&window=…`: all parameters that
//! were sent, unknown ones too, sorted by name. A batch repeats the instruction for each order.

use std::fmt::Write;

use axum::http::HeaderMap;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ed25519_dalek::{Signature, VerifyingKey};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{ApiError, Code};
use crate::parameters::Parameters;

const WINDOW_MS_DEFAULT: &str = "5000";
const WINDOW_MS_MAX: u64 = 60_000;
/// How far a client's clock may be ahead of ours.
const AHEAD_MS_MAX: u64 = 5_000;

/// Everything but the characters that no encoding changes.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What a request may be signed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instruction {
    AccountQuery,
    AccountUpdate,
    BalanceQuery,
    OrderExecute,
    OrderModify,
    OrderQuery,
    OrderCancel,
    OrderQueryAll,
    OrderCancelAll,
    OrderCancelAfter,
    OrderHistoryQueryAll,
    PositionQuery,
    FillHistoryQueryAll,
    DepositQueryAll,
    DepositAddressQuery,
    WithdrawalQueryAll,
    Withdraw,
    MaxOrderQuantity,
    MaxWithdrawalQuantity,
    CollateralQuery,
    /// Of private streams; over sockets alone, so that no route has it.
    Subscribe,
}

/// Whether a request leaves everything as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    Reads,
    Changes,
}

impl Instruction {
    pub const fn effect(self) -> Effect {
        match self {
            Instruction::AccountQuery
            | Instruction::BalanceQuery
            | Instruction::OrderQuery
            | Instruction::OrderQueryAll
            | Instruction::OrderHistoryQueryAll
            | Instruction::PositionQuery
            | Instruction::FillHistoryQueryAll
            | Instruction::DepositQueryAll
            | Instruction::DepositAddressQuery
            | Instruction::WithdrawalQueryAll
            | Instruction::MaxOrderQuantity
            | Instruction::MaxWithdrawalQuantity
            | Instruction::CollateralQuery
            | Instruction::Subscribe => Effect::Reads,
            Instruction::AccountUpdate
            | Instruction::Withdraw
            | Instruction::OrderModify
            | Instruction::OrderCancelAfter
            | Instruction::OrderExecute
            | Instruction::OrderCancel
            | Instruction::OrderCancelAll => Effect::Changes,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Instruction::AccountQuery => "accountQuery",
            Instruction::AccountUpdate => "accountUpdate",
            Instruction::BalanceQuery => "balanceQuery",
            Instruction::OrderExecute => "orderExecute",
            Instruction::OrderModify => "orderModify",
            Instruction::OrderQuery => "orderQuery",
            Instruction::OrderCancel => "orderCancel",
            Instruction::OrderQueryAll => "orderQueryAll",
            Instruction::OrderCancelAll => "orderCancelAll",
            Instruction::OrderCancelAfter => "orderCancelAfter",
            Instruction::OrderHistoryQueryAll => "orderHistoryQueryAll",
            Instruction::PositionQuery => "positionQuery",
            Instruction::FillHistoryQueryAll => "fillHistoryQueryAll",
            Instruction::DepositQueryAll => "depositQueryAll",
            Instruction::DepositAddressQuery => "depositAddressQuery",
            Instruction::WithdrawalQueryAll => "withdrawalQueryAll",
            Instruction::Withdraw => "withdraw",
            Instruction::MaxOrderQuantity => "maxOrderQuantity",
            Instruction::MaxWithdrawalQuantity => "maxWithdrawalQuantity",
            Instruction::CollateralQuery => "collateralQuery",
            Instruction::Subscribe => "subscribe",
        }
    }
}

/// The 32 bytes of an API key.
pub type PublicKey = [u8; 32];

/// The four texts that sign, as they were sent.
#[derive(Clone, Copy, Debug)]
pub struct SigningTexts<'a> {
    pub key: &'a str,
    pub signature: &'a str,
    pub timestamp: &'a str,
    pub window: &'a str,
}

/// What signs a request, read and within its window.
#[derive(Debug)]
pub struct Credentials<'a> {
    pub key: PublicKey,
    signature: Signature,
    /// As sent, because that is what was signed.
    timestamp: &'a str,
    window: &'a str,
}

impl<'a> Credentials<'a> {
    /// Whether a request means to be signed at all.
    pub fn are_sent(headers: &HeaderMap) -> bool {
        headers.contains_key("X-API-Key") || headers.contains_key("X-Signature")
    }

    pub fn read(headers: &'a HeaderMap, now_ms: u64) -> Result<Self, ApiError> {
        let texts = SigningTexts {
            key: required(headers, "X-API-Key")?,
            signature: required(headers, "X-Signature")?,
            timestamp: required(headers, "X-Timestamp")?,
            window: optional(headers, "X-Window")?.unwrap_or(WINDOW_MS_DEFAULT),
        };
        Credentials::of(texts, now_ms)
    }

    /// The same, wherever the texts come from. Errors name the headers that they stand in.
    pub fn of(texts: SigningTexts<'a>, now_ms: u64) -> Result<Self, ApiError> {
        let SigningTexts { key, signature, timestamp, window } = texts;
        let key = decode_key(key).ok_or_else(|| unauthorized("X-API-Key: not a key"))?;
        let signature = decode_base64(signature)
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .ok_or_else(|| unauthorized("X-Signature: not a signature"))?;
        check_window(timestamp, window, now_ms)?;
        Ok(Credentials { key, signature, timestamp, window })
    }

    /// Checks the signature over `parameters`: one set, or one an order of a batch.
    pub fn verify(
        &self,
        key: &VerifyingKey,
        instruction: Instruction,
        parameters: &[Parameters<'_>],
    ) -> Result<(), ApiError> {
        let raw = self.signed_string(instruction, parameters, Encoding::Raw);
        if key.verify_strict(raw.as_bytes(), &self.signature).is_ok() {
            return Ok(());
        }
        // One client signs its values percent-encoded; it differs for few of them.
        let encoded = self.signed_string(instruction, parameters, Encoding::Percent);
        if encoded != raw && key.verify_strict(encoded.as_bytes(), &self.signature).is_ok() {
            return Ok(());
        }
        Err(ApiError::new(Code::InvalidSignature, "Invalid signature"))
    }

    fn signed_string(
        &self,
        instruction: Instruction,
        parameters: &[Parameters<'_>],
        encoding: Encoding,
    ) -> String {
        let mut out = String::new();
        for set in parameters {
            push_pairs(&mut out, instruction, set, encoding);
        }
        // Writing to a String cannot fail.
        write!(out, "timestamp={}&window={}", self.timestamp, self.window).unwrap_or_default();
        out
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Raw,
    Percent,
}

fn push_pairs(
    out: &mut String,
    instruction: Instruction,
    parameters: &Parameters<'_>,
    encoding: Encoding,
) {
    let mut pairs: Vec<(&str, &str)> = parameters
        .pairs()
        .filter_map(|(name, value)| value.signed_text().map(|text| (name, text)))
        .collect();
    // Stable, so that a repeated name keeps the order sent.
    pairs.sort_by_key(|(name, _)| *name);
    out.push_str("instruction=");
    out.push_str(instruction.name());
    out.push('&');
    for (name, text) in pairs {
        out.push_str(name);
        out.push('=');
        match encoding {
            Encoding::Raw => out.push_str(text),
            Encoding::Percent => out.extend(utf8_percent_encode(text, &ENCODED)),
        }
        out.push('&');
    }
}

fn check_window(timestamp: &str, window: &str, now_ms: u64) -> Result<(), ApiError> {
    let timestamp = digits(timestamp)
        .ok_or_else(|| ApiError::field("X-Timestamp", "must be epoch milliseconds"))?;
    let window = digits(window)
        .filter(|window| (1..=WINDOW_MS_MAX).contains(window))
        .ok_or_else(|| ApiError::field("X-Window", "must be 1 to 60000 milliseconds"))?;
    if timestamp.saturating_add(window) < now_ms {
        return Err(ApiError::invalid("Request has expired"));
    }
    if now_ms.saturating_add(AHEAD_MS_MAX) < timestamp {
        return Err(ApiError::field("X-Timestamp", "is too far in the future"));
    }
    Ok(())
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn unauthorized(message: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::new(Code::Unauthorized, message)
}

/// For a key nobody registered, or one that was disabled.
pub fn unknown_key() -> ApiError {
    unauthorized("Unknown API key")
}

fn optional<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ApiError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| unauthorized(format!("{name}: is not text")))?;
    Ok(Some(text.trim()))
}

fn required<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, ApiError> {
    optional(headers, name)?
        .filter(|text| !text.is_empty())
        .ok_or_else(|| unauthorized(format!("{name}: is required")))
}

/// Standard or URL-safe alphabet, with or without padding.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let lenient =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard = text.replace('-', "+").replace('_', "/");
    GeneralPurpose::new(&STANDARD, lenient).decode(standard).ok()
}

pub fn decode_key(text: &str) -> Option<PublicKey> {
    decode_base64(text)?.try_into().ok()
}

/// The key as curve point; weak ones, under which anything verifies, are refused.
pub fn verifying_key(public_key: &PublicKey) -> Result<VerifyingKey, ApiError> {
    VerifyingKey::from_bytes(public_key)
        .ok()
        .filter(|key| !key.is_weak())
        .ok_or_else(|| ApiError::field("publicKey", "is no ED25519 public key"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
    use ed25519_dalek::{Signer, SigningKey};

    const TIME: u64 = 1_767_225_600_000;
    const KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

    fn secret() -> SigningKey {
        SigningKey::from_bytes(&std::array::from_fn(|at| at as u8))
    }

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, text) in [
            ("x-api-key", KEY),
            ("x-signature", signature),
            ("x-timestamp", "1767225600000"),
            ("x-window", "5000"),
        ] {
            headers.insert(name, HeaderValue::from_str(text).unwrap());
        }
        headers
    }

    fn verify(
        signature: &str,
        instruction: Instruction,
        parameters: &[Parameters<'_>],
    ) -> Result<(), ApiError> {
        let headers = headers(signature);
        let credentials = Credentials::read(&headers, TIME)?;
        credentials.verify(&secret().verifying_key(), instruction, parameters)
    }

    fn sign(text: &str) -> String {
        BASE64.encode(secret().sign(text.as_bytes()).to_bytes())
    }

    /// The contract's signatures, each after what it covers.
    fn vectors() -> Vec<&'static str> {
        let lines: Vec<_> = include_str!("../golden/signing.txt").lines().collect();
        assert_eq!(lines.len(), 8);
        lines
    }

    #[test]
    fn the_contract_s_vectors_verify() {
        let lines = vectors();
        let parsed = |line: usize| [Parameters::from_body(lines[line].as_bytes()).unwrap()];
        let (query, order, cancel) = (parsed(0), parsed(2), parsed(6));
        let batch = Parameters::rows_from_body(lines[4].as_bytes(), 20).unwrap();
        verify(lines[1], Instruction::BalanceQuery, &query).unwrap();
        verify(lines[3], Instruction::OrderExecute, &order).unwrap();
        verify(lines[5], Instruction::OrderExecute, &batch).unwrap();
        verify(lines[7], Instruction::OrderCancel, &cancel).unwrap();

        let other = verify(lines[7], Instruction::OrderQuery, &cancel).unwrap_err();
        assert_eq!((other.code, other.status.as_u16()), (Code::InvalidSignature, 401));
        assert!(verify(lines[3], Instruction::OrderExecute, &query).is_err());
        assert!(verify(lines[5], Instruction::OrderExecute, &batch[..1]).is_err());
    }

    #[test]
    fn values_signed_percent_encoded_verify_too() {
        let query = [Parameters::from_query("symbol=SOL_USDC&note=a%20b%3Ac%2Fd").unwrap()];
        let tail = "timestamp=1767225600000&window=5000";
        for note in ["a b:c/d", "a%20b%3Ac%2Fd"] {
            let text = format!("instruction=orderQuery&note={note}&symbol=SOL_USDC&{tail}");
            verify(&sign(&text), Instruction::OrderQuery, &query).unwrap();
        }
    }

    #[test]
    fn flags_are_signed_in_lower_case_and_null_is_left_out() {
        let tail = "timestamp=1767225600000&window=5000";
        let query = [Parameters::from_query("a=True&b=2&b=1").unwrap()];
        let text = format!("instruction=orderQuery&a=true&b=2&b=1&{tail}");
        verify(&sign(&text), Instruction::OrderQuery, &query).unwrap();
        let body = r#"{"x":null,"z":1.50,"B":"é"}"#;
        let members = [Parameters::from_body(body.as_bytes()).unwrap()];
        let text = format!("instruction=orderCancel&B=é&z=1.50&{tail}");
        verify(&sign(&text), Instruction::OrderCancel, &members).unwrap();
    }

    #[test]
    fn the_window_is_in_the_string_when_its_header_is_not() {
        let signature = sign("instruction=balanceQuery&timestamp=1767225600000&window=5000");
        let mut headers = headers(&signature);
        headers.remove("x-window");
        let credentials = Credentials::read(&headers, TIME).unwrap();
        let key = secret().verifying_key();
        let none = [Parameters::default()];
        credentials.verify(&key, Instruction::BalanceQuery, &none).unwrap();
    }

    #[test]
    fn a_subscription_is_signed_without_parameters() {
        let signature = sign("instruction=subscribe&timestamp=1767225600000&window=5000");
        let (timestamp, window) = ("1767225600000", "5000");
        let texts = SigningTexts { key: KEY, signature: &signature, timestamp, window };
        let credentials = Credentials::of(texts, TIME).unwrap();
        let (key, none) = (secret().verifying_key(), [Parameters::default()]);
        credentials.verify(&key, Instruction::Subscribe, &none).unwrap();
        assert!(credentials.verify(&key, Instruction::OrderQueryAll, &none).is_err());
        for (timestamp, window) in [("", "5000"), (timestamp, ""), (" 1767225600000", "5000")] {
            assert!(Credentials::of(SigningTexts { timestamp, window, ..texts }, TIME).is_err());
        }
    }

    #[test]
    fn keys_and_signatures_come_in_any_base64() {
        let bytes = decode_base64(KEY).unwrap();
        assert_eq!(bytes, secret().verifying_key().to_bytes());
        assert_eq!(decode_key(&URL_SAFE_NO_PAD.encode(&bytes)), decode_key(KEY));
        assert_eq!(decode_key("AAAA"), None);
        assert_eq!(decode_key("not base64!"), None);
    }

    #[test]
    fn a_request_lives_only_in_its_window() {
        let check = |now_ms: u64| check_window("1767225600000", "5000", now_ms);
        assert!(check(TIME).is_ok() && check(TIME + 5000).is_ok() && check(TIME - 5000).is_ok());
        assert_eq!(check(TIME + 5001).unwrap_err().message, "Request has expired");
        assert!(check(TIME - 5001).is_err());
        for (timestamp, window) in [
            ("1767225600000", "0"),
            ("1767225600000", "60001"),
            ("1767225600000", "+5"),
            ("1767225600000", "abc"),
            ("-1", "5000"),
            ("1767225600000.0", "5000"),
            ("99999999999999999999999999", "5000"),
        ] {
            let error = check_window(timestamp, window, TIME).unwrap_err();
            assert_eq!(error.code, Code::InvalidClientRequest, "{timestamp} {window}");
        }
        assert!(check_window("18446744073709551615", "60000", TIME).is_err());
    }

    #[test]
    fn a_missing_or_unreadable_header_is_named() {
        for name in ["x-api-key", "x-signature", "x-timestamp"] {
            let mut headers = headers(&sign(""));
            headers.remove(name);
            let error = Credentials::read(&headers, TIME).unwrap_err();
            assert_eq!((error.code, error.status.as_u16()), (Code::Unauthorized, 401));
            assert!(error.message.to_lowercase().starts_with(name), "{}", error.message);
        }
        let mut headers = headers("AAAA");
        assert_eq!(Credentials::read(&headers, TIME).unwrap_err().code, Code::Unauthorized);
        headers.insert("x-api-key", HeaderValue::from_bytes(&[0xff, 0xfe]).unwrap());
        assert_eq!(Credentials::read(&headers, TIME).unwrap_err().code, Code::Unauthorized);
    }
}
