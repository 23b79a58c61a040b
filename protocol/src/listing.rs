//! Assets and markets as an operator writes them, checked into a [`Catalog`].

use rust_decimal::Decimal;
use serde::Deserialize;

use crate::catalog::{Catalog, CatalogError};
use crate::decimal::{self, DecimalError};
use crate::ids::{AssetId, MarketId};
use crate::market::{AssetSpec, FeeRate, Increment, MarketSpec};
use crate::terms::Multipliers;
use crate::units::{Lots, Price};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAsset {
    pub id: u16,
    pub symbol: String,
    pub display_name: String,
    pub blockchain: String,
    pub decimals: u32,
}

/// Decimals are written as strings, as everywhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMarket {
    pub id: u16,
    pub base: String,
    pub quote: String,
    pub tick_size: String,
    pub step_size: String,
    pub min_price: Option<String>,
    pub max_price: Option<String>,
    pub min_quantity: Option<String>,
    pub max_quantity: Option<String>,
    pub maker_fee_bps: String,
    pub taker_fee_bps: String,
    /// Band of limit prices around the last price, and how far a market order may eat.
    pub min_multiplier: Option<String>,
    pub max_multiplier: Option<String>,
    pub min_impact_multiplier: Option<String>,
    pub max_impact_multiplier: Option<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("asset {asset}: {rule}")]
    Asset { asset: String, rule: &'static str },
    #[error("market {market}: {field} {text:?}: {cause}")]
    Field { market: String, field: &'static str, text: String, cause: DecimalError },
    #[error("market {market}: asset {asset} is not listed")]
    UnknownAsset { market: String, asset: String },
    #[error("market {market}: tick times step is no whole number of quote units")]
    FractionalNotional { market: String },
    #[error("market {market}: step_size is no whole number of base units")]
    FractionalStep { market: String },
    #[error("market {market}: {rule}")]
    Rule { market: String, rule: &'static str },
}

pub fn catalog(assets: &[RawAsset], markets: &[RawMarket]) -> Result<Catalog, ListingError> {
    let assets = assets.iter().map(asset).collect::<Result<Vec<_>, _>>()?;
    let markets = markets.iter().map(|raw| market(raw, &assets)).collect::<Result<Vec<_>, _>>()?;
    Ok(Catalog::new(assets, markets)?)
}

fn asset(raw: &RawAsset) -> Result<AssetSpec, ListingError> {
    let refuse = |rule| Err(ListingError::Asset { asset: raw.symbol.clone(), rule });
    let letters = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    if raw.symbol.is_empty() || 10 < raw.symbol.len() || !raw.symbol.bytes().all(letters) {
        return refuse("a symbol is 1 to 10 of A-Z and 0-9");
    }
    if AssetSpec::DECIMALS_MAX < raw.decimals {
        return refuse("decimals are at most 12");
    }
    if 255 < raw.id {
        return refuse("an id is at most 255");
    }
    Ok(AssetSpec {
        id: AssetId(raw.id),
        symbol: raw.symbol.clone(),
        display_name: raw.display_name.clone(),
        blockchain: raw.blockchain.clone(),
        decimals: raw.decimals,
    })
}

/// Reads the fields of one market and names the one that is wrong.
struct Fields<'a> {
    market: &'a str,
}

impl Fields<'_> {
    fn read<T>(
        &self,
        field: &'static str,
        text: &str,
        convert: impl FnOnce(Decimal) -> Result<T, DecimalError>,
    ) -> Result<T, ListingError> {
        decimal::parse(text).and_then(convert).map_err(|cause| ListingError::Field {
            market: self.market.to_owned(),
            field,
            text: text.to_owned(),
            cause,
        })
    }

    fn optional<T>(
        &self,
        field: &'static str,
        text: Option<&String>,
        default: T,
        convert: impl FnOnce(Decimal) -> Result<T, DecimalError>,
    ) -> Result<T, ListingError> {
        text.map_or(Ok(default), |text| self.read(field, text, convert))
    }

    fn rule<T>(&self, rule: &'static str) -> Result<T, ListingError> {
        Err(ListingError::Rule { market: self.market.to_owned(), rule })
    }
}

fn market(raw: &RawMarket, assets: &[AssetSpec]) -> Result<MarketSpec, ListingError> {
    let symbol = format!("{}_{}", raw.base, raw.quote);
    let fields = Fields { market: &symbol };
    let listed = |name: &String| {
        assets.iter().find(|asset| asset.symbol == *name).ok_or_else(|| {
            ListingError::UnknownAsset { market: symbol.clone(), asset: name.clone() }
        })
    };
    let (base, quote) = (listed(&raw.base)?, listed(&raw.quote)?);
    if base.id == quote.id {
        return fields.rule("base and quote are the same asset");
    }
    let tick = fields.read("tick_size", &raw.tick_size, decimal::increment)?;
    let step = fields.read("step_size", &raw.step_size, decimal::increment)?;
    let Some(base_units_per_lot) = Increment::whole_units(&[step], base.decimals) else {
        return Err(ListingError::FractionalStep { market: symbol });
    };
    let Some(quote_units_per_tick_lot) = Increment::whole_units(&[tick, step], quote.decimals)
    else {
        return Err(ListingError::FractionalNotional { market: symbol });
    };
    let Some(highest) = Price::from_ticks(Price::TICKS_MAX) else {
        unreachable!("Invariant: the highest price is a price")
    };
    let Some(lowest) = Price::from_ticks(1) else { unreachable!("Invariant: one tick is a price") };
    let mut market = MarketSpec {
        id: MarketId(raw.id),
        symbol: symbol.clone(),
        base: base.id,
        quote: quote.id,
        tick,
        step,
        base_units_per_lot,
        quote_units_per_tick_lot,
        price_min: lowest,
        price_max: highest,
        lots_min: Lots(1),
        lots_max: MarketSpec::LOTS_MAX_DEFAULT,
        maker_fee: fields.read("maker_fee_bps", &raw.maker_fee_bps, fee_rate)?,
        taker_fee: fields.read("taker_fee_bps", &raw.taker_fee_bps, fee_rate)?,
        band: Multipliers::default(),
        impact: Multipliers::default(),
    };
    let (price, lots) =
        (|value| decimal::price(value, &market), |value| decimal::lots(value, &market));
    let price_min = fields.optional("min_price", raw.min_price.as_ref(), lowest, price)?;
    let price_max = fields.optional("max_price", raw.max_price.as_ref(), highest, price)?;
    let lots_min = fields.optional("min_quantity", raw.min_quantity.as_ref(), Lots(1), lots)?;
    let lots_max =
        fields.optional("max_quantity", raw.max_quantity.as_ref(), market.lots_max, lots)?;
    if price_max < price_min {
        return fields.rule("max_price is below min_price");
    }
    if lots_max < lots_min {
        return fields.rule("max_quantity is below min_quantity");
    }
    let [band, impact] = multipliers(&fields, raw)?;
    (market.band, market.impact) = (band, impact);
    (market.price_min, market.price_max) = (price_min, price_max);
    (market.lots_min, market.lots_max) = (lots_min, lots_max);
    Ok(market)
}

/// The band, and the bound of market orders: each holds the price it is of.
fn multipliers(fields: &Fields<'_>, raw: &RawMarket) -> Result<[Multipliers; 2], ListingError> {
    const ONE: u32 = 1_000_000;
    let read = |field, text: &Option<String>| {
        let some = |value| decimal::millionths(value).map(Some);
        fields.optional(field, text.as_ref(), None, some)
    };
    let band = Multipliers {
        min_millionths: read("min_multiplier", &raw.min_multiplier)?,
        max_millionths: read("max_multiplier", &raw.max_multiplier)?,
    };
    let impact = Multipliers {
        min_millionths: read("min_impact_multiplier", &raw.min_impact_multiplier)?,
        max_millionths: read("max_impact_multiplier", &raw.max_impact_multiplier)?,
    };
    for Multipliers { min_millionths, max_millionths } in [band, impact] {
        if min_millionths.is_some_and(|min| ONE < min.get()) {
            return fields.rule("a min multiplier is at most 1");
        }
        if max_millionths.is_some_and(|max| max.get() < ONE) {
            return fields.rule("a max multiplier is at least 1");
        }
    }
    Ok([band, impact])
}

/// Basis points, 0 to 10,000, with at most two decimals. A rebate would pay out units that no trade
/// brought in, so a fee is never negative.
pub fn fee_rate(bps: Decimal) -> Result<FeeRate, DecimalError> {
    if bps.is_zero() {
        return Ok(FeeRate { millionths: 0 });
    }
    let bps = decimal::increment(bps)?;
    if 2 < bps.scale {
        return Err(DecimalError::TooFine);
    }
    let millionths = bps.mantissa.checked_mul(10u64.pow(2 - bps.scale));
    let millionths = millionths.and_then(|millionths| u32::try_from(millionths).ok());
    millionths
        .filter(|millionths| *millionths <= FeeRate::MILLIONTHS_MAX)
        .map(|millionths| FeeRate { millionths })
        .ok_or(DecimalError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets() -> Vec<RawAsset> {
        [("USDC", 6), ("SOL", 9), ("BTC", 8)]
            .into_iter()
            .zip(1..)
            .map(|((symbol, decimals), id)| RawAsset {
                id,
                symbol: symbol.to_owned(),
                display_name: symbol.to_owned(),
                blockchain: "Solana".to_owned(),
                decimals,
            })
            .collect()
    }

    fn raw(base: &str, quote: &str, tick_size: &str, step_size: &str) -> RawMarket {
        RawMarket {
            id: 1,
            base: base.to_owned(),
            quote: quote.to_owned(),
            tick_size: tick_size.to_owned(),
            step_size: step_size.to_owned(),
            min_price: None,
            max_price: None,
            min_quantity: Some("0.02".to_owned()),
            max_quantity: None,
            maker_fee_bps: "8".to_owned(),
            taker_fee_bps: "2.5".to_owned(),
            min_multiplier: None,
            max_multiplier: Some("1.25".to_owned()),
            min_impact_multiplier: None,
            max_impact_multiplier: None,
        }
    }

    #[test]
    fn a_market_is_listed_in_whole_units() {
        let catalog = catalog(&assets(), &[raw("SOL", "USDC", "0.010", "0.01")]).unwrap();
        let market = catalog.market_by_symbol("SOL_USDC").unwrap();
        assert_eq!(market.tick, Increment { mantissa: 1, scale: 2 });
        assert_eq!(market.base_units_per_lot, 10_000_000);
        assert_eq!(market.quote_units_per_tick_lot, 100);
        assert_eq!(market.lots_min, Lots(2));
        assert_eq!(market.band.max_millionths.map(|it| it.get()), Some(1_250_000));
        assert_eq!((market.maker_fee.millionths, market.taker_fee.millionths), (800, 250));
    }

    #[test]
    fn the_market_of_tests_is_one_that_can_be_listed() {
        let market = RawMarket {
            min_quantity: None,
            max_multiplier: None,
            taker_fee_bps: "10".to_owned(),
            ..raw("SOL", "USDC", "0.01", "0.01")
        };
        assert_eq!(catalog(&assets()[..2], &[market]).unwrap(), crate::fixture::catalog());
    }

    #[test]
    fn notional_must_be_whole() {
        let refused = catalog(&assets(), &[raw("SOL", "BTC", "0.0000001", "0.01")]);
        let market = "SOL_BTC".to_owned();
        assert_eq!(refused, Err(ListingError::FractionalNotional { market }));
    }

    #[test]
    fn a_wrong_field_is_named() {
        let mut market = raw("SOL", "USDC", "0.01", "0.01");
        market.min_quantity = Some("0.015".to_owned());
        let error = catalog(&assets(), &[market]).unwrap_err();
        assert!(error.to_string().contains("min_quantity \"0.015\""), "{error}");
        let mut market = raw("SOL", "USDC", "0.01", "0.01");
        market.maker_fee_bps = "-1".to_owned();
        assert!(catalog(&assets(), &[market]).is_err());
        let mut market = raw("SOL", "USDC", "0.01", "0.01");
        market.max_impact_multiplier = Some("0.99".to_owned());
        let error = catalog(&assets(), &[market]).unwrap_err();
        assert!(error.to_string().contains("at least 1"), "{error}");
    }
}
