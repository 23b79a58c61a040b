//! What a stream client may ask and what it is answered, message by message.

use scenarios::browser::Browser;
use scenarios::client::{Trader, limit};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::socket::{Socket, signature, signed_request};
use scenarios::world::World;
use serde_json::{Value, json};
use tungstenite::{Bytes, Message};
use xtask::client::now_ms;
use xtask::signing::{KeyPair, WINDOW_MS};

pub const SCENARIOS: &[Scenario] = &[
    ("streams_errors::what_cannot_be_read_is_4002", what_cannot_be_read),
    ("streams_errors::what_is_no_stream_is_4006_and_no_window_4008", what_is_no_stream),
    ("streams_errors::what_clients_ask_for_besides_is_silence", silence),
    ("streams_errors::who_proves_nothing_hears_nothing", signatures),
    ("streams_errors::a_partly_bad_request_has_no_effect", partly_bad),
    ("streams_errors::a_session_stands_for_a_signature", sessions),
    ("streams_errors::a_ping_is_answered_as_it_came", pings),
];

const SYMBOL: &str = "ETH_USDC";
const ORDERS: &str = "account.orderUpdate";
const ARMED: &str = "account.cancelOnDisconnect";

const PARSE: (u64, &str) = (4002, "Parse error");
const SIGNATURE: (u64, &str) = (4003, "Invalid signature");
const STREAM: (u64, &str) = (4006, "Invalid stream");
const WINDOW: (u64, &str) = (4008, "Invalid depth window");

/// Sends it and checks that the answer is just this error frame, or that there is none.
fn answered(socket: &mut Socket, message: Message, wanted: Option<(u64, &str)>) {
    let before = socket.heard.len();
    let shown = format!("{message:?}");
    socket.send_message(message).unwrap();
    socket.fence();
    let wanted: Vec<Value> = wanted
        .map(|(code, message)| json!({"id": null, "error": {"code": code, "message": message}}))
        .into_iter()
        .collect();
    assert_eq!(socket.heard[before..], wanted, "{shown}");
}

fn asked(socket: &mut Socket, request: &Value, wanted: Option<(u64, &str)>) {
    answered(socket, Message::text(request.to_string()), wanted);
}

fn subscribe(streams: &[&str]) -> Value {
    json!({"method": "SUBSCRIBE", "params": streams})
}

fn what_cannot_be_read(world: &mut World) {
    let mut socket = world.socket();
    let texts = [
        "",
        "not json",
        "null",
        "7",
        "[]",
        "{}",
        "{\"method\":\"SUBSCRIBE\"",
        r#"["SUBSCRIBE", ["trade.ETH_USDC"]]"#,
        r#"{"method":"SUBSCRIBE"}"#,
        r#"{"params":["trade.ETH_USDC"]}"#,
        r#"{"method":"LIST","params":["trade.ETH_USDC"]}"#,
        r#"{"method":"subscribe","params":["trade.ETH_USDC"]}"#,
        r#"{"method":7,"params":["trade.ETH_USDC"]}"#,
        r#"{"method":"SUBSCRIBE","params":"trade.ETH_USDC"}"#,
        r#"{"method":"SUBSCRIBE","params":null}"#,
        r#"{"method":"SUBSCRIBE","params":[7]}"#,
        r#"{"method":"SUBSCRIBE","params":["trade.ETH_USDC",null]}"#,
        r#"{"method":"SUBSCRIBE","params":[["trade.ETH_USDC"]]}"#,
        r#"{"method":"UNSUBSCRIBE","params":{}}"#,
    ];
    for text in texts {
        answered(&mut socket, Message::text(text), Some(PARSE));
    }
    let request = subscribe(&["trade.ETH_USDC"]).to_string();
    answered(&mut socket, Message::binary(request.into_bytes()), Some(PARSE));
    let deep = format!("{{\"x\":{}", "[".repeat(20_000));
    answered(&mut socket, Message::text(deep), Some(PARSE));
}

fn what_is_no_stream(world: &mut World) {
    let mut socket = world.socket();
    let kinds = [
        "",
        "nothing",
        "nothing.ETH_USDC",
        "Trade.ETH_USDC",
        "trades.ETH_USDC",
        ".ETH_USDC",
        "account",
        "account.",
        "account.nothing",
        "account.fillUpdate",
        "externalTicker.ETH_USDC",
        "stockPrice.ETH_USDC",
        "stockIndicativeQuote.ETH_USDC",
    ];
    for name in kinds {
        asked(&mut socket, &subscribe(&[name]), Some(STREAM));
        let request = json!({"method": "UNSUBSCRIBE", "params": [name]});
        asked(&mut socket, &request, Some(STREAM));
    }
    for name in ["depth.100ms.ETH_USDC", "depth.0ms.ETH_USDC", "depth.1001ms@ETH_USDC"] {
        asked(&mut socket, &subscribe(&[name]), Some(WINDOW));
    }
}

/// No answer at all: on any error frame some clients give up everything they wait for.
fn silence(world: &mut World) {
    let trader = world.trader("quiet", &[("USDC", "1000")]);
    let mut socket = world.socket();
    let names = [
        "trade.NOPE_NOPE",
        "depth.NOPE_NOPE",
        "depth.200ms.NOPE_NOPE",
        "depth.5.ETH_USDC",
        "kline.1m.NOPE_NOPE",
        "kline.7m.ETH_USDC",
        "markPrice.ETH_USDC",
        "markPrice.SOL_USDC_PERP",
        "openInterest.ETH_USDC",
        "openInterest.SOL_USDC_PERP",
        "liquidation",
    ];
    for name in names {
        asked(&mut socket, &subscribe(&[name]), None);
    }
    asked(&mut socket, &subscribe(&[]), None);
    let private = [
        "account.rfqUpdate",
        "account.rfqUpdate.ETH_USDC",
        "account.positionUpdate",
        "account.positionUpdate.ETH_USDC",
        "account.orderUpdate.NOPE_NOPE",
    ];
    for name in private {
        asked(&mut socket, &subscribe(&[name]), Some(SIGNATURE));
        asked(&mut socket, &signed_request(&trader.client.keys, &[name]), None);
    }
    // Unknown members, a signature nobody needs, twice the same, and ends of what never began.
    let request = json!({
        "id": 7, "jsonrpc": "2.0", "method": "SUBSCRIBE", "signature": ["no", "such"],
        "params": ["trade.ETH_USDC", "trade.ETH_USDC", "depth@ETH_USDC"],
    });
    asked(&mut socket, &request, None);
    asked(&mut socket, &request, None);
    let names = ["trade.SOL_USDC", "trade.NOPE_NOPE", ORDERS, ARMED, "account.rfqUpdate"];
    asked(&mut socket, &json!({"method": "UNSUBSCRIBE", "params": names}), None);
    trader.place(&limit(SYMBOL, "Bid", "50", "1")).ok();
    socket.until("the change, once", |socket| socket.data("depth@ETH_USDC").next().map(|_| ()));
    socket.fence();
    assert_eq!(socket.heard.len(), 1 + private.len(), "{:?}", socket.heard);
    trader.cancel_all(SYMBOL).ok();
}

fn signatures(world: &mut World) {
    let trader = world.trader("proven", &[("USDC", "1000")]);
    let keys = &trader.client.keys;
    let stranger = KeyPair::generate().unwrap();
    let mut socket = world.socket();
    let good = signature(keys, now_ms());
    let changed = |at: usize, value: Value| {
        let mut signature = good.clone();
        signature[at] = value;
        signature
    };
    let bad = [
        Value::Null,
        json!("text"),
        json!([]),
        json!(good.as_array().unwrap()[..3]),
        json!([good[0], good[1], good[2], good[3], "more"]),
        changed(0, json!("no key")),
        changed(0, json!(stranger.api_key)),
        changed(0, json!(7)),
        changed(1, json!("AAAA")),
        changed(1, json!(stranger.sign("something else").unwrap())),
        changed(1, Value::Null),
        changed(2, json!(now_ms().to_string() + "0")),
        changed(2, json!("yesterday")),
        changed(2, json!(-1)),
        changed(3, json!("60001")),
        changed(3, json!("5001")),
        changed(3, json!(0)),
        // Too old, and of a clock too far ahead.
        signature(keys, now_ms() - WINDOW_MS - 1_000),
        signature(keys, now_ms() + 60_000),
        signature(&stranger, now_ms()),
    ];
    for signature in bad {
        let request = json!({"method": "SUBSCRIBE", "params": [ORDERS], "signature": signature});
        asked(&mut socket, &request, Some(SIGNATURE));
    }
    asked(&mut socket, &subscribe(&[ORDERS]), Some(SIGNATURE));
    asked(&mut socket, &subscribe(&[ARMED]), Some(SIGNATURE));
    trader.place(&limit(SYMBOL, "Bid", "50", "1")).ok();

    // The last two may be numbers; the text that is signed is the same.
    let (at, mut numbers) = (now_ms(), signature(keys, now_ms()));
    numbers = json!([numbers[0], signature(keys, at)[1], at, WINDOW_MS]);
    let request = json!({"method": "SUBSCRIBE", "params": [ORDERS], "signature": numbers});
    asked(&mut socket, &request, None);
    assert_eq!(socket.data(ORDERS).count(), 0, "a request refused has no effect at all");
    trader.cancel_all(SYMBOL).ok();
    socket.until("the end of the order", |socket| socket.data(ORDERS).next().map(|_| ()));
}

fn partly_bad(world: &mut World) {
    let trader = world.trader("hasty", &[("USDC", "1000")]);
    let keys = &trader.client.keys;
    let mut socket = world.socket();
    asked(&mut socket, &subscribe(&["depth.ETH_USDC", "nothing"]), Some(STREAM));
    let names = ["depth.ETH_USDC", "depth.7ms.ETH_USDC"];
    asked(&mut socket, &subscribe(&names), Some(WINDOW));
    asked(&mut socket, &subscribe(&["depth.ETH_USDC", ORDERS]), Some(SIGNATURE));
    asked(&mut socket, &signed_request(keys, &[ORDERS, "nothing"]), Some(STREAM));
    // Ends are checked as a whole as well.
    asked(&mut socket, &signed_request(keys, &["bookTicker.ETH_USDC", ORDERS]), None);
    let request = json!({"method": "UNSUBSCRIBE", "params": ["bookTicker.ETH_USDC", "nothing"]});
    asked(&mut socket, &request, Some(STREAM));
    trader.place(&limit(SYMBOL, "Bid", "50", "1")).ok();
    socket.until("public and private of one request", |socket| {
        socket.data("bookTicker.ETH_USDC").next().and(socket.data(ORDERS).next()).map(|_| ())
    });
    socket.fence();
    assert_eq!(socket.data("depth.ETH_USDC").count(), 0, "a request refused has no effect at all");
    trader.cancel_all(SYMBOL).ok();
}

fn sessions(world: &mut World) {
    let browser = Browser::sign_up(world, "streams");
    let ws_url = world.stack().ws_url().to_owned();
    let host = ws_url.trim_start_matches("ws://").to_owned();
    let page = format!("http://{host}");
    let cookie = ("Cookie", browser.cookie.as_str());
    let forged = format!("{}x", browser.cookie);
    let opened = |headers: &[(&str, &str)]| Socket::try_open_with(&ws_url, headers).unwrap();
    let both = subscribe(&[ORDERS, "account.balanceUpdate"]);
    for headers in [vec![cookie], vec![cookie, ("Origin", &page)]] {
        let mut socket = opened(&headers);
        asked(&mut socket, &both, None);
        let transfer = format!("{}-{}", browser.account, headers.len());
        world.stack().admin().deposit(&browser.account, "USDC", "10", &transfer).unwrap();
        socket
            .until("the deposit", |socket| socket.data("account.balanceUpdate").next().map(|_| ()));
    }
    // Another page must not speak for the user; it may hear what anybody may.
    let foreign = [("Origin", "https://evil.example.org"), ("Origin", "null")];
    for origin in foreign {
        let mut socket = opened(&[cookie, origin]);
        asked(&mut socket, &both, Some(SIGNATURE));
        asked(&mut socket, &subscribe(&["trade.ETH_USDC"]), None);
    }
    for headers in [vec![], vec![("Cookie", forged.as_str())]] {
        asked(&mut opened(&headers), &both, Some(SIGNATURE));
    }
    // A key that may only read hears everything, and changes nothing by leaving.
    let reader = browser.reader();
    let mut socket = world.socket();
    eventually("the new key is known", || {
        let capital = reader.attempt(
            ureq::http::Method::GET,
            "/api/v1/capital",
            "balanceQuery",
            &json!({}),
        )?;
        if capital.is_ok() { Ok(()) } else { Err(capital.body.to_string()) }
    });
    asked(&mut socket, &signed_request(&reader.client.keys, &[ORDERS]), None);
    asked(&mut socket, &signed_request(&reader.client.keys, &[ARMED]), Some(SIGNATURE));
    // With a signature beside the session, the signature counts.
    let mut socket = opened(&[cookie]);
    asked(&mut socket, &subscribe(&[ARMED]), None);
    let request = signed_request(&KeyPair::generate().unwrap(), &[ORDERS]);
    asked(&mut socket, &request, Some(SIGNATURE));
    // Signed out, the socket that is open hears on; a new subscription is refused.
    browser.call(ureq::http::Method::POST, "/auth/v1/logout", &json!({})).ok();
    let mut late = opened(&[cookie]);
    eventually("the session is over", || {
        late.subscribe(&[ORDERS]);
        late.fence();
        late.errors().next().map(|_| ()).ok_or("still accepted")
    });
}

fn pings(world: &mut World) {
    let trader: Trader = world.trader("pings", &[("USDC", "1000")]);
    let mut socket = world.socket();
    let longest = Bytes::from(vec![0xa5; 125]);
    for payload in [Bytes::new(), Bytes::from_static(b"1732800000000"), longest] {
        socket.ping(payload.clone());
        let pong = socket.until("the pong", |socket| socket.pongs.last().cloned());
        assert_eq!(pong, payload);
        socket.pongs.clear();
    }
    // In order with what it stands behind.
    socket.send(&signed_request(&trader.client.keys, &[ORDERS]));
    socket.send_text("nonsense");
    socket.ping(Bytes::from_static(b"behind"));
    socket.until("the pong", |socket| socket.pongs.first().map(|_| ()));
    assert_eq!(socket.errors().count(), 1);
    trader.place(&limit(SYMBOL, "Bid", "50", "1")).ok();
    socket.until("the order", |socket| socket.data(ORDERS).next().map(|_| ()));
    trader.cancel_all(SYMBOL).ok();
}
