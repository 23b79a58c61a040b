//! What can be wrong with a request, one function each.

use xtask::client::now_ms;

use super::Forge;
use super::request::{Request, Signing};

pub type Flaw = fn(&mut Forge) -> Request;

pub const RARE: (&str, Flaw) = ("body of two mebibytes", huge_body);

pub const ALL: &[(&str, Flaw)] = &[
    ("cut JSON", cut_json),
    ("bytes that are no JSON", garbage),
    ("JSON that is no object", no_object),
    ("invalid UTF-8", invalid_utf8),
    ("deep nesting", deep_nesting),
    ("member given twice", twice),
    ("missing member", missing),
    ("wrong type", wrong_type),
    ("bad number", bad_number),
    ("off the tick or step", off_tick),
    ("beyond all bounds", beyond),
    ("not positive", not_positive),
    ("unknown word", unknown_word),
    ("unknown market", unknown_market),
    ("bad client id", bad_client_id),
    ("contradiction", contradiction),
    ("too many members", too_many_members),
    ("bent signature", bent_signature),
    ("other instruction", other_instruction),
    ("other signer", other_signer),
    ("changed after signing", changed_after_signing),
    ("missing header", missing_header),
    ("unreadable header", unreadable_header),
    ("outside the window", outside_the_window),
    ("bad batch", bad_batch),
    ("bad cancel", bad_cancel),
    ("bad look", bad_look),
    ("bad query", bad_query),
    ("unknown path or method", unknown_path),
    ("administration without the token", administration),
];

fn huge_body(forge: &mut Forge) -> Request {
    let digits = "9".repeat(2 << 20);
    match forge.below(3) {
        0 => Request::order().saying("price", &format!("\"{digits}\"")),
        1 => Request::order().with_body(digits),
        _ => Request { chunked: true, ..Request::order().with_body(vec![b' '; 2 << 20]) },
    }
}

fn cut_json(forge: &mut Forge) -> Request {
    let order = Request::order();
    let whole = order.json();
    let length = 1 + forge.below(whole.len() - 1);
    let chunked = forge.below(4) == 0;
    Request { chunked, ..order.with_body(&whole[..length]) }
}

fn garbage(forge: &mut Forge) -> Request {
    let length = 1 + forge.below(200);
    let mut bytes = forge.bytes(length);
    bytes[0] |= 0x80;
    Request::order().with_body(bytes)
}

fn no_object(forge: &mut Forge) -> Request {
    let bodies =
        ["null", "true", "17", "\"order\"", "[]", "{}{}", "{},", "{'a':1}", "nul", "\u{feff}{}"];
    let body = forge.word(&bodies);
    Request::order().with_body(body)
}

fn invalid_utf8(forge: &mut Forge) -> Request {
    let order = Request::order();
    let mut body = order.json();
    let bytes = *forge.one_of(&[&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"]);
    let at = body.windows(3).position(|window| window == b"SOL").unwrap();
    body.splice(at..at, bytes.iter().copied());
    order.with_body(body)
}

fn deep_nesting(forge: &mut Forge) -> Request {
    let depth = 200 + forge.below(20_000);
    let body = match forge.below(3) {
        0 => "[".repeat(depth),
        1 => format!("{{\"symbol\":{}{}}}", "[".repeat(depth), "]".repeat(depth)),
        _ => "{\"a\":".repeat(depth),
    };
    Request::order().with_body(body)
}

fn twice(forge: &mut Forge) -> Request {
    let mut order = Request::order();
    let at = forge.below(order.members.len());
    let again = order.members[at].clone();
    order.members.push(again);
    order
}

fn missing(forge: &mut Forge) -> Request {
    let name = forge.word(&["symbol", "side", "orderType", "price", "quantity"]);
    match forge.below(3) {
        0 => Request::order().saying(name, "null"),
        _ => Request::order().without(name),
    }
}

fn wrong_type(forge: &mut Forge) -> Request {
    let token = forge.word(&["true", "[]", "{}", "[\"20.01\"]", "{\"a\":1}", "false"]);
    let name = forge.word(&[
        "symbol",
        "side",
        "orderType",
        "price",
        "quantity",
        "timeInForce",
        "selfTradePrevention",
        "clientId",
    ]);
    match forge.below(4) {
        0 => Request::order().saying("postOnly", forge.word(&["1", "\"true\"", "[]", "\"\""])),
        1 => Request::order().saying(forge.word(&["symbol", "side", "orderType"]), "17"),
        _ => Request::order().saying(name, token),
    }
}

const AMOUNTS: [&str; 2] = ["price", "quantity"];

fn bad_number(forge: &mut Forge) -> Request {
    let texts = [
        "",
        " ",
        "abc",
        "1e1",
        "1E1",
        "+1",
        ".5",
        "5.",
        "1.2.3",
        "0x10",
        "1,000",
        "1_000",
        " 1",
        "1 ",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "--1",
        "-",
        ".",
        "1/2",
        "50%",
        "1\u{0661}",
        "\u{ff11}",
        "1\u{0}",
        "null",
        "true",
        "1e400",
        "1e-400",
    ];
    let name = forge.word(&AMOUNTS);
    let token = match forge.below(5) {
        0 => forge.word(&["1e1", "1E400", "-1e2", "1.5e3"]).to_owned(),
        _ => format!("\"{}\"", forge.word(&texts).escape_debug()),
    };
    Request::order().saying(name, &token)
}

fn off_tick(forge: &mut Forge) -> Request {
    let name = forge.word(&AMOUNTS);
    let digits = 3 + forge.below(15);
    let odd = format!("{}.{:0digits$}1", 1 + forge.below(100), 0);
    let token = if forge.below(2) == 0 { odd } else { format!("\"{odd}\"") };
    Request::order().saying(name, &token)
}

fn beyond(forge: &mut Forge) -> Request {
    let texts = [
        "79228162514264337593543950335",
        "79228162514264337593543950336",
        "18446744073709551615",
        "18446744073709551616",
        "9223372036854775807",
        "340282366920938463463374607431768211456",
        "99999999999999999999999999999999999999999999999999999999999",
    ];
    let long = "9".repeat(1 + forge.below(2_000));
    let text = match forge.below(4) {
        0 => format!("9999999999999999{long}"),
        _ => forge.word(&texts).to_owned(),
    };
    let token = if forge.below(2) == 0 { text } else { format!("\"{text}\"") };
    match forge.below(3) {
        0 => market_by_quote(&token),
        1 => Request::order().saying("price", &token),
        _ => Request::order().saying("quantity", &token),
    }
}

fn market_by_quote(token: &str) -> Request {
    let order = Request::order().without("price").without("quantity");
    order.saying("orderType", "\"Market\"").saying("quoteQuantity", token)
}

fn not_positive(forge: &mut Forge) -> Request {
    let texts =
        ["0", "-1", "-0.01", "0.00", "-0", "-20.01", "00", "-79228162514264337593543950335"];
    let text = forge.word(&texts);
    let token = format!("\"{text}\"");
    match forge.below(3) {
        0 => market_by_quote(&token),
        1 => Request::order().saying("price", &token),
        _ => Request::order().saying("quantity", &token),
    }
}

fn unknown_word(forge: &mut Forge) -> Request {
    let name =
        forge.word(&["side", "orderType", "timeInForce", "selfTradePrevention", "triggerBy"]);
    let words = ["", "bid", "Buy", "limit", "STOP", "GTX", "gtc", "Bid ", "RejectTake", "\\u0000"];
    let word = forge.word(&words);
    Request::order().saying(name, &format!("\"{word}\""))
}

fn unknown_market(forge: &mut Forge) -> Request {
    let symbols = [
        "",
        "sol_usdc",
        "SOL_USDT",
        "SOL/USDC",
        "SOL-USDC",
        "USDC_SOL",
        "SOL_USDC_PERP",
        "SOL_USDC ",
        "SOL_USDC{",
        "../orders",
        "*",
        "accounts",
        "SOL",
        "_",
    ];
    let symbol = match forge.below(6) {
        0 => "S".repeat(1 + forge.below(5_000)),
        _ => forge.word(&symbols).to_owned(),
    };
    Request::order().saying("symbol", &format!("\"{symbol}\""))
}

fn bad_client_id(forge: &mut Forge) -> Request {
    let tokens = [
        "4294967296",
        "-1",
        "1.5",
        "\"abc\"",
        "\"\"",
        "1e3",
        "[7]",
        "18446744073709551616",
        "\" 7\"",
    ];
    let token = forge.word(&tokens);
    Request::order().saying("clientId", token)
}

fn contradiction(forge: &mut Forge) -> Request {
    let order = Request::order();
    match forge.below(9) {
        0 => order.saying("quoteQuantity", "\"10\""),
        1 => market_by_quote("\"10\"").saying("quantity", "\"1\""),
        2 => order.saying("triggerPrice", "\"19\""),
        3 => order.saying("triggerQuantity", "\"1\""),
        4 => order.saying("postOnly", "true").saying("timeInForce", "\"IOC\""),
        5 => market_by_quote("\"10\"").saying("postOnly", "true"),
        6 => order.saying("reduceOnly", "true"),
        7 => order.saying("stopLossTriggerPrice", "\"19\""),
        _ => order.saying("orderType", "\"Market\"").without("quantity"),
    }
}

fn too_many_members(forge: &mut Forge) -> Request {
    let more = 65 + forge.below(500);
    let mut order = Request::order();
    order.members.extend((0..more).map(|at| (format!("m{at}"), at.to_string())));
    order
}

fn bent_signature(forge: &mut Forge) -> Request {
    let length = 1 + forge.below(100);
    let value = match forge.below(4) {
        0 => Vec::new(),
        1 => b"not base64 at all!".to_vec(),
        2 => vec![b'A'; length],
        // 64 bytes, so that it is read as a signature.
        _ => [vec![b'A'; 86], b"==".to_vec()].concat(),
    };
    Request::order().signed(Signing::Saying("X-Signature", value))
}

fn other_instruction(forge: &mut Forge) -> Request {
    let other = forge.word(&["balanceQuery", "orderCancel", "subscribe", "", "orderexecute"]);
    Request::order().signed(Signing::For(other))
}

fn other_signer(forge: &mut Forge) -> Request {
    Request::order().signed(Signing::Stranger { under_own_name: forge.below(2) == 0 })
}

fn changed_after_signing(forge: &mut Forge) -> Request {
    let order = Request::order();
    let body = match forge.below(3) {
        0 => order.clone().saying("price", "\"20.02\"").json(),
        1 => order.clone().without("quantity").saying("quantity", "\"0.11\"").json(),
        _ => order.clone().saying("clientId", "7").json(),
    };
    order.with_body(body)
}

const HEADERS: [&str; 4] = ["X-API-Key", "X-Signature", "X-Timestamp", "X-Window"];

fn missing_header(forge: &mut Forge) -> Request {
    match forge.below(4) {
        0 => Request::order().signed(Signing::None),
        _ => Request::order().signed(Signing::Without(forge.word(&HEADERS[..3]))),
    }
}

fn unreadable_header(forge: &mut Forge) -> Request {
    let name = forge.word(&HEADERS);
    let length = 1 + forge.below(4_000);
    let value = match forge.below(4) {
        0 => b"\xff\xfe\x80".to_vec(),
        1 => vec![b'x'; length],
        2 => b"-1".to_vec(),
        _ => b"1.5".to_vec(),
    };
    let mut order = Request::order().signed(Signing::Saying(name, value));
    if forge.below(2) == 0 {
        order.headers.push(b"X-Noise: \xfe\xff {}[]\";".to_vec());
    }
    order
}

fn outside_the_window(forge: &mut Forge) -> Request {
    let now = now_ms();
    let at = |timestamp: String, window: &str| {
        Request::order().signed(Signing::At { timestamp, window: window.to_owned() })
    };
    match forge.below(8) {
        0 => at((now - 5_500).to_string(), "5000"),
        1 => at((now - 90_000).to_string(), "60000"),
        2 => at((now + 60_000).to_string(), "5000"),
        3 => at(now.to_string(), "0"),
        4 => at(now.to_string(), "60001"),
        5 => at(now.to_string(), forge.word(&["abc", "-5", "5e3", "99999999999999999999"])),
        6 => at("99999999999999999999".to_owned(), "5000"),
        // Seconds, as some would write them.
        _ => at((now / 1000).to_string(), "5000"),
    }
}

fn bad_batch(forge: &mut Forge) -> Request {
    let batch = Request::new("POST", "/api/v1/orders", "orderExecute", &[]);
    let order = String::from_utf8(Request::order().json()).unwrap();
    let body = match forge.below(6) {
        0 => "[]".to_owned(),
        1 => format!("[{}]", vec![order; 21 + forge.below(30)].join(",")),
        2 => "{}".to_owned(),
        3 => "[1,2]".to_owned(),
        4 => format!("[{order},[]]"),
        _ => format!("[{order}"),
    };
    batch.with_body(body)
}

fn bad_cancel(forge: &mut Forge) -> Request {
    let cancel =
        Request::new("DELETE", "/api/v1/order", "orderCancel", &[("symbol", "\"SOL_USDC\"")]);
    match forge.below(8) {
        0 => cancel,
        1 => cancel.saying("orderId", "\"7\"").saying("clientId", "7"),
        2 => cancel.saying("orderId", "\"abc\""),
        3 => cancel.saying("orderId", "\"18446744073709551616\""),
        4 => cancel.saying("orderId", "\"18446744073709551615\""),
        5 => cancel.saying("orderId", "\"0\""),
        6 => cancel.saying("clientId", "4000000000"),
        _ => cancel.without("symbol").saying("orderId", "\"7\""),
    }
}

fn bad_look(forge: &mut Forge) -> Request {
    let look = Request::new("GET", "/api/v1/order", "orderQuery", &[("symbol", "SOL_USDC")]);
    match forge.below(6) {
        0 => look,
        1 => look.saying("orderId", "7").saying("clientId", "7"),
        2 => look.saying("orderId", "abc"),
        3 => look.saying("orderId", "99999999999999999999999"),
        4 => look.saying("clientId", "4000000000"),
        _ => Request::new("GET", "/api/v1/capital", "orderQuery", &[]),
    }
}

fn bad_query(forge: &mut Forge) -> Request {
    let paths = [
        "/api/v1/depth",
        "/api/v1/depth?symbol=NOPE_NOPE",
        "/api/v1/depth?symbol=SOL_USDC&limit=7",
        "/api/v1/depth?symbol=SOL_USDC&limit=-5",
        "/api/v1/depth?symbol=SOL_USDC&symbol=BTC_USDC",
        "/api/v1/depth?symbol=%ff%zz%00",
        "/api/v1/ticker?symbol=SOL_USDC&interval=1y",
        "/api/v1/ticker",
        "/api/v1/trades?symbol=SOL_USDC&limit=1001",
        "/api/v1/trades?symbol=SOL_USDC&limit=1e3",
        "/api/v1/trades?symbol=SOL_USDC&offset=99999999999999999999",
        "/api/v1/klines?symbol=SOL_USDC&interval=1m",
        "/api/v1/klines?symbol=SOL_USDC&interval=2m&startTime=0",
        "/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime=99999999999999999999",
        "/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime=0&priceType=Best",
        "/api/v1/klines?interval=1m&startTime=0",
        "/api/v1/market?symbol=",
        "/api/v1/markets/NOPE_NOPE",
        "/api/v1/markets/%ff",
        "/api/v1/capital",
        "/api/v1/orders",
    ];
    Request::public(forge.word(&paths))
}

fn unknown_path(forge: &mut Forge) -> Request {
    let order = Request::order();
    match forge.below(5) {
        0 => Request { path: "/api/v1/nothing".to_owned(), ..order },
        1 => Request { path: "/api/v2/order".to_owned(), ..order },
        2 => Request { method: "PUT", ..order },
        3 => Request { method: "POST", path: "/api/v1/depth".to_owned(), ..order },
        _ => Request::public("/%2e%2e/%2e%2e/etc/passwd"),
    }
}

fn administration(forge: &mut Forge) -> Request {
    let mut request = Request::new(
        "POST",
        "/admin/v1/accounts/1/deposits",
        "",
        &[("asset", "\"USDC\""), ("quantity", "\"1000000\""), ("transferId", "\"free money\"")],
    );
    request.signing = Signing::None;
    let tokens =
        ["", "Bearer", "Bearer ", "Bearer wrong", "Basic YWRtaW46YWRtaW4=", "bearer \u{e9}"];
    let token = forge.word(&tokens);
    request.headers.push(format!("Authorization: {token}").into_bytes());
    request
}
