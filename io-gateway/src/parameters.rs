//! What a request asks for: the pairs of its query, or the members of its JSON body.
//!
//! Values keep the text they were sent as, because that text is what was signed: a number is its
//! token, never reparsed. A member named twice is refused, since two readers of such a body could
//! see two different orders.

use std::borrow::Cow;
use std::fmt;

use protocol::decimal::{self, DecimalError};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::ApiError;

/// More members than any request of the contract has.
pub const MEMBERS_MAX: usize = 64;
/// JSON knows no other blanks; a form feed, for one, is none.
const JSON_BLANKS: &[u8] = b" \t\r\n";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    /// The token as written.
    Number(&'a str),
    Flag(bool),
    Null,
    /// An array or object, as written.
    Nested(&'a str),
}

impl Value<'_> {
    /// How it stands in the signed string; `None` leaves the pair out.
    pub fn signed_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Number(token) | Value::Nested(token) => Some(token),
            Value::Flag(true) => Some("true"),
            Value::Flag(false) => Some("false"),
            Value::Null => None,
        }
    }
}

/// In the order sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters<'a> {
    pairs: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Parameters<'a> {
    /// Of a GET. A flag is read without regard to case: two clients write `True` and sign `true`.
    pub fn from_query(query: &'a str) -> Result<Self, ApiError> {
        let mut pairs = Vec::new();
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            if pairs.len() == MEMBERS_MAX {
                return Err(ApiError::invalid("query: too many parameters"));
            }
            let value = match &*text {
                flag if flag.eq_ignore_ascii_case("true") => Value::Flag(true),
                flag if flag.eq_ignore_ascii_case("false") => Value::Flag(false),
                _ => Value::Text(text),
            };
            pairs.push((name, value));
        }
        Ok(Parameters { pairs })
    }

    /// Of a body that is one JSON object; an empty body has no members.
    pub fn from_body(body: &'a [u8]) -> Result<Self, ApiError> {
        if body.iter().all(|byte| JSON_BLANKS.contains(byte)) {
            return Ok(Parameters::default());
        }
        Self::from_json(body).map_err(|error| ApiError::field("body", error))
    }

    /// Of a body that is an array of at most `rows_max` objects.
    pub fn rows_from_body(body: &'a [u8], rows_max: usize) -> Result<Vec<Self>, ApiError> {
        let rows: Vec<&RawValue> =
            serde_json::from_slice(body).map_err(|error| ApiError::field("body", error))?;
        if rows.is_empty() || rows_max < rows.len() {
            return Err(ApiError::field("body", format_args!("must have 1 to {rows_max} orders")));
        }
        let row = |(at, row): (usize, &&'a RawValue)| {
            Self::from_json(row.get().as_bytes())
                .map_err(|error| ApiError::field(&format!("body[{at}]"), error))
        };
        rows.iter().enumerate().map(row).collect()
    }

    fn from_json(text: &'a [u8]) -> serde_json::Result<Self> {
        let Members(members) = serde_json::from_slice(text)?;
        let pairs = members.into_iter().map(|(name, raw)| Ok((name, value(raw)?)));
        Ok(Parameters { pairs: pairs.collect::<serde_json::Result<_>>()? })
    }

    /// Name and value of each pair, in the order sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.pairs.iter().map(|(name, value)| (&**name, value))
    }

    /// Every value sent under a name that may be repeated.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Value<'a>> {
        self.pairs().filter(move |(other, _)| *other == name).map(|(_, value)| value)
    }

    /// With other spellings of some names, each pair `(sent, meant)`, read as what they mean. After
    /// the signature has been checked: that covers the names as sent.
    pub fn with_aliases(mut self, aliases: &[(&str, &'static str)]) -> Self {
        for (name, _) in &mut self.pairs {
            if let Some((_, meant)) = aliases.iter().find(|(alias, _)| *alias == &**name) {
                *name = Cow::Borrowed(meant);
            }
        }
        self
    }

    /// The value under a name; null is as good as absent.
    pub fn get(&self, name: &str) -> Result<Option<&Value<'a>>, ApiError> {
        let mut values = self.all(name).filter(|value| **value != Value::Null);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(ApiError::field(name, "is given more than once")),
            (value, None) => Ok(value),
        }
    }

    pub fn text(&self, name: &str) -> Result<Option<&str>, ApiError> {
        match self.get(name)? {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::field(name, "must be a string")),
        }
    }

    pub fn required_text(&self, name: &str) -> Result<&str, ApiError> {
        self.text(name)?.ok_or_else(|| ApiError::missing(name))
    }

    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name)? {
            None => Ok(None),
            Some(Value::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(ApiError::field(name, "must be true or false")),
        }
    }

    /// Digits, as a number or as a string.
    pub fn unsigned(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let digits = match self.get(name)? {
            None => return Ok(None),
            Some(Value::Text(text)) => &**text,
            Some(Value::Number(token)) => token,
            Some(_) => return Err(ApiError::field(name, "must be a number")),
        };
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = if plain { digits.parse().ok() } else { None };
        number
            .map(Some)
            .ok_or_else(|| ApiError::field(name, "must be a whole number, not negative, in range"))
    }

    /// A decimal as a string or, for clients that send one, as a number in plain notation. The
    /// outer error is of the value's type, the inner one of the decimal itself.
    pub fn decimal(&self, name: &str) -> Result<Option<Result<Decimal, DecimalError>>, ApiError> {
        match self.get(name)? {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(decimal::parse(text))),
            Some(Value::Number(token)) => Ok(Some(decimal::parse(token))),
            Some(_) => Err(ApiError::field(name, "must be a decimal string")),
        }
    }

    /// One of the words of an enumeration, in their exact case.
    pub fn choice<T: Copy>(
        &self,
        name: &str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let refuse = || {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            ApiError::field(name, format_args!("must be one of {}", words.join(", ")))
        };
        match self.get(name)? {
            None => Ok(None),
            Some(Value::Text(text)) => {
                let found = choices.iter().find(|(word, _)| *word == &**text);
                found.map(|(_, choice)| Some(*choice)).ok_or_else(refuse)
            }
            Some(_) => Err(refuse()),
        }
    }
}

/// One JSON value by its first byte; serde_json has already checked that it is well formed.
fn value(raw: &RawValue) -> serde_json::Result<Value<'_>> {
    let token = raw.get();
    Ok(match token.as_bytes().first() {
        Some(b'"') => Value::Text(serde_json::from_str::<JsonText<'_>>(token)?.0),
        Some(b'{' | b'[') => Value::Nested(token),
        Some(b't') => Value::Flag(true),
        Some(b'f') => Value::Flag(false),
        Some(b'n') => Value::Null,
        _ => Value::Number(token),
    })
}

/// A JSON string that is borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct JsonText<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an object, each named once.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
        while let Some((JsonText(name), value)) = map.next_entry::<JsonText<'de>, _>()? {
            if members.len() == MEMBERS_MAX {
                return Err(A::Error::custom("too many members"));
            }
            if members.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom(format_args!("member {name:?} is given twice")));
            }
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(text: &str) -> Result<Parameters<'_>, ApiError> {
        Parameters::from_body(text.as_bytes())
    }

    #[test]
    fn a_number_keeps_its_token() {
        let members =
            body(r#"{"a": 1.50, "b": "x\"y", "c": true, "d": null, "e": [1, 2]}"#).unwrap();
        let texts: Vec<_> = members.pairs().map(|(name, it)| (name, it.signed_text())).collect();
        let expected = [
            ("a", Some("1.50")),
            ("b", Some("x\"y")),
            ("c", Some("true")),
            ("d", None),
            ("e", Some("[1, 2]")),
        ];
        assert_eq!(texts, expected);
        assert_eq!(members.get("d"), Ok(None));
        assert_eq!(members.decimal("a").unwrap().unwrap().unwrap().to_string(), "1.50");
    }

    #[test]
    fn a_body_that_is_no_object_is_refused_by_name() {
        let bomb = "[".repeat(60_000);
        for text in
            ["[]", "1", "{", "{\"a\":1,}", "\u{1}", "\u{c}", "nul", r#"{"a":"\ud800"}"#, &bomb]
        {
            let error = body(text).unwrap_err();
            assert_eq!(error.status.as_u16(), 400, "{text:.20}");
            assert!(error.message.starts_with("body: "), "{}", error.message);
        }
        assert!(body(" \t\r\n").unwrap().pairs().next().is_none());
    }

    #[test]
    fn a_member_named_twice_is_refused() {
        let error = body(r#"{"price":"1","\u0070rice":"2"}"#).unwrap_err();
        assert!(error.message.contains("\"price\" is given twice"), "{}", error.message);
        let query = Parameters::from_query("symbol=A&symbol=B").unwrap();
        assert!(query.text("symbol").is_err());
        assert_eq!(query.all("symbol").count(), 2);
    }

    #[test]
    fn a_query_is_decoded_and_its_flags_read_in_any_case() {
        let query = Parameters::from_query("a=x%20y&b=True&c=1%2B1&d=x+y&").unwrap();
        assert_eq!(query.text("a"), Ok(Some("x y")));
        assert_eq!(query.flag("b"), Ok(Some(true)));
        assert_eq!(query.text("c"), Ok(Some("1+1")));
        assert_eq!(query.text("d"), Ok(Some("x y")));
        assert!(Parameters::from_query("").unwrap().pairs().next().is_none());
    }

    #[test]
    fn whole_numbers_are_digits_only() {
        let members = body(r#"{"a":7,"b":"8","c":-1,"d":1.0,"e":"+1","f":1e3,"g":true}"#).unwrap();
        assert_eq!(members.unsigned("a"), Ok(Some(7)));
        assert_eq!(members.unsigned("b"), Ok(Some(8)));
        for name in ["c", "d", "e", "f", "g"] {
            assert!(members.unsigned(name).unwrap_err().message.starts_with(name));
        }
    }

    #[test]
    fn rows_are_counted() {
        assert_eq!(Parameters::rows_from_body(b"[{},{}]", 2).unwrap().len(), 2);
        for text in ["[]", "[{},{},{}]", "[1]", "{}"] {
            assert!(Parameters::rows_from_body(text.as_bytes(), 2).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(members) = Parameters::from_body(&bytes) {
                for (_, value) in members.pairs() {
                    value.signed_text();
                }
            }
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(Parameters::from_query(&text).is_ok());
        }
    }
}
