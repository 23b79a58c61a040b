//! From what a client wrote to what the engine counts in: JSON members → ticks, lots, units.
//!
//! Exact or refused: nothing a client sent is rounded, and each refusal names its member. What only
//! the engine can know (funds, the book) is not looked at here.

use protocol::decimal::{self, DecimalError};
use protocol::{
    AccountId, AssetSpec, Catalog, ClientId, Lots, MarketSpec, OrderId, OrderKind, Place, Price,
    SelfTradePrevention, Side, Target, TimeInForce, Units,
};
use rust_decimal::Decimal;

use crate::error::{ApiError, Code};
use crate::parameters::{Parameters, Value};

pub const SIDES: [(&str, Side); 2] = [("Bid", Side::Bid), ("Ask", Side::Ask)];
pub const ORDER_TYPES: [(&str, OrderType); 2] =
    [("Limit", OrderType::Limit), ("Market", OrderType::Market)];
pub const TIMES_IN_FORCE: [(&str, TimeInForce); 3] = [
    ("GTC", TimeInForce::GoodTillCancelled),
    ("IOC", TimeInForce::ImmediateOrCancel),
    ("FOK", TimeInForce::FillOrKill),
];
pub const SELF_TRADE_PREVENTIONS: [(&str, SelfTradePrevention); 3] = [
    ("RejectTaker", SelfTradePrevention::RejectTaker),
    ("RejectMaker", SelfTradePrevention::RejectMaker),
    ("RejectBoth", SelfTradePrevention::RejectBoth),
];
const TRIGGER_SOURCES: [(&str, ()); 3] = [("LastPrice", ()), ("MarkPrice", ()), ("IndexPrice", ())];

/// Features of the real venue that only matter when they are asked for.
const EXITS: [&str; 6] = [
    "stopLossTriggerPrice",
    "stopLossLimitPrice",
    "stopLossTriggerBy",
    "takeProfitTriggerPrice",
    "takeProfitLimitPrice",
    "takeProfitTriggerBy",
];
const LENDING: [&str; 4] = ["autoLend", "autoLendRedeem", "autoBorrow", "autoBorrowRepay"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum OrderType {
    Limit,
    Market,
}

/// The market a request names.
pub fn market<'c>(
    parameters: &Parameters<'_>,
    catalog: &'c Catalog,
) -> Result<&'c MarketSpec, ApiError> {
    let symbol = parameters.required_text("symbol")?;
    catalog.market_by_symbol(symbol).ok_or_else(ApiError::unknown_market)
}

/// Which order of its own a client names: exactly one of `orderId` and `clientId`.
pub fn target(parameters: &Parameters<'_>, market: &MarketSpec) -> Result<Target, ApiError> {
    match (parameters.unsigned("orderId")?, client_id(parameters)?) {
        (Some(id), None) => {
            let order = OrderId::from_u64(id).filter(|order| order.market() == market.id);
            order.map(Target::Order).ok_or_else(ApiError::not_found)
        }
        (None, Some(client_id)) => Ok(Target::Client(client_id)),
        _ => Err(ApiError::invalid("Must specify exactly one of `orderId` and `clientId`")),
    }
}

/// A new order as the engine takes it; `valid_until_us` is left open.
pub fn place<'c>(
    parameters: &Parameters<'_>,
    catalog: &'c Catalog,
    account: AccountId,
) -> Result<(Place, &'c MarketSpec), ApiError> {
    let market = market(parameters, catalog)?;
    let side = parameters.choice("side", &SIDES)?.ok_or_else(|| ApiError::missing("side"))?;
    let order_type = parameters.choice("orderType", &ORDER_TYPES)?;
    let order_type = order_type.ok_or_else(|| ApiError::missing("orderType"))?;
    let time_in_force = parameters
        .choice("timeInForce", &TIMES_IN_FORCE)?
        .unwrap_or(TimeInForce::GoodTillCancelled);
    let self_trade_prevention = parameters
        .choice("selfTradePrevention", &SELF_TRADE_PREVENTIONS)?
        .unwrap_or(SelfTradePrevention::RejectTaker);
    let client_id = client_id(parameters)?;
    refuse_unsupported(parameters)?;
    let post_only = parameters.flag("postOnly")?.unwrap_or(false);
    if post_only && order_type == OrderType::Market {
        return Err(ApiError::new(Code::InvalidOrder, "postOnly: not with a Market order"));
    }
    if post_only && time_in_force != TimeInForce::GoodTillCancelled {
        return Err(ApiError::new(Code::InvalidOrder, "postOnly: not with IOC or FOK"));
    }
    let kind = match order_type {
        OrderType::Limit => limit(parameters, market, side, post_only)?,
        OrderType::Market => at_market(parameters, market, catalog)?,
    };
    let place = Place {
        market: market.id,
        account,
        side,
        kind,
        time_in_force,
        self_trade_prevention,
        client_id,
        valid_until_us: 0,
    };
    Ok((place, market))
}

/// A positive amount of an asset, for deposits and withdrawals.
pub fn amount(parameters: &Parameters<'_>, asset: &AssetSpec) -> Result<Units, ApiError> {
    required(parameters, "quantity")?
        .and_then(|value| decimal::units(value, asset))
        .map_err(|error| ApiError::quantity("quantity", error))
}

fn limit(
    parameters: &Parameters<'_>,
    market: &MarketSpec,
    side: Side,
    post_only: bool,
) -> Result<OrderKind, ApiError> {
    if parameters.get("quoteQuantity")?.is_some() {
        return Err(ApiError::field("quoteQuantity", "only with a Market order"));
    }
    let price = price(parameters, market)?;
    let lots = lots(required(parameters, "quantity")?, market)?;
    if market.hold(side, price, lots).is_none() {
        return Err(ApiError::quantity("quantity", DecimalError::OutOfRange));
    }
    Ok(OrderKind::Limit { price, lots, post_only })
}

fn at_market(
    parameters: &Parameters<'_>,
    market: &MarketSpec,
    catalog: &Catalog,
) -> Result<OrderKind, ApiError> {
    match (parameters.decimal("quantity")?, parameters.decimal("quoteQuantity")?) {
        (Some(quantity), None) => Ok(OrderKind::MarketByLots { lots: lots(quantity, market)? }),
        (None, Some(amount)) => {
            let asset = catalog.asset(market.quote).ok_or_else(|| {
                ApiError::bug(format_args!("quote asset of {} is not listed", market.symbol))
            })?;
            let quote = amount
                .and_then(|amount| decimal::units(amount, asset))
                .map_err(|error| ApiError::quantity("quoteQuantity", error))?;
            Ok(OrderKind::MarketByQuote { quote })
        }
        _ => Err(ApiError::invalid("Must specify exactly one of `quantity` and `quoteQuantity`")),
    }
}

pub(crate) fn price(parameters: &Parameters<'_>, market: &MarketSpec) -> Result<Price, ApiError> {
    required(parameters, "price")?
        .and_then(|value| decimal::price(value, market))
        .and_then(|price| {
            let inside = (market.price_min..=market.price_max).contains(&price);
            inside.then_some(price).ok_or(DecimalError::OutOfRange)
        })
        .map_err(|error| ApiError::price("price", error))
}

fn lots(quantity: Result<Decimal, DecimalError>, market: &MarketSpec) -> Result<Lots, ApiError> {
    quantity
        .and_then(|value| decimal::lots(value, market))
        .and_then(|lots| {
            let inside = (market.lots_min..=market.lots_max).contains(&lots);
            let counted = market.base_units(lots).is_some();
            (inside && counted).then_some(lots).ok_or(DecimalError::OutOfRange)
        })
        .map_err(|error| ApiError::quantity("quantity", error))
}

fn required(
    parameters: &Parameters<'_>,
    name: &str,
) -> Result<Result<Decimal, DecimalError>, ApiError> {
    parameters.decimal(name)?.ok_or_else(|| ApiError::missing(name))
}

fn client_id(parameters: &Parameters<'_>) -> Result<Option<ClientId>, ApiError> {
    let Some(id) = parameters.unsigned("clientId")? else { return Ok(None) };
    let id = u32::try_from(id);
    id.map(|id| Some(ClientId(id)))
        .map_err(|_| ApiError::field("clientId", "must be at most 4294967295"))
}

/// Members that ask for what this exchange does not do. Those that ask for nothing are ignored.
fn refuse_unsupported(parameters: &Parameters<'_>) -> Result<(), ApiError> {
    parameters.choice("triggerBy", &TRIGGER_SOURCES)?;
    match (parameters.get("triggerPrice")?, parameters.get("triggerQuantity")?) {
        (None, None) => (),
        (Some(_), Some(Value::Text(quantity))) if quantity.ends_with('%') => {
            let message = "triggerQuantity: a percentage is only for futures";
            return Err(ApiError::new(Code::InvalidQuantity, message));
        }
        (Some(_), Some(_)) => return Err(ApiError::not_implemented("triggerPrice")),
        _ => {
            let message = "Must specify both `triggerPrice` and `triggerQuantity` or neither";
            return Err(ApiError::invalid(message));
        }
    }
    if parameters.flag("reduceOnly")? == Some(true) {
        return Err(ApiError::not_implemented("reduceOnly"));
    }
    for name in LENDING {
        parameters.flag(name)?;
    }
    for name in EXITS.into_iter().chain(["slippageTolerance", "slippageToleranceType"]) {
        if parameters.get(name)?.is_some() {
            return Err(ApiError::not_implemented(name));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
