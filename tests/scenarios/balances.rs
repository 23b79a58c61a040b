//! Holds, releases, price improvement and fees. The whole exchange is audited when its lane ends.

use scenarios::client::{limit, with};
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::json;

pub const SCENARIOS: &[Scenario] = &[
    ("balances::a_hold_is_what_the_order_may_still_cost", a_hold_is_what_may_still_be_spent),
    ("balances::fees_round_against_the_payer", fees_round_against_the_payer),
];

fn a_hold_is_what_may_still_be_spent(world: &mut World) {
    let buyer = world.trader("buyer", &[("USDC", "1000")]);
    let seller = world.trader("seller", &[("ETH", "100")]);
    buyer.place(&limit("ETH_USDC", "Bid", "10", "20")).ok();
    buyer.has("USDC", "800", "200");
    buyer.place(&limit("SOL_USDC", "Bid", "1", "900")).refused(400, "INSUFFICIENT_FUNDS");
    seller.place(&limit("ETH_USDC", "Ask", "10", "5")).ok();
    buyer.has("USDC", "800", "150");
    seller.has("ETH", "95", "0");
    buyer.cancel_all("ETH_USDC").ok();
    buyer.has("USDC", "950", "0");

    // Held at 12, executed at 9: the rest comes back at once.
    seller.place(&limit("ETH_USDC", "Ask", "9", "10")).ok();
    seller.has("ETH", "85", "10");
    buyer.place(&limit("ETH_USDC", "Bid", "12", "15")).ok();
    buyer.has("USDC", "800", "60");
    let rest = with(&limit("ETH_USDC", "Ask", "12", "10"), json!({"timeInForce": "IOC"}));
    seller.place(&rest).ok();
    buyer.has("USDC", "800", "0");
    seller.has("ETH", "80", "0");
}

fn fees_round_against_the_payer(world: &mut World) {
    let buyer = world.trader("buyer", &[("BTC", "1")]);
    let seller = world.trader("seller", &[("SOL", "10")]);
    // 0.1 at 0.0000001 BTC are one satoshi; ten basis points of that are a whole one.
    buyer.place(&limit("SOL_BTC", "Bid", "0.0000001", "0.1")).ok();
    let sold = seller.place(&limit("SOL_BTC", "Ask", "0.0000001", "0.1")).ok();
    assert_eq!(sold["fills"][0]["fee"], "0.00000001");
    assert_eq!(sold["fills"][0]["feeSymbol"], "BTC");
    seller.has("BTC", "0", "0");
    buyer.has("BTC", "0.99999999", "0");
    // Eight basis points of 0.1.
    buyer.has("SOL", "0.09992", "0");
}
