//! Section `[market_maker]` of `exchange.toml`: `RawConfig` as written, `Config` checked.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use protocol::decimal::{self, DecimalError};
use protocol::{AccountId, Catalog, GatewayId, Lots, MarketSpec, Price};
use serde::Deserialize;

use crate::error::MakerError;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    pub ops_listen: SocketAddr,
    pub gateway_id: u32,
    pub account: Option<u32>,
    pub taker_account: Option<u32>,
    pub taker_percent: u32,
    pub seed: Option<u64>,
    pub valid_ms: u64,
    pub in_flight_max: usize,
    pub drain_ms_max: u64,
    pub markets: Vec<RawMarket>,
}

impl Default for RawConfig {
    fn default() -> Self {
        RawConfig {
            ops_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9105)),
            gateway_id: 900,
            account: None,
            taker_account: None,
            taker_percent: 20,
            seed: None,
            valid_ms: 2_000,
            in_flight_max: 1024,
            drain_ms_max: 5_000,
            markets: Vec::new(),
        }
    }
}

/// Prices and quantities are written as strings, as everywhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawMarket {
    pub symbol: String,
    pub start_price: String,
    pub quantity_min: String,
    pub quantity_max: String,
    #[serde(default = "spread_bps")]
    pub spread_bps: u32,
    #[serde(default = "step_bps")]
    pub step_bps: u32,
    #[serde(default = "drift_bps_max")]
    pub drift_bps_max: u32,
    #[serde(default = "rate_per_s")]
    pub rate_per_s: u32,
    #[serde(default = "open_orders_max")]
    pub open_orders_max: usize,
}

const fn spread_bps() -> u32 {
    20
}
const fn step_bps() -> u32 {
    1
}
const fn drift_bps_max() -> u32 {
    1000
}
const fn rate_per_s() -> u32 {
    20
}
const fn open_orders_max() -> usize {
    100
}

const WHOLE_BPS: u32 = 10_000;
const RATE_PER_S_MAX: u32 = 100_000;

#[derive(Clone, Debug)]
pub struct Config {
    pub ops_listen: SocketAddr,
    pub gateway: GatewayId,
    pub maker: AccountId,
    /// The account that takes, and how many of a hundred orders are its.
    pub taker: Option<(AccountId, u32)>,
    /// `None`: a new one each start.
    pub seed: Option<u64>,
    /// An order that the engine reads later than this is refused.
    pub valid: Duration,
    /// Commands without a reply, beyond which nothing is placed.
    pub in_flight_max: usize,
    pub drain_max: Duration,
    pub markets: Vec<MarketConfig>,
}

#[derive(Clone, Debug)]
pub struct MarketConfig {
    pub spec: MarketSpec,
    pub start: Price,
    /// Of the mid: how far above or below it orders are priced at most.
    pub half_spread_bps: u32,
    /// How far one step of the walk goes at most.
    pub step_bps: u32,
    /// The fair price never leaves these.
    pub lowest: Price,
    pub highest: Price,
    pub lots_min: Lots,
    pub lots_max: Lots,
    pub rate_per_s: u32,
    pub open_orders_max: usize,
}

impl Config {
    pub fn check(raw: &RawConfig, catalog: &Catalog) -> Result<Config, MakerError> {
        let refuse = |key, rule| Err(MakerError::Config { key, rule });
        let Some(maker) = raw.account.and_then(AccountId::new) else {
            return refuse("account", "must be given, here or as --account, and positive");
        };
        let taker = match raw.taker_account {
            None => None,
            Some(id) => match AccountId::new(id).filter(|taker| *taker != maker) {
                Some(taker) => Some((taker, raw.taker_percent)),
                None => return refuse("taker_account", "must be positive and not the maker's"),
            },
        };
        if 100 < raw.taker_percent {
            return refuse("taker_percent", "is at most 100");
        }
        if raw.valid_ms == 0 || raw.in_flight_max == 0 || raw.drain_ms_max == 0 {
            return refuse("valid_ms, in_flight_max, drain_ms_max", "must be positive");
        }
        if raw.markets.is_empty() {
            return refuse("markets", "must name at least one market");
        }
        let mut markets: Vec<MarketConfig> = Vec::new();
        for market in &raw.markets {
            let checked = MarketConfig::check(market, catalog)?;
            if markets.iter().any(|other| other.spec.id == checked.spec.id) {
                return refuse("markets", "name a market twice");
            }
            markets.push(checked);
        }
        Ok(Config {
            ops_listen: raw.ops_listen,
            gateway: GatewayId(raw.gateway_id),
            maker,
            taker,
            seed: raw.seed,
            valid: Duration::from_millis(raw.valid_ms),
            in_flight_max: raw.in_flight_max,
            drain_max: Duration::from_millis(raw.drain_ms_max),
            markets,
        })
    }

    pub fn accounts(&self) -> impl Iterator<Item = AccountId> + use<> {
        [Some(self.maker), self.taker.map(|(account, _)| account)].into_iter().flatten()
    }
}

impl MarketConfig {
    fn check(raw: &RawMarket, catalog: &Catalog) -> Result<MarketConfig, MakerError> {
        let symbol = || raw.symbol.clone();
        let spec = catalog
            .market_by_symbol(&raw.symbol)
            .ok_or_else(|| MakerError::UnknownMarket { symbol: symbol() })?;
        let refuse = |key, rule| Err(MakerError::Market { symbol: symbol(), key, rule });
        let start = read(raw, "start_price", &raw.start_price, |it| decimal::price(it, spec))?;
        let lots_min = read(raw, "quantity_min", &raw.quantity_min, |it| decimal::lots(it, spec))?;
        let lots_max = read(raw, "quantity_max", &raw.quantity_max, |it| decimal::lots(it, spec))?;
        if lots_min < spec.lots_min || spec.lots_max < lots_max || lots_max < lots_min {
            return refuse("quantity_min, quantity_max", "must be in order and what it allows");
        }
        if start < spec.price_min || spec.price_max < start {
            return refuse("start_price", "is outside what the market allows");
        }
        if raw.spread_bps == 0 || WHOLE_BPS <= raw.spread_bps {
            return refuse("spread_bps", "must be in 1..10000");
        }
        if WHOLE_BPS <= raw.drift_bps_max {
            return refuse("drift_bps_max", "must be below 10000");
        }
        if raw.drift_bps_max < raw.step_bps {
            return refuse("step_bps", "must not be above drift_bps_max");
        }
        if raw.rate_per_s == 0 || RATE_PER_S_MAX < raw.rate_per_s {
            return refuse("rate_per_s", "must be in 1..=100000");
        }
        if raw.open_orders_max == 0 {
            return refuse("open_orders_max", "must be positive");
        }
        let drift = share_of(start.ticks(), raw.drift_bps_max);
        let lowest = (start.ticks() - drift).max(spec.price_min.ticks());
        let highest = (start.ticks() + drift).min(spec.price_max.ticks());
        let bound = |ticks| Price::from_ticks(ticks).unwrap_or(start);
        Ok(MarketConfig {
            spec: spec.clone(),
            start,
            half_spread_bps: raw.spread_bps.div_ceil(2),
            step_bps: raw.step_bps,
            lowest: bound(lowest),
            highest: bound(highest),
            lots_min,
            lots_max,
            rate_per_s: raw.rate_per_s,
            open_orders_max: raw.open_orders_max,
        })
    }
}

fn read<T>(
    raw: &RawMarket,
    key: &'static str,
    text: &str,
    convert: impl FnOnce(rust_decimal::Decimal) -> Result<T, DecimalError>,
) -> Result<T, MakerError> {
    decimal::parse(text).and_then(convert).map_err(|cause| MakerError::Decimal {
        symbol: raw.symbol.clone(),
        key,
        text: text.to_owned(),
        cause,
    })
}

/// `bps` of `ticks`, rounded down. Prices are below 2^36, so this cannot overflow.
pub(crate) fn share_of(ticks: u64, bps: u32) -> u64 {
    ticks * u64::from(bps) / u64::from(WHOLE_BPS)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::fixture::catalog;

    pub(crate) fn raw_market() -> RawMarket {
        RawMarket {
            symbol: "SOL_USDC".to_owned(),
            start_price: "150".to_owned(),
            quantity_min: "0.1".to_owned(),
            quantity_max: "2".to_owned(),
            spread_bps: 20,
            step_bps: 1,
            drift_bps_max: 1000,
            rate_per_s: 100,
            open_orders_max: 10,
        }
    }

    pub(crate) fn raw() -> RawConfig {
        RawConfig {
            account: Some(1),
            taker_account: Some(2),
            seed: Some(7),
            markets: vec![raw_market()],
            ..RawConfig::default()
        }
    }

    pub(crate) fn config() -> Config {
        Config::check(&raw(), &catalog()).unwrap()
    }

    fn refused(change: impl FnOnce(&mut RawConfig)) -> String {
        let mut raw = raw();
        change(&mut raw);
        Config::check(&raw, &catalog()).unwrap_err().to_string()
    }

    #[test]
    fn bounds_come_from_the_start_price() {
        let config = config();
        let market = &config.markets[0];
        assert_eq!((market.lowest.ticks(), market.highest.ticks()), (13_500, 16_500));
        assert_eq!((market.lots_min, market.lots_max), (Lots(10), Lots(200)));
        assert_eq!(config.accounts().map(AccountId::get).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(refused(|raw| raw.account = None).contains("--account"));
        assert!(refused(|raw| raw.taker_account = Some(1)).contains("taker_account"));
        assert!(refused(|raw| raw.markets.clear()).contains("markets"));
        assert!(refused(|raw| raw.markets.push(raw_market())).contains("twice"));
        let start = |text: &str| text.to_owned();
        assert!(refused(|raw| raw.markets[0].start_price = start("1.234")).contains("start_price"));
        assert!(refused(|raw| raw.markets[0].symbol = start("A_B")).contains("A_B"));
        assert!(refused(|raw| raw.markets[0].quantity_max = start("0.05")).contains("quantity"));
    }
}
