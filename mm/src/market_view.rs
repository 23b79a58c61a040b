//! What is known of a market from its public streams: best prices and the last trade's.
//!
//! A price that does not read as one of the market's is as good as none.

use protocol::{MarketSpec, Price, decimal, keys};
use serde::Deserialize;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MarketView {
    pub bid: Option<Price>,
    pub ask: Option<Price>,
    pub last: Option<Price>,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

/// Of `bookTicker` and `ticker`; an absent and a null price are alike.
#[derive(Deserialize)]
struct Data<'a> {
    e: &'a str,
    b: Option<&'a str>,
    a: Option<&'a str>,
    c: Option<&'a str>,
}

/// The channels to listen to for `symbol`.
pub fn channels(symbol: &str) -> [String; 2] {
    [keys::book_ticker(symbol), keys::ticker(symbol)]
}

impl MarketView {
    pub fn hear(&mut self, payload: &[u8], market: &MarketSpec) -> Result<(), serde_json::Error> {
        let Frame { data } = serde_json::from_slice(payload)?;
        let price = |text: Option<&str>| {
            text.and_then(|text| decimal::price(decimal::parse(text).ok()?, market).ok())
        };
        match data.e {
            "bookTicker" => (self.bid, self.ask) = (price(data.b), price(data.a)),
            // A market that never traded says "0", which is no price.
            "ticker" => self.last = price(data.c).or(self.last),
            _ => (),
        }
        Ok(())
    }

    /// Half way between the best prices, else the last trade's price.
    pub fn mid(&self) -> Option<Price> {
        match (self.bid, self.ask) {
            (Some(bid), Some(ask)) => Price::from_ticks(bid.ticks().midpoint(ask.ticks())),
            _ => self.last,
        }
    }

    /// After messages may have been missed: the book is unknown, the last price is the last known.
    pub fn forget_book(&mut self) {
        (self.bid, self.ask) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::fixture::catalog;

    #[test]
    fn the_mid_follows_the_book_and_falls_back_to_the_last_price() {
        let catalog = catalog();
        let market = catalog.market_by_symbol("SOL_USDC").unwrap();
        let mut view = MarketView::default();
        assert_eq!(view.mid(), None);
        let mut hear = |text: &str| {
            view.hear(text.as_bytes(), market).unwrap();
            view.mid().map(Price::ticks)
        };
        let ticker = r#"{"stream":"ticker@SOL_USDC","data":{"e":"ticker","E":1,"s":"SOL_USDC",
            "o":"0","c":"0","h":"0","l":"0","v":"0","V":"0","n":0}}"#;
        assert_eq!(hear(ticker), None);
        assert_eq!(hear(&ticker.replace(r#""c":"0""#, r#""c":"150.00""#)), Some(15_000));
        let book = r#"{"stream":"bookTicker@SOL_USDC","data":{"e":"bookTicker","E":1,"T":1,
            "s":"SOL_USDC","b":"149.00","B":"1.00","a":"149.11","A":"2.00","u":7}}"#;
        assert_eq!(hear(book), Some(14_905));
        assert_eq!(hear(&book.replace(r#""149.11""#, "null")), Some(15_000));
        assert!(view.hear(b"nonsense", market).is_err());
    }
}
