//! Stream clients that mean harm or cannot keep up: they are turned away, and nobody else feels
//! it. A fan-out of their own takes all of it, set to bounds that can be reached.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Instant;

use scenarios::bulk::Bulk;
use scenarios::client::{Trader, limit};
use scenarios::eventually::{PATIENCE, SECOND, eventually};
use scenarios::lane::Scenario;
use scenarios::memory::resident_kib;
use scenarios::second_fanout::SecondFanout;
use scenarios::socket::Socket;
use scenarios::world::World;
use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};

pub const SCENARIOS: &[Scenario] = &[
    ("streams_faults::fragments_are_one_message_and_have_its_bound", fragments),
    ("streams_faults::what_breaks_the_protocol_is_closed_by_its_code", broken_frames),
    ("streams_faults::a_flood_of_requests_costs_nothing_but_the_socket", a_flood),
    ("streams_faults::stalled_readers_are_closed_and_nobody_else_waits", stalled_readers),
    ("streams_faults::a_slow_handshake_is_cut_off", slow_handshakes),
    ("streams_faults::sockets_and_streams_have_bounds", bounds),
    ("streams_faults::who_does_not_answer_pings_is_closed", no_pong),
    ("streams_faults::at_the_end_everybody_is_told", graceful_end),
];

const SYMBOL: &str = "ETH_USDC";
const TRADES: &str = "trade.ETH_USDC";

fn fragment(text: &str, code: Data, is_last: bool) -> Frame {
    Frame::message(text.as_bytes().to_vec(), OpCode::Data(code), is_last)
}

fn fragments(world: &mut World) {
    let trader = world.trader("in pieces", &[("USDC", "1000")]);
    let mut socket = world.socket();
    let request = json!({"method": "SUBSCRIBE", "params": ["depth.ETH_USDC"]}).to_string();
    let (first, rest) = request.split_at(7);
    let (second, third) = rest.split_at(20);
    socket.send_frame(fragment(first, Data::Text, false)).unwrap();
    // A ping may stand between them.
    socket.ping("between".into());
    socket.until("the pong", |socket| socket.pongs.first().map(|_| ()));
    socket.send_frame(fragment(second, Data::Continue, false)).unwrap();
    socket.send_frame(fragment(third, Data::Continue, true)).unwrap();
    socket.fence();
    trader.place(&limit(SYMBOL, "Bid", "50", "1")).ok();
    socket.until("the change", |socket| socket.data("depth.ETH_USDC").next().map(|_| ()));
    assert_eq!(socket.errors().count(), 0);
    trader.cancel_all(SYMBOL).ok();

    let mut endless = world.socket();
    let part = "x".repeat(1000);
    let mut code = Data::Text;
    for _ in 0..1000 {
        if endless.send_frame(fragment(&part, code, false)).is_err() {
            break;
        }
        code = Data::Continue;
    }
    assert_eq!(endless.until_closed(), 1009);
    // A bound that is just met is met.
    let mut longest = world.socket();
    let request = json!({"method": "SUBSCRIBE", "params": ["nothing"], "x": ""}).to_string();
    let filled = "y".repeat((64 << 10) - request.len());
    let request = json!({"method": "SUBSCRIBE", "params": ["nothing"], "x": filled}).to_string();
    longest.send_text(&request);
    longest.fence();
    assert_eq!(longest.errors().next().unwrap()["code"], 4006);
    // The server may close, and so break the connection, before all of it is sent.
    longest.send_message(Message::text(format!("{request} "))).unwrap_or_default();
    assert_eq!(longest.until_closed(), 1009);
    let mut huge = world.socket();
    huge.send_message(Message::text("z".repeat(1 << 20))).unwrap_or_default();
    assert!([0, 1009].contains(&huge.until_closed()));
}

/// Bytes on an open socket, and the code it is closed with.
fn broken_frames(world: &mut World) {
    let mut listener = world.socket();
    listener.subscribe(&["ticker.SOL_USDC"]);
    let mask = [0, 0, 0, 0];
    let masked = |head: &[u8], payload: &[u8]| [head, &mask, payload].concat();
    let cases = [
        ("not masked", [&[0x81, 2][..], b"{}"].concat(), 1002),
        ("an unknown kind", masked(&[0x83, 0x80], b""), 1002),
        ("reserved bits", masked(&[0xf1, 0x80], b""), 1002),
        ("a continuation of nothing", masked(&[0x80, 0x82], b"{}"), 1002),
        ("a ping too long", masked(&[0x89, 0xfe, 0, 126], &[0; 126]), 1002),
        ("a ping in pieces", masked(&[0x09, 0x80], b""), 1002),
        ("no text", masked(&[0x81, 0x82], &[0xff, 0xfe]), 1007),
        (
            "a length of the whole world",
            masked(&[0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0], b""),
            1009,
        ),
    ];
    for (what, bytes, code) in cases {
        let mut socket = world.socket();
        socket.stream().write_all(&bytes).unwrap();
        assert_eq!(socket.until_closed(), code, "{what}");
    }
    let heard = listener.data("ticker.SOL_USDC").count();
    listener.until("a ticker more", |listener| {
        (heard + 1 < listener.data("ticker.SOL_USDC").count()).then_some(())
    });
}

/// 100,000 requests in a row from each of some clients.
fn a_flood(world: &mut World) {
    const REQUESTS: usize = 100_000;
    const CLIENTS: usize = 4;
    let fanout = SecondFanout::start(world, &[]);
    let before = resident_kib(fanout.pid());
    let floods: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut socket = fanout.socket();
            thread::spawn(move || {
                let names = ["trade.ETH_USDC", "depth.SOL_USDC", "nothing", "kline.1m.SOL_BTC"];
                for number in 0..REQUESTS {
                    let names = &names[number % names.len()..][..1];
                    if socket.try_subscribe(names).is_err() {
                        break;
                    }
                }
                socket.until_closed()
            })
        })
        .collect();
    for flood in floods {
        // A connection that breaks under what was still being sent takes the Close with it.
        let code = flood.join().unwrap();
        assert!([0, 1008].contains(&code), "{code}");
    }
    let grown = resident_kib(fanout.pid()).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more");
    let mut socket = fanout.socket();
    socket.listen(&["ticker.SOL_USDC"]);
    socket.until("a ticker", |socket| socket.data("ticker.SOL_USDC").next().map(|_| ()));
}

fn two_traders(world: &mut World) -> [Trader; 2] {
    let funds = [("ETH", "100000"), ("USDC", "100000000")];
    ["seller", "buyer"].map(|name| world.trader(name, &funds))
}

/// They subscribe and never read again, while trades flow.
fn stalled_readers(world: &mut World) {
    const STALLED: usize = 300;
    const TRADES_MAX: usize = 60_000;
    let bounds = [("outbox_frames_max", 2_000), ("close_ms_max", 200)];
    let fanout = SecondFanout::start(world, &bounds);
    let mut stalled: Vec<Socket> = (0..STALLED).map(|_| fanout.socket()).collect();
    for socket in &mut stalled {
        small_buffer(socket.stream());
        socket.listen(&[TRADES, "trade@ETH_USDC", "depth.ETH_USDC", "bookTicker.ETH_USDC"]);
    }
    let mut well = fanout.socket();
    well.listen(&[TRADES]);
    let before = resident_kib(fanout.pid());
    let [seller, buyer] = two_traders(world);
    let market = world.listing().market(SYMBOL).clone();
    let mut bulk = Bulk::new(world);
    let mut peak = before;
    let (mut heard, since) = (0, Instant::now());
    while is_open_at_server(&fanout, STALLED) {
        assert!(heard < TRADES_MAX && since.elapsed() < 3 * PATIENCE, "they are not closed");
        bulk.trade(&market, (&seller, &buyer), 9_000, (50, 10));
        well.until("every trade, in order", |socket| {
            (500 <= socket.data(TRADES).count()).then_some(())
        });
        let ids = well.data(TRADES).map(|data| data["t"].as_u64().unwrap());
        let ids: Vec<u64> = ids.collect();
        assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{ids:?}");
        heard += ids.len();
        eprintln!("{heard} {:?} {} {}", since.elapsed(), fanout.metric("fanout_sockets"), peak);
        well.heard.clear();
        peak = peak.max(resident_kib(fanout.pid()));
    }
    println!(
        "{heard} trades closed {STALLED} stalled readers; {before} KiB before, {peak} at most"
    );
    // One copy for all of them, and what the system has not taken of it is not copied either.
    assert!(peak - before < 48 << 10, "{before} KiB before, {peak} at most");
    for socket in &mut stalled {
        // Some took the Close with the last they could take; others were cut off.
        let code = socket.until_closed();
        assert!([0, 1008].contains(&code), "{code}");
        let ids: Vec<u64> = socket.data(TRADES).map(|data| data["t"].as_u64().unwrap()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "no gap before the end");
    }
    assert!(well.closed.is_none());
}

/// So that it does not take megabytes to stall.
fn small_buffer(stream: &TcpStream) {
    let option = nix::sys::socket::sockopt::RcvBuf;
    nix::sys::socket::setsockopt(stream, option, &4_096).unwrap();
}

/// Whether any of the stalled is still counted among the fan-out's sockets.
fn is_open_at_server(fanout: &SecondFanout, stalled: usize) -> bool {
    let open = fanout.metric("fanout_sockets");
    assert!(open <= stalled as f64 + 1.0);
    1.0 < open
}

fn slow_handshakes(world: &mut World) {
    let fanout = SecondFanout::start(world, &[("handshake_ms_max", 500)]);
    let heads = ["", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"];
    let mut slow: Vec<TcpStream> = heads
        .iter()
        .cycle()
        .take(60)
        .map(|head| {
            let mut stream = TcpStream::connect(fanout.address()).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Others come in meanwhile.
    let mut socket = fanout.socket();
    socket.listen(&["ticker.SOL_USDC"]);
    for stream in &mut slow {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        match stream.read_to_end(&mut rest) {
            Ok(_) => (),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        assert!(!rest.starts_with(b"HTTP/1.1 101"), "let in");
    }
    // What is open stays open, however long its handshake is ago.
    socket.until("a ticker", |socket| socket.data("ticker.SOL_USDC").next().map(|_| ()));
}

fn bounds(world: &mut World) {
    let settings = [("sockets_per_address_max", 3), ("streams_per_socket_max", 4)];
    let fanout = SecondFanout::start(world, &settings);
    let mut sockets: Vec<Socket> = (0..3).map(|_| fanout.socket()).collect();
    let refused = Socket::try_open(&fanout.ws_url()).err().unwrap();
    assert!(refused.contains("503"), "{refused}");
    let leaving = sockets.pop().unwrap();
    leaving.close();
    eventually("a place is free again", || {
        Socket::try_open(&fanout.ws_url()).map(|socket| sockets.push(socket))
    });
    let mut socket = sockets.pop().unwrap();
    let four = [TRADES, "trade@ETH_USDC", "depth.ETH_USDC", "ticker.ETH_USDC"];
    socket.listen(&four);
    // What is heard already takes no place, and neither does what nothing will come of.
    socket.listen(&four[..2]);
    socket.listen(&["trade.NOPE_NOPE", "liquidation"]);
    socket.unsubscribe(&four[..1]);
    socket.listen(&["bookTicker.ETH_USDC"]);
    assert_eq!(socket.heard.iter().find(|frame| frame.get("error").is_some()), None);
    socket.subscribe(&["trade.SOL_USDC"]);
    assert_eq!(socket.until_closed(), 1008);
}

/// A client that reads nothing answers no pings; one that reads does so without being asked to.
fn no_pong(world: &mut World) {
    let settings = [("ping_every_ms", 200), ("pong_ms_max", 2_000), ("close_ms_max", 200)];
    let fanout = SecondFanout::start(world, &settings);
    let mut dead = fanout.socket();
    let mut alive = fanout.socket();
    alive.listen(&["ticker.SOL_USDC"]);
    alive.until_within(20 * SECOND, "five tickers", |socket| {
        (5 <= socket.data("ticker.SOL_USDC").count()).then_some(())
    });
    eventually("the silent one is closed", || {
        let open = fanout.metric("fanout_sockets");
        alive.read();
        if open == 1.0 { Ok(()) } else { Err(open) }
    });
    assert!([0, 1008].contains(&dead.until_closed()));
    alive.fence();
}

fn graceful_end(world: &mut World) {
    let fanout = SecondFanout::start(world, &[]);
    let mut sockets: Vec<Socket> = (0..40).map(|_| fanout.socket()).collect();
    for socket in &mut sockets {
        socket.listen(&["ticker.SOL_USDC", "depth.SOL_USDC"]);
    }
    // One in the middle of its handshake, and one that does not listen, hold nothing up.
    let mut half = TcpStream::connect(fanout.address()).unwrap();
    half.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let deaf = fanout.socket();
    fanout.ask_to_end();
    for socket in &mut sockets {
        assert_eq!(socket.until_closed(), 1001);
    }
    deaf.stream().shutdown(Shutdown::Both).unwrap_or_default();
    assert_eq!(fanout.until_ended(), "exit code 0");
    assert!(Socket::try_open(&fanout.ws_url()).is_err());
    let heard: Vec<&Value> = sockets.iter().flat_map(|socket| socket.errors()).collect();
    assert_eq!(heard, Vec::<&Value>::new());
}
