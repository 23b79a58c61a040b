//! A change of a book as a depth frame tells it, in ticks and lots.

use protocol::market::Increment;
use protocol::{Lots, MarketSpec, Price, stream_json};
use serde::Deserialize;

use crate::continuity::Span;

/// Absolute quantities: zero removes the level. Each price once a side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DepthUpdate {
    pub span: Span,
    /// Of the book after it: `k`.
    pub checksum: u32,
    pub asks: Vec<(Price, Lots)>,
    pub bids: Vec<(Price, Lots)>,
}

#[derive(Debug, thiserror::Error)]
pub enum DepthFrameError {
    #[error("not a depth frame")]
    Json(#[from] serde_json::Error),
    #[error("a price or a quantity is not one of its market")]
    Level,
    #[error("it ends before it begins")]
    Span,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(rename = "T")]
    time_us: u64,
    #[serde(rename = "k")]
    checksum: u32,
    #[serde(borrow, rename = "a")]
    asks: Vec<(&'a str, &'a str)>,
    #[serde(borrow, rename = "b")]
    bids: Vec<(&'a str, &'a str)>,
}

impl DepthUpdate {
    pub fn read(frame: &str, market: &MarketSpec) -> Result<DepthUpdate, DepthFrameError> {
        let Frame { data } = serde_json::from_str(frame)?;
        let levels = |levels: Vec<(&str, &str)>| -> Option<Vec<(Price, Lots)>> {
            levels.into_iter().map(|(price, lots)| level(price, lots, market)).collect()
        };
        let (Some(asks), Some(bids)) = (levels(data.asks), levels(data.bids)) else {
            return Err(DepthFrameError::Level);
        };
        let span = Span { first: data.first, last: data.last, time_us: data.time_us };
        if span.last < span.first {
            return Err(DepthFrameError::Span);
        }
        Ok(DepthUpdate { span, checksum: data.checksum, asks, bids })
    }

    /// The frame under the `@` name of the realtime stream.
    pub fn write(&self, market: &MarketSpec, now_us: u64) -> String {
        let Span { first, last, time_us } = self.span;
        let depth = stream_json::Depth {
            time_us,
            first_update: first,
            last_update: last,
            bids: &self.bids,
            asks: &self.asks,
            checksum: self.checksum,
        };
        stream_json::depth(market, now_us, &depth)
    }
}

fn level(price: &str, lots: &str, market: &MarketSpec) -> Option<(Price, Lots)> {
    let price = Price::from_ticks(count(price, market.tick)?)?;
    Some((price, Lots(count(lots, market.step)?)))
}

/// How many times the increment goes into a number in the project's one rendering.
fn count(text: &str, increment: Increment) -> Option<u64> {
    let scale = increment.scale as usize;
    let (whole, fraction) = match scale {
        0 => (text, ""),
        _ => text.split_once('.')?,
    };
    if whole.is_empty() || fraction.len() != scale {
        return None;
    }
    let mut parts: u128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = digit.is_ascii_digit().then(|| u128::from(digit - b'0'))?;
        parts = parts.checked_mul(10)?.checked_add(digit)?;
    }
    let each = u128::from(increment.mantissa);
    parts.is_multiple_of(each).then(|| u64::try_from(parts / each).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::fixture::{market, price};

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let update = DepthUpdate {
            span: Span { first: 41, last: 42, time_us: 7 },
            checksum: 4_294_967_295,
            asks: vec![(price(2051), Lots(100)), (price(10_000), Lots(0))],
            bids: vec![(price(1), Lots(1_234_567))],
        };
        let frame = update.write(&market(), 9);
        assert_eq!(DepthUpdate::read(&frame, &market()).unwrap(), update);
    }

    #[test]
    fn a_number_that_the_market_does_not_have_is_refused() {
        let cent = Increment { mantissa: 1, scale: 2 };
        assert_eq!(count("20.50", cent), Some(2050));
        assert_eq!(count("0.00", cent), Some(0));
        for text in ["20.5", "20.500", "20", ".50", "20.", "-1.00", "1e2.00", "+1.00", "", "1.0x"] {
            assert_eq!(count(text, cent), None, "{text}");
        }
        assert_eq!(count(&format!("{}.00", "9".repeat(40)), cent), None);
        assert_eq!(count("0.15", Increment { mantissa: 5, scale: 2 }), Some(3));
        assert_eq!(count("0.14", Increment { mantissa: 5, scale: 2 }), None);
        assert_eq!(count("100", Increment { mantissa: 25, scale: 0 }), Some(4));
    }
}
