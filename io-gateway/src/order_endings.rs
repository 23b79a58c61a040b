//! The contract's words for why an order was refused when its trigger fired, and all words for why
//! an order ended.

use std::collections::BTreeSet;

use protocol::order_words::expiry_reason;
use protocol::{ClosedReason, Refusal};

/// Every reason for which an order expires.
const EXPIRIES: [ClosedReason; 6] = [
    ClosedReason::ImmediateOrCancel,
    ClosedReason::FillOrKill,
    ClosedReason::SelfTradePrevention,
    ClosedReason::InsufficientLiquidity,
    ClosedReason::TradesLimit,
    ClosedReason::PriceImpact,
];

/// The contract's word for why an order was refused when it fired.
pub const fn failure_reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::InsufficientFunds => "InsufficientFunds",
        Refusal::PriceOutOfRange => "InvalidPrice",
        Refusal::LotsOutOfRange | Refusal::AmountOutOfRange => "InvalidQuantity",
        Refusal::OutsidePriceBand => "PriceOutOfBounds",
        Refusal::PostOnlyWouldTake => "PostOnlyTaker",
        Refusal::PostOnlyMarket => "PostOnlyMode",
        _ => "Unknown",
    }
}

/// Every word of `expiryReason`, once.
pub fn ending_words() -> Vec<&'static str> {
    let expired = EXPIRIES.into_iter().filter_map(expiry_reason);
    let words: BTreeSet<_> = expired.chain(Refusal::ALL.into_iter().map(failure_reason)).collect();
    words.into_iter().collect()
}
