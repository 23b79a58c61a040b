//! The price orders are placed around: the mid, else what was last believed, one random step on,
//! never outside its bounds.

use protocol::Price;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::config::{MarketConfig, share_of};

#[derive(Debug)]
pub struct FairPrice {
    believed: Price,
    lowest: Price,
    highest: Price,
    step_bps: u32,
}

impl FairPrice {
    pub fn new(config: &MarketConfig) -> Self {
        FairPrice {
            believed: config.start,
            lowest: config.lowest,
            highest: config.highest,
            step_bps: config.step_bps,
        }
    }

    /// Takes one step from `mid` if there is one.
    pub fn step(&mut self, mid: Option<Price>, rng: &mut StdRng) -> Price {
        let from = mid.unwrap_or(self.believed).ticks();
        // At least a tick, or a low price would never move.
        let length = if self.step_bps == 0 { 0 } else { share_of(from, self.step_bps).max(1) };
        let low = from.saturating_sub(length).max(1);
        let drawn = rng.random_range(low..=from.saturating_add(length));
        let drawn = Price::from_ticks(drawn).unwrap_or(self.highest);
        self.believed = drawn.clamp(self.lowest, self.highest);
        self.believed
    }

    pub fn believed(&self) -> Price {
        self.believed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use proptest::prelude::*;
    use rand::SeedableRng;

    proptest! {
        #[test]
        fn the_fair_price_stays_in_its_bounds_whatever_the_mid(
            seed: u64,
            mids in prop::collection::vec(prop::option::of(1..=Price::TICKS_MAX), 1..50),
        ) {
            let config = config();
            let market = &config.markets[0];
            let mut fair = FairPrice::new(market);
            let mut rng = StdRng::seed_from_u64(seed);
            for mid in mids {
                let price = fair.step(mid.and_then(Price::from_ticks), &mut rng);
                prop_assert!(market.lowest <= price && price <= market.highest);
            }
        }
    }

    #[test]
    fn the_walk_moves_in_small_steps_and_repeats_with_its_seed() {
        let config = config();
        let walk = |seed| {
            let mut fair = FairPrice::new(&config.markets[0]);
            let mut rng = StdRng::seed_from_u64(seed);
            (0..200).map(|_| fair.step(None, &mut rng).ticks()).collect::<Vec<_>>()
        };
        let prices = walk(5);
        assert!(prices.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 2), "{prices:?}");
        assert!(prices.iter().any(|price| *price != prices[0]));
        assert_eq!(prices, walk(5));
        assert_ne!(prices, walk(6));
    }
}
