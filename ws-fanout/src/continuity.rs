//! Whether the frames of a channel follow each other: depth by `U` and `u`, trades by `t`.
//!
//! After a crash the engine may publish again what it cannot know to have been published. Such a
//! repeat is recognised by its engine time and left out. Ids that fall back at a later time mean
//! that the counter itself went back.

use serde::Deserialize;

/// The ids one frame covers, and its engine time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub first: u64,
    pub last: u64,
    pub time_us: u64,
}

/// How far those who listen have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reached {
    pub id: u64,
    /// Engine time of that id; `None`: it is known by its number alone.
    pub time_us: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Next,
    Repeat,
    /// It is not what follows: something is missing, or it begins with what is known.
    Apart,
    FellBack,
}

impl Reached {
    pub fn check(self, span: Span) -> Verdict {
        if span.last < span.first {
            return Verdict::Apart;
        }
        if span.last <= self.id {
            let is_later = self.time_us.is_some_and(|time_us| time_us < span.time_us);
            return if is_later { Verdict::FellBack } else { Verdict::Repeat };
        }
        if span.first == self.id.saturating_add(1) { Verdict::Next } else { Verdict::Apart }
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct TradeIds {
    t: u64,
    #[serde(rename = "T")]
    time_us: u64,
}

#[derive(Deserialize)]
struct BookTickerId {
    u: u64,
}

pub fn trade_span(frame: &str) -> Result<Span, serde_json::Error> {
    let Envelope { data } = serde_json::from_str::<Envelope<TradeIds>>(frame)?;
    Ok(Span { first: data.t, last: data.t, time_us: data.time_us })
}

/// Up to which update of the book its best prices are known.
pub fn book_ticker_update(frame: &str) -> Result<u64, serde_json::Error> {
    Ok(serde_json::from_str::<Envelope<BookTickerId>>(frame)?.data.u)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: u64, time_us: u64, first: u64, last: u64, at_us: u64) -> Verdict {
        let reached = Reached { id, time_us: Some(time_us) };
        reached.check(Span { first, last, time_us: at_us })
    }

    #[test]
    fn only_what_follows_at_once_is_next() {
        assert_eq!(check(7, 1, 8, 8, 2), Verdict::Next);
        assert_eq!(check(7, 1, 8, 12, 1), Verdict::Next);
        assert_eq!(check(7, 1, 9, 9, 2), Verdict::Apart);
        assert_eq!(check(7, 1, 6, 9, 2), Verdict::Apart);
        assert_eq!(check(7, 1, 9, 8, 2), Verdict::Apart);
    }

    #[test]
    fn a_repeat_is_told_from_a_counter_that_fell_back() {
        assert_eq!(check(9, 10, 8, 8, 9), Verdict::Repeat);
        assert_eq!(check(9, 10, 9, 9, 10), Verdict::Repeat);
        assert_eq!(check(9, 10, 1, 1, 50), Verdict::FellBack);
        let reached = Reached { id: 9, time_us: None };
        let span = Span { first: 9, last: 9, time_us: 50 };
        assert_eq!(reached.check(span), Verdict::Repeat, "nothing says that it is later");
    }

    #[test]
    fn ids_are_read_from_frames() {
        let frame = r#"{"stream":"trade@SOL_USDC","data":{"e":"trade","t":12,"T":9}}"#;
        assert_eq!(trade_span(frame).unwrap(), Span { first: 12, last: 12, time_us: 9 });
        assert!(trade_span(r#"{"data":{"t":"12","T":9}}"#).is_err());
        let frame = r#"{"stream":"bookTicker@SOL_USDC","data":{"b":null,"u":94978271}}"#;
        assert_eq!(book_ticker_update(frame).unwrap(), 94978271);
    }
}
