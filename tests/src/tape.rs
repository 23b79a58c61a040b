//! A listener to the public trades that comes back whenever it is turned away, and keeps all it
//! hears.
//!
//! On one connection the trades of a market have no gap and no repeat: who would miss one is
//! closed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::database::{Database, number};
use crate::eventually::breathe;
use crate::listing::Listing;
use crate::socket::Socket;

pub struct Tape {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Heard>,
}

/// Ticks and lots of every trade heard, by market and trade id.
#[derive(Debug, Default)]
pub struct Heard {
    trades: BTreeMap<(i64, i128), (i128, i128)>,
    connections: usize,
}

impl Tape {
    pub fn start(ws_url: &str, listing: &Listing, symbols: &[&str]) -> Tape {
        let stop = Arc::new(AtomicBool::new(false));
        let told_to_stop = Arc::clone(&stop);
        let (ws_url, listing) = (ws_url.to_owned(), listing.clone());
        let names: Vec<String> = symbols.iter().map(|symbol| format!("trade.{symbol}")).collect();
        let thread = thread::spawn(move || {
            let mut heard = Heard::default();
            while !told_to_stop.load(Ordering::Relaxed) {
                match Socket::try_open(&ws_url) {
                    Ok(socket) => heard.listen(socket, &names, &listing, &told_to_stop),
                    Err(_) => breathe(),
                }
            }
            heard
        });
        Tape { stop, thread }
    }

    pub fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    pub fn stop(self) -> Heard {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the tape has no gap and no repeat")
    }
}

impl Heard {
    /// Until the connection is closed.
    fn listen(
        &mut self,
        mut socket: Socket,
        names: &[String],
        listing: &Listing,
        stop: &AtomicBool,
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if socket.try_subscribe(&names).is_err() {
            return;
        }
        self.connections += 1;
        let mut last: BTreeMap<i64, i128> = BTreeMap::new();
        while socket.closed.is_none() && !stop.load(Ordering::Relaxed) {
            socket.read();
            for frame in socket.heard.drain(..) {
                let (market, trade) = self.note(&frame["data"], listing);
                if let Some(before) = last.insert(market, trade) {
                    assert_eq!(trade, before + 1, "the trade after {before}: {frame}");
                }
            }
        }
    }

    /// Market and id of the trade.
    fn note(&mut self, data: &Value, listing: &Listing) -> (i64, i128) {
        let text = |member: &str| data[member].as_str().unwrap_or_else(|| panic!("{data}"));
        let market = listing.market(text("s"));
        let trade = i128::from(data["t"].as_u64().unwrap());
        let what = (market.ticks(text("p")), market.lots(text("q")));
        let before = self.trades.insert((market.id, trade), what);
        assert!(before.is_none_or(|before| before == what), "once {before:?}, now {data}");
        (market.id, trade)
    }

    /// Every trade heard is in the database just as it was heard. Answers how many there are.
    pub fn check(&self, database: &Database) -> usize {
        let statement = "SELECT market_id, trade_id, price_ticks, lots FROM trades";
        let rows = database.rows(statement).into_iter();
        let written: BTreeMap<(i64, i128), (i128, i128)> = rows
            .map(|row| {
                let key = (row[0].parse().unwrap(), number(&row[1]));
                (key, (number(&row[2]), number(&row[3])))
            })
            .collect();
        for (trade, what) in &self.trades {
            assert_eq!(written.get(trade), Some(what), "trade {trade:?} was heard");
        }
        self.trades.len()
    }

    pub fn connections(&self) -> usize {
        self.connections
    }
}
