//! Random orders: a maker's somewhere within the spread around the fair price, a taker's a little
//! through the best opposite price.

use protocol::{Lots, Price, Side};
use rand::RngExt;
use rand::rngs::StdRng;

use crate::config::{MarketConfig, share_of};
use crate::market_view::MarketView;

/// An order not yet sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quote {
    pub side: Side,
    pub price: Price,
    pub lots: Lots,
}

pub fn side(rng: &mut StdRng) -> Side {
    if rng.random_ratio(1, 2) { Side::Bid } else { Side::Ask }
}

/// Below the fair price for a bid, above it for an ask, at most half the spread away.
pub fn make(config: &MarketConfig, fair: Price, side: Side, rng: &mut StdRng) -> Quote {
    let reach = reach(config, fair.ticks());
    let away = rng.random_range(1..=reach);
    let price = moved(config, fair.ticks(), side.opposite(), away);
    Quote { side, price, lots: lots(config, rng) }
}

/// Reaches into the other side by at most half the spread. `None` when there is nothing to take, or
/// only at a price beyond the market maker's bounds.
pub fn take(
    config: &MarketConfig,
    view: &MarketView,
    side: Side,
    rng: &mut StdRng,
) -> Option<Quote> {
    let best = match side {
        Side::Bid => view.ask,
        Side::Ask => view.bid,
    }?;
    if best < config.lowest || config.highest < best {
        return None;
    }
    let through = rng.random_range(0..=reach(config, best.ticks()));
    let price = moved(config, best.ticks(), side, through);
    Some(Quote { side, price, lots: lots(config, rng) })
}

/// Half the spread in ticks, at least one.
fn reach(config: &MarketConfig, ticks: u64) -> u64 {
    share_of(ticks, config.half_spread_bps).max(1)
}

/// `ticks` moved up for a bid that reaches further, down for an ask; within what the market allows.
fn moved(config: &MarketConfig, ticks: u64, side: Side, by: u64) -> Price {
    let ticks = match side {
        Side::Bid => ticks.saturating_add(by),
        Side::Ask => ticks.saturating_sub(by),
    };
    let (lowest, highest) = (config.spec.price_min, config.spec.price_max);
    Price::from_ticks(ticks.max(1)).unwrap_or(highest).clamp(lowest, highest)
}

fn lots(config: &MarketConfig, rng: &mut StdRng) -> Lots {
    // The market may have come to take less, or more, than when the process began.
    let (least, most) = (config.spec.lots_min, config.spec.lots_max);
    let within = |lots: Lots| lots.clamp(least, most).0;
    Lots(rng.random_range(within(config.lots_min)..=within(config.lots_max)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use proptest::prelude::*;
    use rand::SeedableRng;

    proptest! {
        #[test]
        fn a_maker_stays_within_the_spread_on_its_side(seed: u64, fair in 13_500u64..=16_500) {
            let config = config();
            let market = &config.markets[0];
            let mut rng = StdRng::seed_from_u64(seed);
            let fair = Price::from_ticks(fair).unwrap();
            let side = side(&mut rng);
            let quote = make(market, fair, side, &mut rng);
            prop_assert_eq!(quote.side, side);
            match side {
                Side::Bid => prop_assert!(quote.price < fair),
                Side::Ask => prop_assert!(fair < quote.price),
            }
            // 20 bps wide: 10 to either side.
            prop_assert!(quote.price.ticks().abs_diff(fair.ticks()) * 1000 <= fair.ticks());
            prop_assert!(market.lots_min <= quote.lots && quote.lots <= market.lots_max);
        }

        #[test]
        fn a_taker_crosses_and_never_far(seed: u64, bid in 1u64..30_000, width in 1u64..100) {
            let config = config();
            let market = &config.markets[0];
            let mut rng = StdRng::seed_from_u64(seed);
            let view = MarketView {
                bid: Price::from_ticks(bid),
                ask: Price::from_ticks(bid + width),
                last: None,
            };
            for side in [Side::Bid, Side::Ask] {
                let best = if side == Side::Bid { bid + width } else { bid };
                let inside = (market.lowest.ticks()..=market.highest.ticks()).contains(&best);
                let quote = take(market, &view, side, &mut rng);
                prop_assert_eq!(quote.is_some(), inside);
                let Some(quote) = quote else { continue };
                let ticks = quote.price.ticks();
                let (least, most) = if side == Side::Bid { (best, ticks) } else { (ticks, best) };
                prop_assert!(least <= most);
                prop_assert!(ticks.abs_diff(best) * 1000 <= best);
            }
        }
    }

    #[test]
    fn nothing_is_taken_from_an_empty_side() {
        let config = config();
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(take(&config.markets[0], &MarketView::default(), Side::Bid, &mut rng), None);
    }
}
