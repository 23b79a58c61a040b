//! Requests as bytes, signed ahead: what a client costs stands outside of what is measured.

use std::fmt::Write;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use xtask::client::now_ms;

use super::exchange::Signer;
use crate::error::BenchError;

/// The market of all orders.
pub const SYMBOL: &str = "SOL_USDC";
/// Milliseconds that a signature holds, at most: longer than a step takes.
const WINDOW_MS: u64 = 60_000;
/// Where the wall stands and takers bid, in cents.
const WALL_CENTS: u64 = 15_000;
/// Where the orders of a step rest: below the wall, on so many prices.
const REST_CENTS: u64 = 10_000;
const REST_PRICES: u64 = 1_000;
/// Where those rest that are there all the time: below all others.
const BACKGROUND_CENTS: u64 = 1_000;
const BACKGROUND_PRICES: u64 = 8_000;
/// No two neighbours on one price.
const STRIDE: u64 = 7_919;
const BATCH: u64 = 20;

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A limit order that stays in the book.
    Rest,
    /// A limit order that trades at once, with one other order.
    Cross,
    /// Takes one order out of the book, by its client id.
    Cancel,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Rest => "rest",
            Kind::Cross => "cross",
            Kind::Cancel => "cancel",
        }
    }

    pub fn method(self) -> &'static str {
        match self {
            Kind::Rest | Kind::Cross => "POST",
            Kind::Cancel => "DELETE",
        }
    }

    /// What an answer has to say.
    fn wanted(self) -> &'static str {
        match self {
            Kind::Rest => "\"status\":\"New\"",
            Kind::Cross => "\"status\":\"Filled\"",
            Kind::Cancel => "\"status\":\"Cancelled\"",
        }
    }

    /// Names and values, by name, as they are signed.
    fn members(self, number: u64) -> Vec<(&'static str, String)> {
        let client_id = ("clientId", number.to_string());
        match self {
            Kind::Rest => order(client_id, "GTC", REST_CENTS + number * STRIDE % REST_PRICES),
            Kind::Cross => order(client_id, "IOC", WALL_CENTS),
            Kind::Cancel => vec![client_id, ("symbol", SYMBOL.to_owned())],
        }
    }
}

type Members = Vec<(&'static str, String)>;

fn order(client_id: (&'static str, String), time_in_force: &str, price_cents: u64) -> Members {
    vec![
        client_id,
        ("orderType", "Limit".to_owned()),
        ("price", decimal(price_cents)),
        ("quantity", "0.01".to_owned()),
        ("side", "Bid".to_owned()),
        ("symbol", SYMBOL.to_owned()),
        ("timeInForce", time_in_force.to_owned()),
    ]
}

/// One offer that outlasts all takers.
pub fn wall(quantity: &str) -> Members {
    vec![
        ("orderType", "Limit".to_owned()),
        ("price", decimal(WALL_CENTS)),
        ("quantity", quantity.to_owned()),
        ("side", "Ask".to_owned()),
        ("symbol", SYMBOL.to_owned()),
    ]
}

fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// In the order in which they are to be sent.
#[derive(Debug)]
pub struct Requests {
    bytes: Vec<Box<[u8]>>,
    wanted: &'static str,
}

impl Requests {
    /// Numbers 0 to `count`, by each account in turn. The same numbers name the same orders.
    pub fn sign(accounts: &[Signer], kind: Kind, count: u64) -> Result<Requests, BenchError> {
        let one = |number: u64| {
            let signer = turn(accounts, number)?;
            Ok(request(signer, kind, &kind.members(number)))
        };
        let bytes = (0..count).map(one).collect::<Result<_, BenchError>>()?;
        Ok(Requests { bytes, wanted: kind.wanted() })
    }

    pub fn of_one(signer: &Signer, kind: Kind, members: &Members) -> Requests {
        Requests { bytes: vec![request(signer, kind, members)], wanted: kind.wanted() }
    }

    /// Questions, each made by [`question`]; any answer is wanted that is none of an error.
    pub fn of_questions(bytes: Vec<Box<[u8]>>) -> Requests {
        Requests { bytes, wanted: "[" }
    }

    /// Batches of orders that are to stay, each keeper's next to each other.
    pub fn background(keepers: &[Signer], numbers: Range<u64>) -> Result<Requests, BenchError> {
        let mut bytes = Vec::new();
        let mut from = numbers.start;
        while from < numbers.end {
            let to = numbers.end.min(from + BATCH);
            let keeper = turn(keepers, from / BATCH)?;
            let rows: Vec<Members> = (from..to).map(background_order).collect();
            bytes.push(batch(keeper, &rows));
            from = to;
        }
        Ok(Requests { bytes, wanted: Kind::Rest.wanted() })
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn get(&self, number: usize) -> Option<&[u8]> {
        self.bytes.get(number).map(|bytes| &bytes[..])
    }

    /// Whether an answer is the one that was to come.
    pub fn is_wanted(&self, status: u16, body: &[u8]) -> bool {
        let wanted = self.wanted.as_bytes();
        status == 200 && body.windows(wanted.len()).any(|part| part == wanted)
    }
}

fn background_order(number: u64) -> Members {
    let price = BACKGROUND_CENTS + number * STRIDE % BACKGROUND_PRICES;
    let mut members = order(("clientId", number.to_string()), "GTC", price);
    members.retain(|(name, _)| *name != "timeInForce");
    members
}

fn turn(signers: &[Signer], number: u64) -> Result<&Signer, BenchError> {
    let at = number.checked_rem(signers.len() as u64).unwrap_or_default();
    signers.get(at as usize).ok_or(BenchError::NoRuns)
}

/// The seed of a secret in base64.
pub fn signing_key(secret: &str) -> Result<SigningKey, BenchError> {
    let seed = BASE64.decode(secret).ok().and_then(|seed| <[u8; 32]>::try_from(seed).ok());
    Ok(SigningKey::from_bytes(&seed.ok_or(BenchError::Key)?))
}

fn request(signer: &Signer, kind: Kind, members: &Members) -> Box<[u8]> {
    let (path, instruction) =
        ("/api/v1/order", if kind == Kind::Cancel { "orderCancel" } else { "orderExecute" });
    signed((kind.method(), path), signer, &piece(instruction, members), &json(members))
}

fn batch(signer: &Signer, rows: &[Members]) -> Box<[u8]> {
    let pieces: Vec<String> = rows.iter().map(|row| piece("orderExecute", row)).collect();
    let bodies: Vec<String> = rows.iter().map(json).collect();
    let body = format!("[{}]", bodies.join(","));
    signed(("POST", "/api/v1/orders"), signer, &pieces.concat(), &body)
}

fn piece(instruction: &str, members: &[(&'static str, String)]) -> String {
    let mut text = format!("instruction={instruction}&");
    for (name, value) in members {
        // Writing to a String cannot fail.
        write!(text, "{name}={value}&").unwrap_or_default();
    }
    text
}

fn json(members: &Members) -> String {
    let one = |(name, value): &(&str, String)| match *name {
        "clientId" => format!("\"{name}\":{value}"),
        _ => format!("\"{name}\":\"{value}\""),
    };
    format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(","))
}

/// A GET, signed if somebody's instruction is given. `members` are by name, and have no character
/// that a query escapes.
pub fn question(
    path: &str,
    instruction: Option<(&str, &Signer)>,
    members: &[(&'static str, String)],
) -> Box<[u8]> {
    let pairs: Vec<String> =
        members.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let target =
        if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) };
    match instruction {
        Some((instruction, signer)) => {
            signed(("GET", &target), signer, &piece(instruction, members), "")
        }
        None => {
            format!("GET {target} HTTP/1.1\r\nHost: bench\r\n\r\n").into_bytes().into_boxed_slice()
        }
    }
}

fn signed((method, path): (&str, &str), signer: &Signer, pieces: &str, body: &str) -> Box<[u8]> {
    let timestamp = now_ms();
    let text = format!("{pieces}timestamp={timestamp}&window={WINDOW_MS}");
    let signature = BASE64.encode(signer.key.sign(text.as_bytes()).to_bytes());
    let (key, length) = (&signer.api_key, body.len());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         X-API-Key: {key}\r\nX-Signature: {signature}\r\nX-Timestamp: {timestamp}\r\n\
         X-Window: {WINDOW_MS}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    request.into_bytes().into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::Signature;

    fn signer() -> Signer {
        let key = SigningKey::from_bytes(&[7; 32]);
        Signer { api_key: BASE64.encode(key.verifying_key().as_bytes()), key }
    }

    #[test]
    fn what_is_signed_is_what_is_sent_in_the_order_of_names() {
        for kind in [Kind::Rest, Kind::Cross, Kind::Cancel] {
            let members = kind.members(17);
            assert!(members.is_sorted_by_key(|(name, _)| *name), "{members:?}");
            let signer = signer();
            let bytes = request(&signer, kind, &members);
            let text = String::from_utf8(bytes.into_vec()).unwrap();
            let header = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap().trim().to_owned()
            };
            let instruction = if kind == Kind::Cancel { "orderCancel" } else { "orderExecute" };
            let timestamp = header("X-Timestamp:");
            let signed =
                format!("{}timestamp={timestamp}&window=60000", piece(instruction, &members));
            let signature = BASE64.decode(header("X-Signature:")).unwrap();
            let signature = Signature::from_slice(&signature).unwrap();
            signer.key.verifying_key().verify_strict(signed.as_bytes(), &signature).unwrap();
            let body = text.split_once("\r\n\r\n").unwrap().1;
            assert_eq!(header("Content-Length:"), body.len().to_string());
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["clientId"], 17);
            assert_eq!(body.as_object().unwrap().len(), members.len());
        }
    }

    #[test]
    fn an_answer_counts_only_with_the_status_that_was_wanted() {
        let requests = Requests::sign(&[signer()], Kind::Cross, 2).unwrap();
        assert_eq!(requests.len(), 2);
        assert!(requests.is_wanted(200, b"{\"status\":\"Filled\"}"));
        assert!(!requests.is_wanted(200, b"{\"status\":\"Expired\"}"));
        assert!(!requests.is_wanted(503, b"{\"status\":\"Filled\"}"));
    }

    #[test]
    fn a_batch_holds_twenty_and_the_rest_its_own() {
        let requests = Requests::background(&[signer()], 5..50).unwrap();
        let rows = |number: usize| {
            let text = String::from_utf8(requests.get(number).unwrap().to_vec()).unwrap();
            let body = text.split_once("\r\n\r\n").unwrap().1.to_owned();
            serde_json::from_str::<serde_json::Value>(&body).unwrap().as_array().unwrap().len()
        };
        assert_eq!((rows(0), rows(1), rows(2)), (20, 20, 5));
    }
}
