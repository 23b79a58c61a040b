//! The contract's object of a market: what is traded, and what orders are held to.

use std::num::NonZeroU32;

use protocol::{BookState, MarketSpec, text};
use serde::Serialize;
use utoipa::ToSchema;

use crate::null::Null;
use crate::openapi::values::{
    AssetSymbol, BookStateWord, DecimalText, MarketTypeWord, Moment, Symbol,
};
use crate::order_json::naive;

/// The day the listing in exchange.toml began; it names no days of its own.
const LISTED_AT: &str = "2026-01-01T00:00:00";

/// The contract's word for what a market takes.
pub const fn book_state_name(state: BookState) -> &'static str {
    match state {
        BookState::Open => "Open",
        BookState::CancelOnly => "CancelOnly",
        BookState::Closed => "Closed",
        BookState::LimitOnly => "LimitOnly",
        BookState::PostOnly => "PostOnly",
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Market)]
pub struct MarketJson<'c> {
    #[schema(value_type = Symbol)]
    symbol: &'c str,
    #[schema(value_type = AssetSymbol)]
    base_symbol: &'c str,
    #[schema(value_type = AssetSymbol)]
    quote_symbol: &'c str,
    #[schema(value_type = MarketTypeWord)]
    market_type: &'static str,
    filters: FiltersJson,
    #[schema(value_type = BookStateWord)]
    order_book_state: &'static str,
    #[schema(value_type = Moment)]
    created_at: String,
    visible: bool,
    #[serde(flatten)]
    absent: MarketAbsent,
}

/// What the real venue says of futures only.
#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MarketAbsent)]
struct MarketAbsent {
    rwa_market_type: Null,
    imf_function: Null,
    mmf_function: Null,
    funding_interval: Null,
    funding_rate_upper_bound: Null,
    funding_rate_lower_bound: Null,
    open_interest_limit: Null,
    position_limit_weight: Null,
}

/// What orders are held to.
#[derive(Serialize, ToSchema)]
#[schema(as = MarketFilters)]
struct FiltersJson {
    price: PriceFilter,
    quantity: QuantityFilter,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceFilter)]
struct PriceFilter {
    #[schema(value_type = DecimalText)]
    min_price: String,
    #[schema(value_type = DecimalText)]
    max_price: String,
    #[schema(value_type = DecimalText)]
    tick_size: String,
    /// How far a limit price may be from the last price, as factors of it.
    #[schema(value_type = Option<DecimalText>, required = true)]
    max_multiplier: Option<String>,
    #[schema(value_type = Option<DecimalText>, required = true)]
    min_multiplier: Option<String>,
    /// How far from the best opposite price a market order may eat.
    #[schema(value_type = Option<DecimalText>, required = true)]
    max_impact_multiplier: Option<String>,
    #[schema(value_type = Option<DecimalText>, required = true)]
    min_impact_multiplier: Option<String>,
    #[serde(flatten)]
    absent: PriceAbsent,
}

#[derive(Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceFilterAbsent)]
struct PriceAbsent {
    mean_mark_price_band: Null,
    mean_premium_band: Null,
    borrow_entry_fee_max_multiplier: Null,
    borrow_entry_fee_min_multiplier: Null,
    max_price_update_multiplier: Null,
    min_price_update_multiplier: Null,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = QuantityFilter)]
struct QuantityFilter {
    #[schema(value_type = DecimalText)]
    min_quantity: String,
    #[schema(value_type = DecimalText)]
    max_quantity: String,
    #[schema(value_type = DecimalText)]
    step_size: String,
}

/// `listed_us` is when it was listed, if the config does not list it.
pub fn market_json(
    market: &MarketSpec,
    state: BookState,
    listed_us: Option<u64>,
) -> MarketJson<'_> {
    let factor = |factor: Option<NonZeroU32>| factor.map(text::millionths);
    let (base_symbol, quote_symbol) = market.symbol.split_once('_').unwrap_or((&market.symbol, ""));
    let price = PriceFilter {
        min_price: canonical(text::price(market.price_min, market)),
        max_price: canonical(text::price(market.price_max, market)),
        tick_size: text::increment(market.tick),
        max_multiplier: factor(market.band.max_millionths),
        min_multiplier: factor(market.band.min_millionths),
        max_impact_multiplier: factor(market.impact.max_millionths),
        min_impact_multiplier: factor(market.impact.min_millionths),
        absent: PriceAbsent::default(),
    };
    let quantity = QuantityFilter {
        min_quantity: canonical(text::lots(market.lots_min, market)),
        max_quantity: canonical(text::lots(market.lots_max, market)),
        step_size: text::increment(market.step),
    };
    MarketJson {
        symbol: &market.symbol,
        base_symbol,
        quote_symbol,
        market_type: "SPOT",
        filters: FiltersJson { price, quantity },
        order_book_state: book_state_name(state),
        created_at: listed_us.map_or_else(|| LISTED_AT.to_owned(), naive),
        visible: true,
        absent: MarketAbsent::default(),
    }
}

/// `0.01`, never `0.010`.
fn canonical(decimal: String) -> String {
    match decimal.split_once('.') {
        Some(_) => decimal.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => decimal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::openapi::tests::assert_described;

    #[test]
    fn filters_are_canonical() {
        let catalog = fixture::catalog();
        let json =
            market_json(&catalog.markets()[0], BookState::CancelOnly, Some(1_700_000_000_000_000));
        assert_described("Market", &json);
        let json = serde_json::to_value(&json).unwrap();
        assert_eq!(json["orderBookState"], "CancelOnly");
        assert_eq!(json["createdAt"], "2023-11-14T22:13:20.000");
        assert_eq!(json["filters"]["price"]["tickSize"], "0.01");
        assert_eq!(json["filters"]["price"]["minPrice"], "0.1");
        assert_eq!(json["filters"]["quantity"]["maxQuantity"], "1000000");
        assert_eq!((&json["baseSymbol"], &json["quoteSymbol"]), (&"SOL".into(), &"USDC".into()));
    }
}
