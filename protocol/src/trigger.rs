//! Orders that wait until the last price of their market reaches a price of theirs. They hold
//! nothing while they wait; when they fire they become new orders under the id they have.

use crate::command::Place;
use crate::event::ClosedReason;
use crate::ids::OrderId;
use crate::units::{Price, Side};

/// What the client says the trigger watches. On a spot market all three are the last price; the
/// word is kept to be repeated in answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum TriggerBy {
    /// Not said.
    Unsaid = 0,
    LastPrice = 1,
    MarkPrice = 2,
    IndexPrice = 3,
}

impl TriggerBy {
    pub const ALL: [TriggerBy; 4] =
        [TriggerBy::Unsaid, TriggerBy::LastPrice, TriggerBy::MarkPrice, TriggerBy::IndexPrice];
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Trigger {
    pub price: Price,
    pub by: TriggerBy,
}

/// Which way the last price has to go to fire an order; decided when the order is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum TriggerDirection {
    /// Fires at the trigger price or above it.
    Rise = 0,
    /// Fires at the trigger price or below it.
    Fall = 1,
}

impl TriggerDirection {
    /// From the last price to `trigger`, and at it upwards; before the first trade a bid waits for
    /// a rise and an ask for a fall.
    pub fn of(trigger: Price, last: Option<Price>, side: Side) -> TriggerDirection {
        let falls = match last {
            Some(last) => trigger < last,
            None => side == Side::Ask,
        };
        if falls { TriggerDirection::Fall } else { TriggerDirection::Rise }
    }

    #[inline]
    pub const fn is_reached(self, trigger: Price, last: Price) -> bool {
        match self {
            TriggerDirection::Rise => trigger.ticks() <= last.ticks(),
            TriggerDirection::Fall => last.ticks() <= trigger.ticks(),
        }
    }
}

/// That an order waited for a trigger, and since when it does so no more because it fired.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Triggered {
    pub trigger: Trigger,
    /// `time_us` of the frame by which it fired; `None`: it never did.
    pub fired_us: Option<u64>,
}

/// A new order that is to wait. `place.valid_until_us` is in whole milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TriggerPlace {
    pub place: Place,
    pub trigger: Trigger,
}

/// An order that waits, as it does so. Its `place.valid_until_us` is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WaitingOrder {
    pub order: OrderId,
    pub place: Place,
    pub trigger: Trigger,
    pub direction: TriggerDirection,
    /// `time_us` of the command that placed it.
    pub created_us: u64,
}

/// A waiting order that waits no more, or waits otherwise from here on, without having fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Withdrawn {
    pub waiting: WaitingOrder,
    /// By request, or amended.
    pub reason: ClosedReason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_reached_at_its_price_and_beyond() {
        let price = |ticks| Price::from_ticks(ticks).unwrap();
        let reached =
            |direction: TriggerDirection, last| direction.is_reached(price(10), price(last));
        assert!(reached(TriggerDirection::Rise, 10) && reached(TriggerDirection::Rise, 11));
        assert!(!reached(TriggerDirection::Rise, 9));
        assert!(reached(TriggerDirection::Fall, 10) && reached(TriggerDirection::Fall, 9));
        assert!(!reached(TriggerDirection::Fall, 11));
    }
}
