//! What is traded, as the configuration has it, and the decimals that follow from it.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use toml::{Table, Value};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asset {
    pub id: i64,
    pub symbol: String,
    pub decimals: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Market {
    pub id: i64,
    pub symbol: String,
    pub base: Asset,
    pub quote: Asset,
    pub tick: Decimal,
    pub step: Decimal,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listing {
    pub assets: Vec<Asset>,
    pub markets: Vec<Market>,
}

impl Listing {
    pub fn of(config: &Table) -> Listing {
        let assets: Vec<Asset> = rows(config, "assets").map(asset).collect();
        let named = |symbol: &str| {
            assets.iter().find(|asset| asset.symbol == symbol).expect("a listed asset").clone()
        };
        let market = |row: &Value| {
            let (base, quote) = (text(row, "base"), text(row, "quote"));
            Market {
                id: row["id"].as_integer().unwrap(),
                symbol: format!("{base}_{quote}"),
                base: named(base),
                quote: named(quote),
                tick: decimal(text(row, "tick_size")),
                step: decimal(text(row, "step_size")),
            }
        };
        let markets = rows(config, "markets").map(market).collect();
        Listing { assets, markets }
    }

    /// One more market, under the lowest id that is free, as the gateway takes it.
    pub fn add(&mut self, symbol: &str, tick: &str, step: &str) {
        let (base, quote) = symbol.split_once('_').expect("a market's symbol");
        let is_free = |id: &i64| self.markets.iter().all(|market| market.id != *id);
        let market = Market {
            id: (1..).find(is_free).expect("a free id"),
            symbol: symbol.to_owned(),
            base: self.asset(base).clone(),
            quote: self.asset(quote).clone(),
            tick: decimal(tick),
            step: decimal(step),
        };
        self.markets.push(market);
    }

    pub fn asset(&self, symbol: &str) -> &Asset {
        self.assets.iter().find(|asset| asset.symbol == symbol).expect("a listed asset")
    }

    pub fn asset_by_id(&self, id: i64) -> &Asset {
        self.assets.iter().find(|asset| asset.id == id).expect("a listed asset")
    }

    pub fn market(&self, symbol: &str) -> &Market {
        self.markets.iter().find(|market| market.symbol == symbol).expect("a listed market")
    }
}

impl Asset {
    /// In the smallest units.
    pub fn units(&self, amount: &str) -> i128 {
        let one = Decimal::from(10u64.pow(self.decimals));
        let units = decimal(amount) * one;
        assert!(units.is_integer(), "{amount} {} is no whole number of units", self.symbol);
        units.to_i128().unwrap()
    }
}

impl Market {
    pub fn lots(&self, quantity: &str) -> i128 {
        (decimal(quantity) / self.step).to_i128().unwrap()
    }

    pub fn ticks(&self, price: &str) -> i128 {
        (decimal(price) / self.tick).to_i128().unwrap()
    }

    /// Base units in a lot.
    pub fn lot_units(&self) -> i128 {
        self.base.units(&self.step.to_string())
    }

    /// Quote units that one lot costs for each tick of its price.
    pub fn tick_lot_units(&self) -> i128 {
        self.quote.units(&(self.tick * self.step).normalize().to_string())
    }
}

pub fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn rows<'t>(config: &'t Table, name: &str) -> impl Iterator<Item = &'t Value> {
    config[name].as_array().unwrap().iter()
}

fn asset(row: &Value) -> Asset {
    Asset {
        id: row["id"].as_integer().unwrap(),
        symbol: text(row, "symbol").to_owned(),
        decimals: u32::try_from(row["decimals"].as_integer().unwrap()).unwrap(),
    }
}

fn text<'v>(row: &'v Value, key: &str) -> &'v str {
    row[key].as_str().unwrap()
}
