//! Frames of the public streams as `ws-fanout` sends them, written straight into a `String`.
//!
//! `{"stream":"trade@SOL_USDC","data":{…}}`. `E` and `T` are microseconds; prices and
//! quantities are strings in the project's one rendering ([`crate::text`]). Symbols need no
//! escaping.

use std::fmt::Write;

use chrono::{DateTime, Datelike, Timelike};

use crate::interval::Interval;
use crate::keys;
use crate::market::{AssetSpec, MarketSpec};
use crate::query::{PublicTrade, Ticker};
use crate::text;
use crate::units::{Lots, Price, Side};

/// A best price and the lots there.
pub type Best = Option<(Price, Lots)>;

/// Changes of a book's levels: one update, or several joined.
#[derive(Clone, Copy, Debug)]
pub struct Depth<'a> {
    /// Engine time of the last update.
    pub time_us: u64,
    pub first_update: u64,
    pub last_update: u64,
    /// Each price once a side, with its new total; zero removes it.
    pub bids: &'a [(Price, Lots)],
    pub asks: &'a [(Price, Lots)],
    /// Of the book after it: [`crate::book_checksum`].
    pub checksum: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BookTicker {
    pub time_us: u64,
    pub bid: Best,
    pub ask: Best,
    pub update: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kline {
    pub interval: Interval,
    /// Seconds since the epoch: start, and start of the next.
    pub start_s: i64,
    pub end_s: i64,
    pub open: Price,
    pub close: Price,
    pub high: Price,
    pub low: Price,
    pub lots: u128,
    pub trades: u64,
    pub is_closed: bool,
}

pub fn trade(market: &MarketSpec, now_us: u64, trade: &PublicTrade) -> String {
    let mut out = begin(&keys::trade(&market.symbol), "trade");
    push_times(&mut out, now_us, Some(trade.time_us));
    push_symbol(&mut out, market);
    push_field(&mut out, "p", |out| text::push_price(out, trade.price, market));
    push_field(&mut out, "q", |out| text::push_lots(out, trade.lots, market));
    let (buyer, seller) = match trade.taker_side {
        Side::Bid => (trade.taker_order, trade.maker_order),
        Side::Ask => (trade.maker_order, trade.taker_order),
    };
    let is_buyer_maker = trade.taker_side == Side::Ask;
    push(
        &mut out,
        format_args!(r#","b":"{buyer}","a":"{seller}","t":{},"m":{is_buyer_maker}"#, trade.id),
    );
    end(out)
}

pub fn depth(market: &MarketSpec, now_us: u64, depth: &Depth<'_>) -> String {
    let mut out = begin(&keys::depth(&market.symbol), "depth");
    push_times(&mut out, now_us, Some(depth.time_us));
    push_symbol(&mut out, market);
    for (name, levels) in [("a", depth.asks), ("b", depth.bids)] {
        push(&mut out, format_args!(r#","{name}":["#));
        for (at, (price, lots)) in levels.iter().enumerate() {
            out.push_str(if at == 0 { "[\"" } else { ",[\"" });
            text::push_price(&mut out, *price, market);
            out.push_str("\",\"");
            text::push_lots(&mut out, *lots, market);
            out.push_str("\"]");
        }
        out.push(']');
    }
    let Depth { first_update, last_update, checksum, .. } = depth;
    push(&mut out, format_args!(r#","U":{first_update},"u":{last_update},"k":{checksum}"#));
    end(out)
}

pub fn book_ticker(market: &MarketSpec, now_us: u64, ticker: &BookTicker) -> String {
    let mut out = begin(&keys::book_ticker(&market.symbol), "bookTicker");
    push_times(&mut out, now_us, Some(ticker.time_us));
    push_symbol(&mut out, market);
    for (price_name, lots_name, best) in [("b", "B", ticker.bid), ("a", "A", ticker.ask)] {
        match best {
            Some((price, lots)) => {
                push_field(&mut out, price_name, |out| text::push_price(out, price, market));
                push_field(&mut out, lots_name, |out| text::push_lots(out, lots, market));
            }
            None => push(&mut out, format_args!(r#","{price_name}":null,"{lots_name}":null"#)),
        }
    }
    push(&mut out, format_args!(r#","u":{}"#, ticker.update));
    end(out)
}

/// `quote` is the market's quote asset.
pub fn ticker(market: &MarketSpec, quote: &AssetSpec, now_us: u64, ticker: &Ticker) -> String {
    let mut out = begin(&keys::ticker(&market.symbol), "ticker");
    push_times(&mut out, now_us, None);
    push_symbol(&mut out, market);
    let prices = [("o", ticker.first), ("c", ticker.last), ("h", ticker.high), ("l", ticker.low)];
    for (name, price) in prices {
        push_field(&mut out, name, |out| match price {
            Some(price) => text::push_price(out, price, market),
            None => out.push('0'),
        });
    }
    let has_trades = ticker.trades != 0;
    push_field(&mut out, "v", |out| {
        if has_trades { text::push_volume(out, ticker.lots, market) } else { out.push('0') }
    });
    push_field(&mut out, "V", |out| text::push_trimmed(out, ticker.quote, quote.decimals));
    push(&mut out, format_args!(r#","n":{}"#, ticker.trades));
    end(out)
}

pub fn kline(market: &MarketSpec, now_us: u64, kline: &Kline) -> String {
    let mut out = begin(&keys::kline(kline.interval, &market.symbol), "kline");
    push_times(&mut out, now_us, None);
    push_symbol(&mut out, market);
    push_field(&mut out, "t", |out| push_time(out, kline.start_s));
    push_field(&mut out, "T", |out| push_time(out, kline.end_s));
    for (name, price) in
        [("o", kline.open), ("c", kline.close), ("h", kline.high), ("l", kline.low)]
    {
        push_field(&mut out, name, |out| text::push_price(out, price, market));
    }
    push_field(&mut out, "v", |out| text::push_volume(out, kline.lots, market));
    push(&mut out, format_args!(r#","n":{},"X":{}"#, kline.trades, kline.is_closed));
    end(out)
}

fn begin(stream: &str, event: &str) -> String {
    let mut out = String::with_capacity(256);
    push(&mut out, format_args!(r#"{{"stream":"{stream}","data":{{"e":"{event}""#));
    out
}

fn end(mut out: String) -> String {
    out.push_str("}}");
    out
}

pub(crate) fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(text).unwrap_or_default();
}

pub(crate) fn push_times(out: &mut String, now_us: u64, time_us: Option<u64>) {
    push(out, format_args!(r#","E":{now_us}"#));
    if let Some(time_us) = time_us {
        push(out, format_args!(r#","T":{time_us}"#));
    }
}

pub(crate) fn push_symbol(out: &mut String, market: &MarketSpec) {
    push(out, format_args!(r#","s":"{}""#, market.symbol));
}

/// A member whose value is a string.
pub(crate) fn push_field(out: &mut String, name: &str, value: impl FnOnce(&mut String)) {
    push(out, format_args!(r#","{name}":""#));
    value(out);
    out.push('"');
}

/// `2026-11-23T16:00:00`
fn push_time(out: &mut String, time_s: i64) {
    let time = DateTime::from_timestamp(time_s, 0).unwrap_or_default();
    let (year, month, day) = (time.year(), time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    push(out, format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{self, price};
    use crate::ids::{MarketId, OrderId, TradeId};

    fn market() -> MarketSpec {
        MarketSpec { price_max: price(1_000_000), lots_max: Lots(1_000_000), ..fixture::market() }
    }

    fn usdc() -> AssetSpec {
        fixture::asset(fixture::QUOTE, "USDC", 6)
    }

    fn order(slot: u32) -> OrderId {
        OrderId::from_parts(MarketId(1), slot, 1).unwrap()
    }

    #[track_caller]
    fn assert_frame(found: &str, expected: &str) {
        assert_eq!(found, expected);
        let parsed: serde_json::Value = serde_json::from_str(found).unwrap();
        assert_eq!(parsed.as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_trade_names_buyer_and_seller() {
        let mut sold = PublicTrade {
            id: TradeId(7),
            time_us: 1_700_000_000_000_001,
            price: price(2050),
            lots: Lots(5),
            taker_side: Side::Ask,
            taker_order: order(9),
            maker_order: order(3),
        };
        let expected = concat!(
            r#"{"stream":"trade@SOL_USDC","data":{"e":"trade","E":1700000000000002,"#,
            r#""T":1700000000000001,"s":"SOL_USDC","p":"20.50","q":"0.05","b":"2149580803","#,
            r#""a":"2149580809","t":7,"m":true}}"#
        );
        let frame = |trade: &PublicTrade| super::trade(&market(), 1_700_000_000_000_002, trade);
        assert_frame(&frame(&sold), expected);
        sold.taker_side = Side::Bid;
        let bought = frame(&sold);
        assert!(bought.ends_with(r#""b":"2149580809","a":"2149580803","t":7,"m":false}}"#));
    }

    #[test]
    fn depth_has_absolute_quantities_and_numbers_for_ids() {
        let changed = Depth {
            time_us: 1_700_000_000_000_001,
            first_update: 41,
            last_update: 42,
            bids: &[(price(2049), Lots(0)), (price(2050), Lots(1234))],
            asks: &[(price(2051), Lots(100))],
            checksum: 4_294_967_295,
        };
        assert_frame(
            &depth(&market(), 1_700_000_000_000_002, &changed),
            concat!(
                r#"{"stream":"depth@SOL_USDC","data":{"e":"depth","E":1700000000000002,"#,
                r#""T":1700000000000001,"s":"SOL_USDC","a":[["20.51","1.00"]],"#,
                r#""b":[["20.49","0.00"],["20.50","12.34"]],"U":41,"u":42,"k":4294967295}}"#
            ),
        );
        let empty = Depth { bids: &[], asks: &[], ..changed };
        let frame = depth(&market(), 2, &empty);
        assert!(frame.contains(r#""a":[],"b":[],"U":41"#), "{frame}");
    }

    #[test]
    fn an_empty_side_of_the_book_ticker_is_null() {
        let best = BookTicker {
            time_us: 1_700_000_000_000_001,
            bid: Some((price(2050), Lots(20))),
            ask: None,
            update: 42,
        };
        assert_frame(
            &book_ticker(&market(), 1_700_000_000_000_002, &best),
            concat!(
                r#"{"stream":"bookTicker@SOL_USDC","data":{"e":"bookTicker","#,
                r#""E":1700000000000002,"T":1700000000000001,"s":"SOL_USDC","b":"20.50","#,
                r#""B":"0.20","a":null,"A":null,"u":42}}"#
            ),
        );
    }

    #[test]
    fn a_ticker_has_no_engine_time() {
        let day = Ticker {
            market: MarketId(1),
            first: Some(price(2000)),
            last: Some(price(2050)),
            high: Some(price(2100)),
            low: Some(price(1999)),
            lots: 123_456,
            quote: 25_308_480_000,
            trades: 12,
        };
        assert_frame(
            &ticker(&market(), &usdc(), 1_700_000_000_000_002, &day),
            concat!(
                r#"{"stream":"ticker@SOL_USDC","data":{"e":"ticker","E":1700000000000002,"#,
                r#""s":"SOL_USDC","o":"20.00","c":"20.50","h":"21.00","l":"19.99","#,
                r#""v":"1234.56","V":"25308.48","n":12}}"#
            ),
        );
        let (first, last, high, low) = (None, None, None, None);
        let never = Ticker { first, last, high, low, lots: 0, quote: 0, trades: 0, ..day };
        assert_frame(
            &ticker(&market(), &usdc(), 5, &never),
            concat!(
                r#"{"stream":"ticker@SOL_USDC","data":{"e":"ticker","E":5,"s":"SOL_USDC","#,
                r#""o":"0","c":"0","h":"0","l":"0","v":"0","V":"0","n":0}}"#
            ),
        );
    }

    #[test]
    fn a_kline_names_its_times_without_a_zone() {
        let minute = Kline {
            interval: Interval::Minute1,
            start_s: 1_795_449_600,
            end_s: 1_795_449_660,
            open: price(2000),
            close: price(2050),
            high: price(2100),
            low: price(1999),
            lots: 700,
            trades: 3,
            is_closed: true,
        };
        assert_frame(
            &kline(&market(), 1_795_449_660_000_002, &minute),
            concat!(
                r#"{"stream":"kline.1m@SOL_USDC","data":{"e":"kline","E":1795449660000002,"#,
                r#""s":"SOL_USDC","t":"2026-11-23T16:00:00","T":"2026-11-23T16:01:00","#,
                r#""o":"20.00","c":"20.50","h":"21.00","l":"19.99","v":"7.00","n":3,"X":true}}"#
            ),
        );
    }
}
