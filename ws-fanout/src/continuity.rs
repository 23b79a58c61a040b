//! Whether the frames of a channel follow each other: depth by `U` and `u`, trades by `t`.
//!
//! After a crash the engine may publish again what it cannot know to have been published. Such a
//! repeat is recognised by its engine time and left out. Ids that fall back at a later time mean
//! that the counter itself went back, and that is a gap.

use serde::Deserialize;

/// The ids one frame covers, and its engine time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub first: u64,
    pub last: u64,
    pub time_us: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    InOrder,
    Repeat,
    Gap { expected: u64 },
}

/// What came last on one channel; the first frame may start anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Continuity {
    last: Option<(u64, u64)>,
}

impl Continuity {
    pub fn check(&mut self, span: Span) -> Verdict {
        if span.last < span.first {
            return Verdict::Gap { expected: span.first };
        }
        if let Some((last, time_us)) = self.last {
            let expected = last.saturating_add(1);
            if span.last <= last && span.time_us <= time_us {
                return Verdict::Repeat;
            }
            if span.first != expected {
                return Verdict::Gap { expected };
            }
        }
        self.last = Some((span.last, span.time_us));
        Verdict::InOrder
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct DepthIds {
    #[serde(rename = "U")]
    first: u64,
    #[serde(rename = "u")]
    last: u64,
    #[serde(rename = "T")]
    time_us: u64,
}

#[derive(Deserialize)]
struct TradeIds {
    t: u64,
    #[serde(rename = "T")]
    time_us: u64,
}

pub fn depth_span(frame: &str) -> Result<Span, serde_json::Error> {
    let Envelope { data } = serde_json::from_str::<Envelope<DepthIds>>(frame)?;
    Ok(Span { first: data.first, last: data.last, time_us: data.time_us })
}

pub fn trade_span(frame: &str) -> Result<Span, serde_json::Error> {
    let Envelope { data } = serde_json::from_str::<Envelope<TradeIds>>(frame)?;
    Ok(Span { first: data.t, last: data.t, time_us: data.time_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u64, last: u64, time_us: u64) -> Span {
        Span { first, last, time_us }
    }

    #[test]
    fn consecutive_frames_are_in_order_from_wherever_they_start() {
        let mut continuity = Continuity::default();
        assert_eq!(continuity.check(span(7, 7, 1)), Verdict::InOrder);
        assert_eq!(continuity.check(span(8, 12, 2)), Verdict::InOrder);
        assert_eq!(continuity.check(span(13, 13, 2)), Verdict::InOrder);
    }

    #[test]
    fn a_missing_or_overlapping_id_is_a_gap() {
        let mut continuity = Continuity::default();
        assert_eq!(continuity.check(span(7, 7, 1)), Verdict::InOrder);
        assert_eq!(continuity.check(span(9, 9, 2)), Verdict::Gap { expected: 8 });
        assert_eq!(continuity.check(span(6, 9, 2)), Verdict::Gap { expected: 8 });
        assert_eq!(continuity.check(span(9, 8, 2)), Verdict::Gap { expected: 9 });
    }

    #[test]
    fn a_repeat_is_told_from_a_counter_that_fell_back() {
        let mut continuity = Continuity::default();
        assert_eq!(continuity.check(span(7, 9, 10)), Verdict::InOrder);
        assert_eq!(continuity.check(span(8, 8, 9)), Verdict::Repeat);
        assert_eq!(continuity.check(span(10, 10, 11)), Verdict::InOrder);
        assert_eq!(continuity.check(span(1, 1, 50)), Verdict::Gap { expected: 11 });
    }

    #[test]
    fn ids_are_read_from_frames() {
        let frame = r#"{"stream":"depth@SOL_USDC","data":{"e":"depth","E":5,"T":4,"s":"SOL_USDC",
            "a":[["20.50","1.00"]],"b":[],"U":94978271,"u":94978272}}"#;
        assert_eq!(depth_span(frame).unwrap(), span(94978271, 94978272, 4));
        let frame = r#"{"stream":"trade@SOL_USDC","data":{"e":"trade","t":12,"T":9}}"#;
        assert_eq!(trade_span(frame).unwrap(), span(12, 12, 9));
        assert!(trade_span(r#"{"data":{"t":"12","T":9}}"#).is_err());
    }
}
