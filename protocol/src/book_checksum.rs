//! The checksum `k` of a book, by which who keeps one from the depth stream can prove it.
//!
//! CRC-32 (ISO-HDLC, as in zip) of ASCII: the [`LEVELS`] best asks from the best up, then the best
//! bids from the best down, of each the price and then the quantity in the project's one rendering
//! ([`crate::text`]) without its dot and its leading zeros. `"20.50"` and `"0.05"` give `2050` and
//! `5`: the number of the smallest parts that the rendering can show.

use crc32fast::Hasher;

use crate::market::MarketSpec;
use crate::units::{Lots, Price};

/// Of each side.
pub const LEVELS: usize = 10;

/// Both sides best first; what is behind the tenth level does not count.
pub fn book_checksum(
    market: &MarketSpec,
    asks: impl Iterator<Item = (Price, Lots)>,
    bids: impl Iterator<Item = (Price, Lots)>,
) -> u32 {
    let mut hasher = Hasher::new();
    for (price, lots) in asks.take(LEVELS).chain(bids.take(LEVELS)) {
        push(&mut hasher, u128::from(price.ticks()) * u128::from(market.tick.mantissa));
        push(&mut hasher, u128::from(lots.0) * u128::from(market.step.mantissa));
    }
    hasher.finalize()
}

/// Worked out for every depth frame: the digits of 40 numbers written by `fmt` took longer than
/// all else about it.
fn push(hasher: &mut Hasher, parts: u128) {
    let mut digits = itoa::Buffer::new();
    hasher.update(match u64::try_from(parts) {
        Ok(parts) => digits.format(parts).as_bytes(),
        Err(_) => digits.format(parts).as_bytes(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{market, price};
    use crate::text;

    /// As the description says, from the text that clients see.
    fn naive(asks: &[(Price, Lots)], bids: &[(Price, Lots)]) -> u32 {
        let market = market();
        let mut ascii = String::new();
        for (price, lots) in asks.iter().take(10).chain(bids.iter().take(10)) {
            for shown in [text::price(*price, &market), text::lots(*lots, &market)] {
                ascii.push_str(shown.replace('.', "").trim_start_matches('0'));
            }
        }
        crc32fast::hash(ascii.as_bytes())
    }

    #[test]
    fn it_is_of_the_text_that_clients_see() {
        let asks: Vec<_> = (1..=12).map(|step| (price(2000 + step), Lots(step * 7))).collect();
        let bids: Vec<_> = (1..=12).map(|step| (price(step), Lots(1000 * step))).collect();
        for (asks, bids) in [(&asks[..], &bids[..]), (&asks[..3], &[]), (&[], &bids[..1])] {
            let found = book_checksum(&market(), asks.iter().copied(), bids.iter().copied());
            assert_eq!(found, naive(asks, bids));
        }
        assert_eq!(book_checksum(&market(), std::iter::empty(), std::iter::empty()), 0);
    }

    #[test]
    fn a_book_has_the_checksum_of_its_description() {
        // CRC-32 of "20515" + "205020", worked out elsewhere.
        let ask = [(price(2051), Lots(5))];
        let bid = [(price(2050), Lots(20))];
        let found = book_checksum(&market(), ask.into_iter(), bid.into_iter());
        assert_eq!(found, 1_682_705_020);
    }
}
