//! The contract's words for what orders are, alike in REST and on the streams.

use crate::event::ClosedReason;
use crate::trigger::TriggerBy;
use crate::units::{SelfTradePrevention, Side, TimeInForce};

/// How an order stands, as clients are told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OrderStatus {
    New,
    PartiallyFilled,
    Filled,
    Cancelled,
    Expired,
    TriggerPending,
    TriggerFailed,
}

pub const ORDER_STATUSES: [(&str, OrderStatus); 7] = [
    ("New", OrderStatus::New),
    ("PartiallyFilled", OrderStatus::PartiallyFilled),
    ("Filled", OrderStatus::Filled),
    ("Cancelled", OrderStatus::Cancelled),
    ("Expired", OrderStatus::Expired),
    ("TriggerPending", OrderStatus::TriggerPending),
    ("TriggerFailed", OrderStatus::TriggerFailed),
];
pub const SIDES: [(&str, Side); 2] = [("Bid", Side::Bid), ("Ask", Side::Ask)];
pub const TIMES_IN_FORCE: [(&str, TimeInForce); 3] = [
    ("GTC", TimeInForce::GoodTillCancelled),
    ("IOC", TimeInForce::ImmediateOrCancel),
    ("FOK", TimeInForce::FillOrKill),
];
pub const SELF_TRADE_PREVENTIONS: [(&str, SelfTradePrevention); 3] = [
    ("RejectTaker", SelfTradePrevention::RejectTaker),
    ("RejectMaker", SelfTradePrevention::RejectMaker),
    ("RejectBoth", SelfTradePrevention::RejectBoth),
];
/// On a spot market all of them are the last price.
pub const TRIGGER_SOURCES: [(&str, TriggerBy); 3] = [
    ("LastPrice", TriggerBy::LastPrice),
    ("MarkPrice", TriggerBy::MarkPrice),
    ("IndexPrice", TriggerBy::IndexPrice),
];

/// The word of `value` in one of the tables; `None`: it has none.
pub fn word<T: Copy + PartialEq>(table: &[(&'static str, T)], value: T) -> Option<&'static str> {
    table.iter().find(|(_, of)| *of == value).map(|(word, _)| *word)
}

/// Why an order expired; what was asked for is no expiry.
pub const fn expiry_reason(reason: ClosedReason) -> Option<&'static str> {
    match reason {
        ClosedReason::ByRequest | ClosedReason::Amended => None,
        ClosedReason::ImmediateOrCancel => Some("ImmediateOrCancel"),
        ClosedReason::FillOrKill => Some("FillOrKill"),
        ClosedReason::SelfTradePrevention => Some("SelfTradePrevention"),
        ClosedReason::InsufficientLiquidity => Some("InsufficientLiquidity"),
        ClosedReason::TradesLimit => Some("Unknown"),
        ClosedReason::PriceImpact => Some("PriceImpact"),
    }
}

#[cfg(all(test, feature = "json"))]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_json_is_written_with() {
        for (word, status) in ORDER_STATUSES {
            assert_eq!(serde_json::to_value(status).unwrap(), word);
        }
        for (word, side) in SIDES {
            assert_eq!(serde_json::to_value(side).unwrap(), word);
        }
        for (word, time_in_force) in TIMES_IN_FORCE {
            assert_eq!(serde_json::to_value(time_in_force).unwrap(), word);
        }
        for (word, policy) in SELF_TRADE_PREVENTIONS {
            assert_eq!(serde_json::to_value(policy).unwrap(), word);
        }
        assert_eq!(word(&TRIGGER_SOURCES, TriggerBy::MarkPrice), Some("MarkPrice"));
        assert_eq!(word(&TRIGGER_SOURCES, TriggerBy::Unsaid), None);
    }
}
