//! What each request weighs: the one table of it.
//!
//! Its address pays by path, before anything else is known of it; key and account pay by what was
//! signed, where a batch weighs as much as its orders.

use crate::auth::Instruction;

/// Of everything that is not listed.
const USUAL: u32 = 1;

/// Beginnings of paths, the first that fits counts.
const PATHS: &[(&str, u32)] = &[
    // A password is hashed, slowly by intent.
    ("/auth/v1/login", 10),
    ("/auth/v1/signup", 10),
    // These ask the database.
    ("/wapi/v1/history", 5),
    ("/wapi/v1/capital", 5),
    ("/api/v1/klines", 2),
    ("/api/v1/trades/history", 2),
];

const INSTRUCTIONS: &[(&str, u32)] = &[
    ("orderHistoryQueryAll", 5),
    ("fillHistoryQueryAll", 5),
    ("depositQueryAll", 5),
    ("withdrawalQueryAll", 5),
];

/// What a request to `path` takes of its address.
pub fn of_path(path: &str) -> u32 {
    weight(PATHS.iter().find(|(beginning, _)| path.starts_with(beginning)))
}

/// What a signed request takes of its key and account. `parts`: the orders of a batch, else 1.
pub fn of_signed(instruction: Instruction, parts: usize) -> u32 {
    let one = weight(INSTRUCTIONS.iter().find(|(name, _)| *name == instruction.name()));
    one.saturating_mul(u32::try_from(parts.max(1)).unwrap_or(u32::MAX))
}

fn weight(listed: Option<&(&str, u32)>) -> u32 {
    listed.map_or(USUAL, |(_, weight)| *weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_weighs_1_a_batch_its_orders_and_a_history_5() {
        assert_eq!(of_signed(Instruction::OrderExecute, 1), 1);
        assert_eq!(of_signed(Instruction::OrderExecute, 20), 20);
        assert_eq!(of_signed(Instruction::OrderHistoryQueryAll, 1), 5);
        assert_eq!(of_signed(Instruction::BalanceQuery, 0), 1);
        assert_eq!(of_signed(Instruction::Subscribe, 1), 1);
        assert_eq!(of_path("/wapi/v1/history/orders"), 5);
        assert_eq!(of_path("/api/v1/order"), 1);
        assert_eq!(of_path("/api/v1/klines"), 2);
        assert_eq!(of_path("/auth/v1/login"), 10);
    }
}
