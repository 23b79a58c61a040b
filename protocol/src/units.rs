//! Prices, quantities and amounts as integers that cannot be mixed up.

use std::fmt;
use std::num::NonZeroU64;

/// A limit price in ticks of its market, 1 to [`Price::TICKS_MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Price(NonZeroU64);
const _: () = assert!(size_of::<Option<Price>>() == 8);

impl Price {
    /// 2^36 - 1: six levels of a 64-ary price index.
    pub const TICKS_MAX: u64 = (1 << 36) - 1;

    /// `None` for zero and above [`Price::TICKS_MAX`].
    #[inline]
    pub const fn from_ticks(ticks: u64) -> Option<Self> {
        if ticks > Self::TICKS_MAX {
            return None;
        }
        match NonZeroU64::new(ticks) {
            Some(ticks) => Some(Price(ticks)),
            None => None,
        }
    }

    #[inline]
    pub const fn ticks(self) -> u64 {
        self.0.get()
    }
}

/// A quantity of a market's base asset in lots; zero where nothing is left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Lots(pub u64);

impl Lots {
    pub const ZERO: Lots = Lots(0);

    #[inline]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// What is left after taking `taken`; `None` when it is more than there is.
    #[inline]
    pub const fn checked_sub(self, taken: Lots) -> Option<Lots> {
        match self.0.checked_sub(taken.0) {
            Some(left) => Some(Lots(left)),
            None => None,
        }
    }

    #[inline]
    pub const fn checked_add(self, more: Lots) -> Option<Lots> {
        match self.0.checked_add(more.0) {
            Some(sum) => Some(Lots(sum)),
            None => None,
        }
    }
}

/// An amount of an asset in its smallest units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Units(pub u64);

impl Units {
    pub const ZERO: Units = Units(0);
    /// All units of one asset together never exceed this, so no balance can overflow.
    pub const SUPPLY_MAX: Units = Units(1 << 62);

    #[inline]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub const fn checked_sub(self, taken: Units) -> Option<Units> {
        match self.0.checked_sub(taken.0) {
            Some(left) => Some(Units(left)),
            None => None,
        }
    }

    #[inline]
    pub const fn checked_add(self, more: Units) -> Option<Units> {
        match self.0.checked_add(more.0) {
            Some(sum) => Some(Units(sum)),
            None => None,
        }
    }
}

impl fmt::Display for Lots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which side of the book an order belongs to; the contract's words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Side {
    Bid = 0,
    Ask = 1,
}

impl Side {
    #[inline]
    pub const fn opposite(self) -> Side {
        match self {
            Side::Bid => Side::Ask,
            Side::Ask => Side::Bid,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum TimeInForce {
    #[cfg_attr(feature = "serde", serde(rename = "GTC"))]
    GoodTillCancelled = 0,
    #[cfg_attr(feature = "serde", serde(rename = "IOC"))]
    ImmediateOrCancel = 1,
    #[cfg_attr(feature = "serde", serde(rename = "FOK"))]
    FillOrKill = 2,
}

/// What happens when an order would trade with another of its own account.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum SelfTradePrevention {
    RejectTaker = 0,
    RejectMaker = 1,
    RejectBoth = 2,
}

/// What a market takes; by its operator's wish, or because its books do not add up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum BookState {
    #[default]
    Open = 1,
    /// Nothing but cancels.
    CancelOnly = 2,
    /// Nothing.
    Closed = 3,
    /// No market orders.
    LimitOnly = 4,
    /// Post-only limit orders alone, and cancels.
    PostOnly = 5,
}

impl BookState {
    pub const ALL: [BookState; 5] = [
        BookState::Open,
        BookState::CancelOnly,
        BookState::Closed,
        BookState::LimitOnly,
        BookState::PostOnly,
    ];
}
