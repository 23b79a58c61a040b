//! What every number in the journal means, and under which rules it came about: text at the head
//! of each segment.
//!
//! ```text
//! asset 2 SOL decimals 9
//! limits orders_max 262144 open_orders_per_account_max 1000 …
//! market 1 SOL_USDC base 2 quote 1 tick 1e-2 step 1e-2
//! terms 1 maker_fee 800 taker_fee 1000 price_min 1 price_max 4294967295 … band 0..10000000 …
//! ```
//!
//! Ids, symbols, decimals, tick and step can never change once there is a frame that counts in
//! them; listing more is always allowed. Terms (fees and factors in millionths, bounds in ticks and
//! lots) and limits may change from one segment to the next: frames say what was decided, and these
//! lines let a later reader decide it again. Markets listed while the engine runs, and terms set
//! then, are not here but in frames.

use std::num::NonZeroU32;
use std::str::FromStr;

use engine_core::ShardLimits;
use protocol::{
    AssetId, AssetSpec, Catalog, FeeRate, Increment, Lots, MarketId, MarketSpec, Multipliers, Price,
};
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

#[derive(PartialEq, Eq, Debug, thiserror::Error)]
pub enum DefinitionsError {
    #[error("line \"{0}\" is none that this engine writes")]
    Line(String),
    #[error("there is no line that begins with \"{0}\"")]
    Absent(String),
    #[error("the lines do not list a catalog: {0}")]
    Catalog(#[from] protocol::catalog::CatalogError),
}

impl Definitions {
    pub fn of(catalog: &Catalog, limits: &ShardLimits) -> Definitions {
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
        let terms = catalog.markets().iter().map(terms);
        let mut lines: Vec<_> = assets.chain(markets).chain(terms).collect();
        lines.push(self::limits(limits));
        lines.sort();
        Definitions(lines)
    }

    pub fn parse(text: &str) -> Definitions {
        Definitions(text.lines().map(str::to_owned).collect())
    }

    pub fn text(&self) -> String {
        self.0.join("\n")
    }

    pub fn lines(&self) -> &[String] {
        &self.0
    }

    /// What tells two journals of different definitions apart at a glance.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.text()).into()
    }

    /// The first definition here that `now` does not repeat, of those that can never change.
    pub fn contradiction(&self, now: &Definitions) -> Option<Contradiction> {
        let is_fixed = |line: &&String| matches!(keyword(line), "asset" | "market");
        let was = self.0.iter().filter(is_fixed).find(|line| !now.0.contains(line))?;
        let subject = subject(was);
        let changed = now.0.iter().find(|line| self::subject(line) == subject);
        let now = changed.map_or_else(|| format!("{subject}is not listed"), Clone::clone);
        Some(Contradiction { was: was.clone(), now })
    }

    /// The assets and markets listed, under their terms. What the engine never looks at (display
    /// names, chains) is left empty.
    pub fn catalog(&self) -> Result<Catalog, DefinitionsError> {
        let assets = self.of_kind("asset").map(asset).collect::<Result<Vec<_>, _>>()?;
        let markets = self.of_kind("market").map(|line| self.market(line, &assets));
        let markets = markets.collect::<Result<Vec<_>, _>>()?;
        Ok(Catalog::new(assets, markets)?)
    }

    pub fn limits(&self) -> Result<ShardLimits, DefinitionsError> {
        let absent = || DefinitionsError::Absent("limits".to_owned());
        let line = self.of_kind("limits").next().ok_or_else(absent)?;
        let words = Words::of(line);
        Ok(ShardLimits {
            orders_max: words.after("orders_max")?,
            open_orders_per_account_max: words.after("open_orders_per_account_max")?,
            trades_per_command_max: words.after("trades_per_command_max")?,
            accounts_max: words.after("accounts_max")?,
            markets_max: words.after("markets_max")?,
        })
    }

    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(move |line| keyword(line) == kind)
    }

    fn market(&self, line: &str, assets: &[AssetSpec]) -> Result<MarketSpec, DefinitionsError> {
        let words = Words::of(line);
        let id: u16 = words.at(1)?;
        let (base, quote) = (AssetId(words.after("base")?), AssetId(words.after("quote")?));
        let (tick, step) = (words.increment("tick")?, words.increment("step")?);
        let per_lot = |id: AssetId, increments: &[Increment]| {
            let asset = assets.iter().find(|asset| asset.id == id);
            let units = asset.and_then(|asset| Increment::whole_units(increments, asset.decimals));
            units.ok_or_else(|| words.refuse())
        };
        let prefix = format!("terms {id} ");
        let terms = self.0.iter().find(|line| line.starts_with(&prefix));
        let terms = Words::of(terms.ok_or(DefinitionsError::Absent(prefix))?);
        let price = |key| Price::from_ticks(terms.after(key)?).ok_or_else(|| terms.refuse());
        Ok(MarketSpec {
            id: MarketId(id),
            symbol: words.at(2)?,
            base,
            quote,
            tick,
            step,
            base_units_per_lot: per_lot(base, &[step])?,
            quote_units_per_tick_lot: per_lot(quote, &[tick, step])?,
            price_min: price("price_min")?,
            price_max: price("price_max")?,
            lots_min: Lots(terms.after("lots_min")?),
            lots_max: Lots(terms.after("lots_max")?),
            maker_fee: FeeRate { millionths: terms.after("maker_fee")? },
            taker_fee: FeeRate { millionths: terms.after("taker_fee")? },
            band: terms.multipliers("band")?,
            impact: terms.multipliers("impact")?,
        })
    }
}

fn terms(market: &MarketSpec) -> String {
    format!(
        "terms {} maker_fee {} taker_fee {} price_min {} price_max {} lots_min {} lots_max {} \
         band {} impact {}",
        market.id,
        market.maker_fee.millionths,
        market.taker_fee.millionths,
        market.price_min.ticks(),
        market.price_max.ticks(),
        market.lots_min.0,
        market.lots_max.0,
        multipliers(market.band),
        multipliers(market.impact)
    )
}

/// Lower and upper factor in millionths, 0 for none.
fn multipliers(multipliers: Multipliers) -> String {
    let millionths = |factor: Option<NonZeroU32>| factor.map_or(0, NonZeroU32::get);
    let Multipliers { min_millionths, max_millionths } = multipliers;
    format!("{}..{}", millionths(min_millionths), millionths(max_millionths))
}

fn limits(limits: &ShardLimits) -> String {
    // By name, so that a limit that is added is not forgotten here.
    let ShardLimits {
        orders_max,
        open_orders_per_account_max,
        trades_per_command_max,
        accounts_max,
        markets_max,
    } = limits;
    format!(
        "limits orders_max {orders_max} \
         open_orders_per_account_max {open_orders_per_account_max} \
         trades_per_command_max {trades_per_command_max} accounts_max {accounts_max} \
         markets_max {markets_max}"
    )
}

fn asset(line: &str) -> Result<AssetSpec, DefinitionsError> {
    let words = Words::of(line);
    Ok(AssetSpec {
        id: AssetId(words.at(1)?),
        symbol: words.at(2)?,
        display_name: String::new(),
        blockchain: String::new(),
        decimals: words.after("decimals")?,
    })
}

fn keyword(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
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

/// A line to be read: a keyword, what it is about, then names and values in turn.
struct Words<'a> {
    line: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Words<'a> {
        Words { line, words: line.split(' ').collect() }
    }

    fn refuse(&self) -> DefinitionsError {
        DefinitionsError::Line(self.line.to_owned())
    }

    fn at<T: FromStr>(&self, place: usize) -> Result<T, DefinitionsError> {
        let word = self.words.get(place).and_then(|word| word.parse().ok());
        word.ok_or_else(|| self.refuse())
    }

    /// The value behind a name.
    fn after<T: FromStr>(&self, name: &str) -> Result<T, DefinitionsError> {
        let place = self.words.iter().position(|word| *word == name);
        place.map_or_else(|| Err(self.refuse()), |place| self.at(place + 1))
    }

    fn increment(&self, name: &str) -> Result<Increment, DefinitionsError> {
        let word: String = self.after(name)?;
        let parts = word.split_once("e-");
        let parts = parts.and_then(|(mantissa, scale)| {
            Some(Increment { mantissa: mantissa.parse().ok()?, scale: scale.parse().ok()? })
        });
        parts.ok_or_else(|| self.refuse())
    }

    fn multipliers(&self, name: &str) -> Result<Multipliers, DefinitionsError> {
        let word: String = self.after(name)?;
        let parts = word.split_once("..").and_then(|(min, max)| {
            let millionths = |word: &str| word.parse().ok().map(NonZeroU32::new);
            Some(Multipliers { min_millionths: millionths(min)?, max_millionths: millionths(max)? })
        });
        parts.ok_or_else(|| self.refuse())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::fixture;

    const LIMITS: ShardLimits = ShardLimits {
        orders_max: 1,
        open_orders_per_account_max: 2,
        trades_per_command_max: 3,
        accounts_max: 4,
        markets_max: 5,
    };

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
    fn terms_and_limits_may_change() {
        let was = Definitions::of(&fixture::catalog(), &LIMITS);
        let dearer = MarketSpec { taker_fee: FeeRate { millionths: 9 }, ..fixture::market() };
        let roomier = ShardLimits { accounts_max: 9, ..LIMITS };
        let now = Definitions::of(&fixture::catalog_with(dearer), &roomier);
        assert_ne!(was, now);
        assert_eq!((was.contradiction(&now), now.contradiction(&was)), (None, None));
    }

    #[test]
    fn text_reads_back() {
        let some = definitions(&["asset 1 USDC decimals 6", "market 1 A_B base 2 quote 1"]);
        assert_eq!(Definitions::parse(&some.text()), some);
    }

    #[test]
    fn catalog_and_limits_read_back() {
        let market = MarketSpec {
            price_min: fixture::price(7),
            price_max: fixture::price(70),
            lots_min: Lots(2),
            lots_max: Lots(200),
            band: Multipliers { min_millionths: NonZeroU32::new(5), max_millionths: None },
            ..fixture::market()
        };
        let catalog = fixture::catalog_with(market);
        let written = Definitions::parse(&Definitions::of(&catalog, &LIMITS).text());
        let read = written.catalog().unwrap();
        assert_eq!(read.markets(), catalog.markets());
        let known = |catalog: &Catalog| {
            let assets = catalog.assets().iter();
            assets.map(|it| (it.id, it.symbol.clone(), it.decimals)).collect::<Vec<_>>()
        };
        assert_eq!(known(&read), known(&catalog));
        assert_eq!(Definitions::of(&read, &written.limits().unwrap()), written);
    }

    #[test]
    fn lines_that_say_nothing_are_named() {
        let market = "market 1 A_B base 2 quote 1 tick 1e-2 step 1e-2";
        for (lines, named) in [
            (vec!["asset x USDC decimals 6"], "asset x USDC"),
            (vec!["asset 1 USDC"], "asset 1 USDC"),
            (vec!["asset 1 B decimals 6", "asset 2 A decimals 9", market], "terms 1"),
            (vec![market, "terms 1 maker_fee 0"], "market 1"),
        ] {
            let error = definitions(&lines).catalog().unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let error = definitions(&["limits orders_max 5"]).limits().unwrap_err();
        assert_eq!(error, DefinitionsError::Line("limits orders_max 5".to_owned()));
        assert!(matches!(definitions(&[]).limits(), Err(DefinitionsError::Absent(_))));
    }
}
