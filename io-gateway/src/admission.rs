//! From what a client wrote to what the engine counts in: JSON members → ticks, lots, units.
//!
//! Exact or refused: nothing a client sent is rounded, and each refusal names its member. What only
//! the engine can know (funds, the book) is not looked at here.

use protocol::decimal::{self, DecimalError};
pub use protocol::order_words::{SELF_TRADE_PREVENTIONS, SIDES, TIMES_IN_FORCE, TRIGGER_SOURCES};
use protocol::{
    AccountId, Action, AssetSpec, Catalog, ClientId, Lots, MarketSpec, OrderId, OrderKind, Place,
    Price, SelfTradePrevention, Side, Target, TimeInForce, Trigger, TriggerBy, TriggerPlace, Units,
};
use rust_decimal::Decimal;

use crate::error::{ApiError, Code};
use crate::parameters::{Parameters, Value};

pub const ORDER_TYPES: [(&str, OrderType); 2] =
    [("Limit", OrderType::Limit), ("Market", OrderType::Market)];

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

/// A new order as the engine takes it; `valid_until_us` is left open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewOrder {
    pub place: Place,
    /// What it is to wait for.
    pub trigger: Option<Trigger>,
}

impl NewOrder {
    pub const fn action(&self) -> Action {
        match self.trigger {
            Some(trigger) => Action::PlaceTrigger(TriggerPlace { place: self.place, trigger }),
            None => Action::Place(self.place),
        }
    }
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

pub fn new_order(
    parameters: &Parameters<'_>,
    catalog: &Catalog,
    account: AccountId,
) -> Result<NewOrder, ApiError> {
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
    let trigger = trigger(parameters, market)?;
    refuse_unsupported(parameters)?;
    let post_only = parameters.flag("postOnly")?.unwrap_or(false);
    if post_only && order_type == OrderType::Market {
        return Err(ApiError::new(Code::InvalidOrder, "postOnly: not with a Market order"));
    }
    if post_only && time_in_force != TimeInForce::GoodTillCancelled {
        return Err(ApiError::new(Code::InvalidOrder, "postOnly: not with IOC or FOK"));
    }
    // Of an order that waits, the quantity is said beside its trigger.
    let name = if trigger.is_some() { "triggerQuantity" } else { "quantity" };
    let kind = match order_type {
        OrderType::Limit => limit(parameters, market, side, post_only, name)?,
        OrderType::Market => at_market(parameters, market, catalog, name)?,
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
    Ok(NewOrder { place, trigger })
}

/// The order's new price and quantity, each if it is given; one is.
pub fn change(
    parameters: &Parameters<'_>,
    market: &MarketSpec,
) -> Result<(Option<Price>, Option<Lots>), ApiError> {
    let price = parameters.decimal("price")?;
    let price = price.map(|value| limit_price("price", value, market)).transpose()?;
    let quantity = parameters.decimal("quantity")?;
    let quantity = quantity.map(|value| lots("quantity", value, market)).transpose()?;
    if price.is_none() && quantity.is_none() {
        return Err(ApiError::invalid("Must specify at least one of `price` and `quantity`"));
    }
    Ok((price, quantity))
}

/// What the order is to wait for; its quantity is looked at elsewhere.
fn trigger(parameters: &Parameters<'_>, market: &MarketSpec) -> Result<Option<Trigger>, ApiError> {
    let by = parameters.choice("triggerBy", &TRIGGER_SOURCES)?.unwrap_or(TriggerBy::Unsaid);
    match (parameters.decimal("triggerPrice")?, parameters.get("triggerQuantity")?) {
        (None, None) => Ok(None),
        (Some(_), Some(Value::Text(quantity))) if quantity.ends_with('%') => {
            let message = "triggerQuantity: a percentage is only for futures";
            Err(ApiError::new(Code::InvalidQuantity, message))
        }
        (Some(price), Some(_)) => {
            let price = limit_price("triggerPrice", price, market)?;
            Ok(Some(Trigger { price, by }))
        }
        _ => {
            let message = "Must specify both `triggerPrice` and `triggerQuantity` or neither";
            Err(ApiError::invalid(message))
        }
    }
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
    name: &str,
) -> Result<OrderKind, ApiError> {
    if parameters.get("quoteQuantity")?.is_some() {
        return Err(ApiError::field("quoteQuantity", "only with a Market order"));
    }
    let price = limit_price("price", required(parameters, "price")?, market)?;
    let lots = lots(name, required(parameters, name)?, market)?;
    if market.hold(side, price, lots).is_none() {
        return Err(ApiError::quantity(name, DecimalError::OutOfRange));
    }
    Ok(OrderKind::Limit { price, lots, post_only })
}

fn at_market(
    parameters: &Parameters<'_>,
    market: &MarketSpec,
    catalog: &Catalog,
    name: &str,
) -> Result<OrderKind, ApiError> {
    match (parameters.decimal(name)?, parameters.decimal("quoteQuantity")?) {
        (Some(quantity), None) => {
            Ok(OrderKind::MarketByLots { lots: lots(name, quantity, market)? })
        }
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

/// The limit price that is the member `price`.
pub(crate) fn price(parameters: &Parameters<'_>, market: &MarketSpec) -> Result<Price, ApiError> {
    limit_price("price", required(parameters, "price")?, market)
}

fn limit_price(
    name: &str,
    price: Result<Decimal, DecimalError>,
    market: &MarketSpec,
) -> Result<Price, ApiError> {
    price
        .and_then(|value| decimal::price(value, market))
        .and_then(|price| {
            let inside = (market.price_min..=market.price_max).contains(&price);
            inside.then_some(price).ok_or(DecimalError::OutOfRange)
        })
        .map_err(|error| ApiError::price(name, error))
}

fn lots(
    name: &str,
    quantity: Result<Decimal, DecimalError>,
    market: &MarketSpec,
) -> Result<Lots, ApiError> {
    quantity
        .and_then(|value| decimal::lots(value, market))
        .and_then(|lots| {
            let inside = (market.lots_min..=market.lots_max).contains(&lots);
            let counted = market.base_units(lots).is_some();
            (inside && counted).then_some(lots).ok_or(DecimalError::OutOfRange)
        })
        .map_err(|error| ApiError::quantity(name, error))
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
