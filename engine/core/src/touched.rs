//! Hot path. Which prices the last price has had since all orders that it reached had fired.
//!
//! What fires may move the last price back before the next order has fired that it had reached:
//! that one fires all the same.

use protocol::{Price, TriggerDirection};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Touched {
    pub low: Price,
    pub high: Price,
    /// Of the last trade.
    pub last: Price,
}

impl Touched {
    #[inline]
    pub const fn at(price: Price) -> Touched {
        Touched { low: price, high: price, last: price }
    }

    #[inline]
    pub fn touch(&mut self, price: Price) {
        self.low = self.low.min(price);
        self.high = self.high.max(price);
        self.last = price;
    }

    /// All that was reached has fired.
    #[inline]
    pub fn settle(&mut self) {
        *self = Touched::at(self.last);
    }

    /// Whether an order is reached that waits for the last price to go this way to `trigger`.
    #[inline]
    pub const fn reaches(&self, direction: TriggerDirection, trigger: Price) -> bool {
        match direction {
            TriggerDirection::Rise => direction.is_reached(trigger, self.high),
            TriggerDirection::Fall => direction.is_reached(trigger, self.low),
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::fixture::price;

    use super::*;

    #[test]
    fn what_was_touched_counts_until_it_is_settled() {
        let mut touched = Touched::at(price(100));
        touched.touch(price(110));
        touched.touch(price(95));
        let rises = |touched: &Touched, at| touched.reaches(TriggerDirection::Rise, price(at));
        let falls = |touched: &Touched, at| touched.reaches(TriggerDirection::Fall, price(at));
        assert!(rises(&touched, 110) && !rises(&touched, 111));
        assert!(falls(&touched, 95) && !falls(&touched, 94));
        touched.settle();
        assert_eq!(touched, Touched::at(price(95)));
        assert!(!rises(&touched, 96) && !falls(&touched, 94));
    }
}
