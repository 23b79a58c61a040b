//! What a client asks: SUBSCRIBE and UNSUBSCRIBE, checked as a whole before anything takes effect.
//!
//! Whether a signature holds is not known here ([`crate::access`]).

use std::borrow::Cow;

use protocol::Catalog;
use protocol::access::Credentials;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::stream_name::{self, NameError, Parsed, Private, StreamName};

/// Only what can be heard or done; names nothing will ever come of are accepted and left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    Subscribe(Subscribe),
    Unsubscribe { public: Vec<StreamName>, private: Vec<Private> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscribe {
    pub public: Vec<StreamName>,
    /// Not empty: the client has to prove who it is.
    pub private: Vec<Private>,
    pub signature: Option<Credentials>,
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
    /// Looked at only where one is needed.
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
}

/// Key, signature, timestamp, window.
#[derive(Deserialize)]
struct Signature(String, String, Milliseconds, Milliseconds);

#[derive(Deserialize)]
#[serde(untagged)]
enum Milliseconds {
    Text(String),
    Number(u64),
}

impl Milliseconds {
    fn into_text(self) -> String {
        match self {
            Milliseconds::Text(text) => text,
            Milliseconds::Number(number) => number.to_string(),
        }
    }
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
    let (mut public, mut private) = (Vec::with_capacity(raw.params.len()), Vec::new());
    for name in &raw.params {
        match stream_name::parse(name, catalog)? {
            Parsed::Public { topic, form } => public.push(StreamName::Public { topic, form }),
            Parsed::Private(name) => private.push(name),
            Parsed::Silent => (),
        }
    }
    match raw.method {
        Method::Unsubscribe => Ok(Request::Unsubscribe { public, private }),
        Method::Subscribe => {
            let sent = raw.signature.filter(|_| !private.is_empty());
            let signature = sent.map(credentials).transpose()?;
            Ok(Request::Subscribe(Subscribe { public, private, signature }))
        }
    }
}

fn credentials(sent: &RawValue) -> Result<Credentials, RequestError> {
    let Signature(key, signature, timestamp, window) =
        serde_json::from_str(sent.get()).map_err(|_| RequestError::Signature)?;
    let (timestamp, window) = (timestamp.into_text(), window.into_text());
    Ok(Credentials::Signature { key, signature, timestamp, window })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_name::{Form, Kind, PrivateName};
    use protocol::fixture::catalog;

    fn ask(text: &str) -> Result<Request, RequestError> {
        parse(text, &catalog())
    }

    #[test]
    fn both_forms_are_subscribed_and_unknown_members_ignored() {
        let text = r#" {"id":7,"method":"SUBSCRIBE","params":["trade.SOL_USDC","depth@SOL_USDC",
            "trade.NOPE_NOPE","markPrice.SOL_USDC_PERP"],"signature":5}"#;
        let Ok(Request::Subscribe(asked)) = ask(text) else { panic!("refused") };
        let heard = asked.public.iter().map(|stream| match stream {
            StreamName::Public { topic, form } => (topic.kind, *form),
            StreamName::Private { .. } => panic!("{stream:?}"),
        });
        assert_eq!((asked.private.len(), asked.signature), (0, None));
        assert_eq!(
            heard.collect::<Vec<_>>(),
            [(Kind::Trade, Form::Dotted), (Kind::Depth, Form::At)]
        );
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
        assert_eq!(refused("account.nonsense"), Err(RequestError::Stream));
    }

    #[test]
    fn a_signature_is_read_where_one_is_needed() {
        let asked = |signature: &str, names: &str| {
            ask(&format!(r#"{{"method":"SUBSCRIBE","params":[{names}],"signature":{signature}}}"#))
        };
        let names = r#""account.orderUpdate","trade.SOL_USDC""#;
        let credentials = Some(Credentials::Signature {
            key: "k".to_owned(),
            signature: "s".to_owned(),
            timestamp: "17".to_owned(),
            window: "5000".to_owned(),
        });
        for sent in [r#"["k","s","17","5000"]"#, r#"["k","s",17,5000]"#] {
            let Ok(Request::Subscribe(found)) = asked(sent, names) else { panic!("{sent}") };
            assert_eq!(found.signature, credentials);
            assert_eq!(found.private, [Private::Stream(PrivateName::Orders(None))]);
            assert_eq!(found.public.len(), 1);
        }
        for wrong in ["5", "[]", r#"["k","s","17"]"#, r#"["k","s",17,5000,1]"#, r#"["k",1,1,1]"#] {
            assert_eq!(asked(wrong, names), Err(RequestError::Signature), "{wrong}");
            assert!(asked(wrong, r#""trade.SOL_USDC""#).is_ok(), "{wrong}");
        }
        let Ok(Request::Subscribe(unsigned)) = asked("null", names) else { panic!("refused") };
        assert_eq!(unsigned.signature, None);
    }

    #[test]
    fn unsubscribing_a_private_stream_needs_no_signature() {
        let text = r#"{"method":"UNSUBSCRIBE","params":["account.orderUpdate.SOL_USDC"]}"#;
        let name = PrivateName::Orders(Some(protocol::MarketId(1)));
        let expected =
            Request::Unsubscribe { public: Vec::new(), private: vec![Private::Stream(name)] };
        assert_eq!(ask(text), Ok(expected));
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
