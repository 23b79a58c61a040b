//! What a client asks: SUBSCRIBE and UNSUBSCRIBE, checked as a whole before anything takes effect.
//!
//! Private streams need a key registry that this process does not have, so no signature is valid.

use std::borrow::Cow;

use protocol::Catalog;
use serde::Deserialize;

use crate::stream_name::{self, NameError, Parsed, StreamName};

/// Only what can be heard; names nothing will ever come of are accepted and left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    Subscribe(Vec<StreamName>),
    Unsubscribe(Vec<StreamName>),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RequestError {
    Parse,
    Signature,
    Stream,
    DepthWindow,
}

impl RequestError {
    /// The frame that tells the client.
    pub const fn frame(self) -> &'static str {
        match self {
            RequestError::Parse => r#"{"id":null,"error":{"code":4002,"message":"Parse error"}}"#,
            RequestError::Signature => {
                r#"{"id":null,"error":{"code":4003,"message":"Invalid signature"}}"#
            }
            RequestError::Stream => {
                r#"{"id":null,"error":{"code":4006,"message":"Invalid stream"}}"#
            }
            RequestError::DepthWindow => {
                r#"{"id":null,"error":{"code":4008,"message":"Invalid depth window"}}"#
            }
        }
    }
}

impl From<NameError> for RequestError {
    fn from(error: NameError) -> Self {
        match error {
            NameError::UnknownKind => RequestError::Stream,
            NameError::UnknownWindow => RequestError::DepthWindow,
        }
    }
}

/// Members other than these are ignored.
#[derive(Deserialize)]
struct Raw<'a> {
    method: Method,
    #[serde(borrow)]
    params: Vec<Cow<'a, str>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum Method {
    #[serde(rename = "SUBSCRIBE")]
    Subscribe,
    #[serde(rename = "UNSUBSCRIBE")]
    Unsubscribe,
}

pub fn parse(text: &str, catalog: &Catalog) -> Result<Request, RequestError> {
    // An array would pass for an object with its members in order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(RequestError::Parse);
    }
    let raw: Raw<'_> = serde_json::from_str(text).map_err(|_| RequestError::Parse)?;
    let mut streams = Vec::with_capacity(raw.params.len());
    for name in &raw.params {
        match stream_name::parse(name, catalog)? {
            Parsed::Public(stream) => streams.push(stream),
            Parsed::Private if raw.method == Method::Subscribe => {
                return Err(RequestError::Signature);
            }
            Parsed::Private | Parsed::Silent => (),
        }
    }
    Ok(match raw.method {
        Method::Subscribe => Request::Subscribe(streams),
        Method::Unsubscribe => Request::Unsubscribe(streams),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_name::{Form, Kind};
    use protocol::fixture::catalog;

    fn ask(text: &str) -> Result<Request, RequestError> {
        parse(text, &catalog())
    }

    #[test]
    fn both_forms_are_subscribed_and_unknown_members_ignored() {
        let text = r#" {"id":7,"method":"SUBSCRIBE","params":["trade.SOL_USDC","depth@SOL_USDC",
            "trade.NOPE_NOPE","markPrice.SOL_USDC_PERP"],"signature":5}"#;
        let Ok(Request::Subscribe(streams)) = ask(text) else { panic!("refused") };
        let heard: Vec<_> = streams.iter().map(|it| (it.topic.kind, it.form)).collect();
        assert_eq!(heard, [(Kind::Trade, Form::Dotted), (Kind::Depth, Form::At)]);
    }

    #[test]
    fn what_is_no_request_is_a_parse_error() {
        let wrong = [
            "",
            "{",
            "null",
            "[]",
            r#"["SUBSCRIBE",["trade.SOL_USDC"]]"#,
            r#"{"method":"SUBSCRIBE"}"#,
            r#"{"params":["trade.SOL_USDC"]}"#,
            r#"{"method":"PING","params":[]}"#,
            r#"{"method":"SUBSCRIBE","params":"trade.SOL_USDC"}"#,
            r#"{"method":"SUBSCRIBE","params":[1]}"#,
            r#"{"method":"SUBSCRIBE","params":["trade.SOL_USDC"]} x"#,
        ];
        for text in wrong {
            assert_eq!(ask(text), Err(RequestError::Parse), "{text}");
        }
        let deep = format!("{{\"x\":{}", "[".repeat(100_000));
        assert_eq!(ask(&deep), Err(RequestError::Parse));
    }

    #[test]
    fn one_bad_name_refuses_the_whole_request() {
        let refused = |name: &str| {
            ask(&format!(r#"{{"method":"SUBSCRIBE","params":["trade.SOL_USDC","{name}"]}}"#))
        };
        assert_eq!(refused("nonsense.SOL_USDC"), Err(RequestError::Stream));
        assert_eq!(refused("depth.100ms.SOL_USDC"), Err(RequestError::DepthWindow));
        assert_eq!(refused("account.orderUpdate"), Err(RequestError::Signature));
    }

    #[test]
    fn unsubscribing_a_private_stream_needs_no_signature() {
        let text = r#"{"method":"UNSUBSCRIBE","params":["account.orderUpdate.SOL_USDC"]}"#;
        assert_eq!(ask(text), Ok(Request::Unsubscribe(Vec::new())));
    }

    #[test]
    fn error_frames_are_json_with_the_contracts_codes() {
        let codes = [
            (RequestError::Parse, 4002),
            (RequestError::Signature, 4003),
            (RequestError::Stream, 4006),
            (RequestError::DepthWindow, 4008),
        ];
        for (error, code) in codes {
            let frame: serde_json::Value = serde_json::from_str(error.frame()).unwrap();
            assert_eq!(frame["error"]["code"], code);
            assert!(frame["id"].is_null());
        }
    }
}
