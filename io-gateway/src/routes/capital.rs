//! What an account could do with what it has, and what that is worth.

use std::collections::HashMap;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::query::{Balance, Ticker, Window};
use protocol::{
    AccountId, AssetId, AssetSpec, Catalog, Lots, MarketSpec, Price, Side, Units, text,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use super::withdrawals::unknown_asset;
use crate::admission::{self, SIDES};
use crate::app::{App, SharedApp};
use crate::auth::Instruction;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::null::Null;
use crate::openapi::queries::{AssetQuery, OrderLimitQuery};
use crate::openapi::values::{AssetSymbol, DecimalText, NoAmount, NoMargin, SideWord, Symbol};
use crate::order_json::asset;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(order_limit))
        .routes(routes!(withdrawal_limit))
        .routes(routes!(collateral))
}

async fn available(app: &App, account: AccountId, asset: AssetId) -> Result<Units, ApiError> {
    let balances = app.queries.balances(account).await?;
    let balance = balances.iter().find(|balance| balance.asset == asset);
    Ok(balance.map_or(Units::ZERO, |balance| balance.available))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderLimit)]
struct OrderLimitJson<'c> {
    auto_borrow: Null,
    auto_borrow_repay: Null,
    auto_lend_redeem: Null,
    #[schema(value_type = DecimalText)]
    max_order_quantity: String,
    #[schema(value_type = Option<DecimalText>, required)]
    price: Option<String>,
    #[schema(value_type = SideWord)]
    side: Side,
    #[schema(value_type = Symbol)]
    symbol: &'c str,
    reduce_only: Null,
}

/// How much the account could order now.
#[utoipa::path(
    get, path = "/api/v1/account/limits/order", operation_id = "getOrderLimit", tag = "Account",
    extensions(("x-instruction" = json!(Instruction::MaxOrderQuantity.name()))),
    params(OrderLimitQuery),
    responses((status = 200, description = "Success", body = OrderLimitJson<'static>)),
)]
async fn order_limit(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&caller, Instruction::MaxOrderQuantity, query.as_deref()).await?;
    let market = admission::market(&parameters, &app.catalog)?;
    let side = parameters.choice("side", &SIDES)?.ok_or_else(|| ApiError::missing("side"))?;
    let price = match parameters.get("price")? {
        Some(_) => Some(admission::price(&parameters, market)?),
        None => None,
    };
    let funds = available(&app, account, market.paid_asset(side)).await?;
    let lots = match (side, price) {
        (Side::Ask, _) => lots_sold(funds, market),
        (Side::Bid, Some(price)) => lots_bought(funds, price, market),
        (Side::Bid, None) => {
            let depth = app.queries.depth(market.id, 1).await?;
            let best = depth.asks.first();
            best.map_or(Lots::ZERO, |(price, _)| lots_bought(funds, *price, market))
        }
    };
    json(&OrderLimitJson {
        auto_borrow: Null,
        auto_borrow_repay: Null,
        auto_lend_redeem: Null,
        max_order_quantity: text::lots(lots.min(market.lots_max), market),
        price: price.map(|price| text::price(price, market)),
        side,
        symbol: &market.symbol,
        reduce_only: Null,
    })
}

/// Whole steps that so much base is.
const fn lots_sold(base: Units, market: &MarketSpec) -> Lots {
    Lots(base.0 / market.base_units_per_lot)
}

/// Whole steps that so much quote pays for.
fn lots_bought(quote: Units, price: Price, market: &MarketSpec) -> Lots {
    let per_lot = u128::from(price.ticks()) * u128::from(market.quote_units_per_tick_lot);
    // No more than the quote units, as a lot costs at least one of them.
    Lots(u64::try_from(u128::from(quote.0) / per_lot).unwrap_or(u64::MAX))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WithdrawalLimit)]
struct WithdrawalLimitJson<'c> {
    auto_borrow: Null,
    auto_lend_redeem: Null,
    #[schema(value_type = DecimalText)]
    max_withdrawal_quantity: String,
    #[schema(value_type = AssetSymbol)]
    symbol: &'c str,
}

/// How much the account could withdraw now.
#[utoipa::path(
    get, path = "/api/v1/account/limits/withdrawal", operation_id = "getWithdrawalLimit",
    tag = "Account",
    extensions(("x-instruction" = json!(Instruction::MaxWithdrawalQuantity.name()))),
    params(AssetQuery),
    responses((status = 200, description = "Success", body = WithdrawalLimitJson<'static>)),
)]
async fn withdrawal_limit(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&caller, Instruction::MaxWithdrawalQuantity, query.as_deref()).await?;
    let symbol = parameters.required_text("symbol")?;
    let asset = app.catalog.asset_by_symbol(symbol).ok_or_else(unknown_asset)?;
    let funds = available(&app, account, asset.id).await?;
    json(&WithdrawalLimitJson {
        auto_borrow: Null,
        auto_lend_redeem: Null,
        max_withdrawal_quantity: text::units(u128::from(funds.0), asset),
        symbol: &asset.symbol,
    })
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Collateral)]
struct CollateralJson<'c> {
    #[schema(value_type = AssetSymbol)]
    symbol: &'c str,
    #[schema(value_type = DecimalText)]
    asset_mark_price: String,
    #[schema(value_type = DecimalText)]
    total_quantity: String,
    #[schema(value_type = DecimalText)]
    balance_notional: String,
    #[schema(value_type = NoMargin)]
    collateral_weight: &'static str,
    #[schema(value_type = DecimalText)]
    collateral_value: String,
    #[schema(value_type = DecimalText)]
    open_order_quantity: String,
    #[schema(value_type = NoAmount)]
    lend_quantity: &'static str,
    #[schema(value_type = DecimalText)]
    available_quantity: String,
}

/// The margin summary of an account that has no margin: what it has, and no debts.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CollateralSummary)]
struct SummaryJson<'c> {
    #[schema(value_type = DecimalText)]
    assets_value: String,
    #[schema(value_type = NoAmount)]
    borrow_liability: &'static str,
    collateral: Vec<CollateralJson<'c>>,
    #[schema(value_type = NoAmount)]
    imf: &'static str,
    #[schema(value_type = NoAmount)]
    mmf: &'static str,
    #[schema(value_type = NoAmount)]
    unsettled_equity: &'static str,
    #[schema(value_type = NoAmount)]
    liabilities_value: &'static str,
    margin_fraction: Null,
    #[schema(value_type = DecimalText)]
    net_equity: String,
    #[schema(value_type = DecimalText)]
    net_equity_available: String,
    #[schema(value_type = DecimalText)]
    net_equity_locked: String,
    #[schema(value_type = NoAmount)]
    net_exposure_futures: &'static str,
    #[schema(value_type = NoAmount)]
    pnl_unrealized: &'static str,
}

/// What the account has is worth, without margin.
#[utoipa::path(
    get, path = "/api/v1/capital/collateral", operation_id = "getCapitalCollateral",
    tag = "Account",
    extensions(("x-instruction" = json!(Instruction::CollateralQuery.name()))),
    responses((status = 200, description = "Success", body = SummaryJson<'static>)),
)]
async fn collateral(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, _) =
        app.signed_query(&caller, Instruction::CollateralQuery, query.as_deref()).await?;
    let balances = app.queries.balances(account).await?;
    let tickers = app.queries.tickers(None, Window::Day).await?;
    json(&summary(&balances, &tickers, &app.catalog)?)
}

fn summary<'c>(
    balances: &[Balance],
    tickers: &[Ticker],
    catalog: &'c Catalog,
) -> Result<SummaryJson<'c>, ApiError> {
    let valuation = Valuation::new(tickers, catalog);
    let (mut available, mut locked) = (0u128, 0u128);
    let mut collateral = Vec::with_capacity(balances.len());
    for balance in balances {
        let asset = asset(catalog, balance.asset)?;
        let free = valuation.of(balance.asset, balance.available);
        let held = valuation.of(balance.asset, balance.locked);
        (available, locked) = (available.saturating_add(free), locked.saturating_add(held));
        let units = |units: Units| text::units(u128::from(units.0), asset);
        let total = u128::from(balance.available.0) + u128::from(balance.locked.0);
        let value = valuation.text(free.saturating_add(held));
        collateral.push(CollateralJson {
            symbol: &asset.symbol,
            asset_mark_price: valuation.price(balance.asset),
            total_quantity: text::units(total, asset),
            balance_notional: value.clone(),
            collateral_weight: "1",
            collateral_value: value,
            open_order_quantity: units(balance.locked),
            lend_quantity: "0",
            available_quantity: units(balance.available),
        });
    }
    let total = valuation.text(available.saturating_add(locked));
    Ok(SummaryJson {
        assets_value: total.clone(),
        borrow_liability: "0",
        collateral,
        imf: "0",
        mmf: "0",
        unsettled_equity: "0",
        liabilities_value: "0",
        margin_fraction: Null,
        net_equity: total,
        net_equity_available: valuation.text(available),
        net_equity_locked: valuation.text(locked),
        net_exposure_futures: "0",
        pnl_unrealized: "0",
    })
}

/// What assets are worth at their markets' last prices. They are valued in the quote asset of the
/// market listed first; what has no market against it, or no price yet, is worth nothing.
struct Valuation<'c> {
    quote: Option<&'c AssetSpec>,
    last: HashMap<AssetId, (&'c MarketSpec, Price)>,
}

impl<'c> Valuation<'c> {
    fn new(tickers: &[Ticker], catalog: &'c Catalog) -> Self {
        let quote = catalog.markets().first().and_then(|market| catalog.asset(market.quote));
        let last = tickers.iter().filter_map(|ticker| {
            let market = catalog.market(ticker.market)?;
            let is_valued = quote.is_some_and(|quote| quote.id == market.quote);
            Some((market.base, (market, ticker.last?))).filter(|_| is_valued)
        });
        Valuation { quote, last: last.collect() }
    }

    fn is_quote(&self, asset: AssetId) -> bool {
        self.quote.is_some_and(|quote| quote.id == asset)
    }

    /// In units of the quote asset, rounded down.
    fn of(&self, asset: AssetId, units: Units) -> u128 {
        let units = u128::from(units.0);
        if self.is_quote(asset) {
            return units;
        }
        let Some((market, price)) = self.last.get(&asset) else { return 0 };
        let per_lot = u128::from(price.ticks()) * u128::from(market.quote_units_per_tick_lot);
        let each = u128::from(market.base_units_per_lot);
        // Whole lots and the rest apart, so that no product is beyond counting.
        (units / each).saturating_mul(per_lot).saturating_add(units % each * per_lot / each)
    }

    fn price(&self, asset: AssetId) -> String {
        match self.last.get(&asset) {
            _ if self.is_quote(asset) => "1".to_owned(),
            Some((market, price)) => text::price(*price, market),
            None => "0".to_owned(),
        }
    }

    fn text(&self, value: u128) -> String {
        self.quote.map_or_else(|| "0".to_owned(), |quote| text::units(value, quote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::fixture::{self, BASE, MARKET, QUOTE, price};

    fn ticker(last: Option<Price>) -> Ticker {
        let (first, high, low) = (None, None, None);
        Ticker { market: MARKET, first, last, high, low, lots: 0, quote: 0, trades: 0 }
    }

    fn balance(asset: AssetId, available: u64, locked: u64) -> Balance {
        Balance { asset, available: Units(available), locked: Units(locked) }
    }

    #[test]
    fn limits_are_rounded_down_to_the_step() {
        let market = fixture::market();
        assert_eq!(lots_sold(Units(1_239_999_999), &market), Lots(123));
        // 0.01 SOL at 20.51 costs 0.2051 USDC.
        let bought = |quote| lots_bought(Units(quote), price(2051), &market);
        assert_eq!(bought(205_099), Lots(0));
        assert_eq!(bought(205_100), Lots(1));
        assert_eq!(bought(100_000_000), Lots(487));
        let most = lots_bought(Units::SUPPLY_MAX, price(Price::TICKS_MAX), &market);
        assert_eq!(most, Lots((1 << 62) / (((1 << 36) - 1) * 100)));
    }

    #[test]
    fn an_account_is_worth_its_assets_at_their_last_prices() {
        let catalog = fixture::catalog();
        let balances = [balance(QUOTE, 1_500_000, 250_000), balance(BASE, 1_000_000_001, 5)];
        let json = summary(&balances, &[ticker(Some(price(2051)))], &catalog).unwrap();
        assert_eq!((json.assets_value.as_str(), json.net_equity.as_str()), ("22.26", "22.26"));
        assert_eq!(json.net_equity_available, "22.01");
        assert_eq!(json.net_equity_locked, "0.25", "five billionths are worth nothing");
        let sol = &json.collateral[1];
        assert_eq!((sol.symbol, sol.asset_mark_price.as_str()), ("SOL", "20.51"));
        assert_eq!(
            (sol.total_quantity.as_str(), sol.collateral_value.as_str()),
            ("1.000000006", "20.51")
        );
        assert_eq!(json.collateral[0].asset_mark_price, "1");

        let json = summary(&balances, &[ticker(None)], &catalog).unwrap();
        assert_eq!(
            (json.assets_value.as_str(), json.collateral[1].asset_mark_price.as_str()),
            ("1.75", "0")
        );
        assert_eq!(summary(&[], &[], &Catalog::default()).unwrap().assets_value, "0");
    }

    #[test]
    fn the_greatest_balance_can_be_valued() {
        let catalog = fixture::catalog();
        let valuation_of = |last| Valuation::new(&[ticker(Some(price(last)))], &catalog);
        let most = valuation_of(Price::TICKS_MAX).of(BASE, Units::SUPPLY_MAX);
        assert_eq!(most, (1u128 << 62) * ((1 << 36) - 1) / 100_000);
    }
}
