//! What every number in the journal means: assets and markets, as text, at the head of each
//! segment.
//!
//! Ids, symbols, decimals, tick and step can never change once there is a frame that counts in
//! them. Fees and bounds may: frames say what was paid. Listing more is always allowed.

use protocol::{Catalog, Increment};
use sha2::{Digest, Sha256};

/// One definition a line, sorted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Definitions(Vec<String>);

/// A definition that is not what it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contradiction {
    pub was: String,
    pub now: String,
}

impl Definitions {
    pub fn of(catalog: &Catalog) -> Definitions {
        let assets = catalog.assets().iter().map(|asset| {
            format!("asset {} {} decimals {}", asset.id, asset.symbol, asset.decimals)
        });
        let markets = catalog.markets().iter().map(|market| {
            let (tick, step) = (increment(market.tick), increment(market.step));
            format!(
                "market {} {} base {} quote {} tick {tick} step {step}",
                market.id, market.symbol, market.base, market.quote
            )
        });
        let mut lines: Vec<_> = assets.chain(markets).collect();
        lines.sort();
        Definitions(lines)
    }

    pub fn parse(text: &str) -> Definitions {
        Definitions(text.lines().map(str::to_owned).collect())
    }

    pub fn text(&self) -> String {
        self.0.join("\n")
    }

    /// What tells two journals of different definitions apart at a glance.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.text()).into()
    }

    /// The first definition here that `now` does not repeat.
    pub fn contradiction(&self, now: &Definitions) -> Option<Contradiction> {
        let was = self.0.iter().find(|line| !now.0.contains(line))?;
        let subject = subject(was);
        let changed = now.0.iter().find(|line| self::subject(line) == subject);
        let now = changed.map_or_else(|| format!("{subject}is not listed"), Clone::clone);
        Some(Contradiction { was: was.clone(), now })
    }
}

/// `market 3 ` of a line on market 3.
fn subject(line: &str) -> &str {
    let end = line.match_indices(' ').nth(1).map_or(line.len(), |(at, _)| at + 1);
    &line[..end]
}

/// Mantissa and scale, as in `1e-2`.
fn increment(increment: Increment) -> String {
    format!("{}e-{}", increment.mantissa, increment.scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definitions(lines: &[&str]) -> Definitions {
        Definitions(lines.iter().map(|&line| line.to_owned()).collect())
    }

    #[test]
    fn more_may_be_listed_but_nothing_changed_or_removed() {
        let was = definitions(&["asset 1 USDC decimals 6", "asset 11 SOL decimals 9"]);
        let more = definitions(&[
            "asset 1 USDC decimals 6",
            "asset 11 SOL decimals 9",
            "asset 2 BTC decimals 8",
        ]);
        assert_eq!(was.contradiction(&more), None);
        let found = more.contradiction(&was).unwrap();
        assert_eq!(found.now, "asset 2 is not listed");
        let changed = definitions(&["asset 1 USDC decimals 7", "asset 11 SOL decimals 9"]);
        let found = was.contradiction(&changed).unwrap();
        assert_eq!(
            (found.was.as_str(), found.now.as_str()),
            ("asset 1 USDC decimals 6", "asset 1 USDC decimals 7")
        );
    }

    #[test]
    fn text_reads_back() {
        let some = definitions(&["asset 1 USDC decimals 6", "market 1 A_B base 2 quote 1"]);
        assert_eq!(Definitions::parse(&some.text()), some);
    }
}
