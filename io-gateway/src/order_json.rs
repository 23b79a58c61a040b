//! The contract's order object, from what the engine decided, from an order that is open, or from
//! one that has ended.

use chrono::{DateTime, Utc};
use protocol::order_words::{self, expiry_reason, word};
use protocol::{
    Amend, AssetSpec, Catalog, Closed, ClosedReason, FinishedOrder, Lots, MarketSpec, OpenOrder,
    OrderId, OrderKind, OrderStatus, Outcome, Place, SelfTradePrevention, Side, Standing,
    TimeInForce, Trade, Triggered, Units, WaitingOrder, text,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admission::NewOrder;
use crate::error::ApiError;
use crate::null::Null;
use crate::openapi::values::{
    AbsentValue, AssetSymbol, ClientNumber, DecimalText, ExpiryReason, Milliseconds, OperationWord,
    OrderId as OrderIdValue, OrderMoment, OrderStatusWord, OrderTypeWord, SelfTradePreventionWord,
    SideWord, Symbol, TimeInForceWord, TradeNumber, TriggerSourceWord,
};
use crate::order_endings::failure_reason;
use crate::replies::Decision;

/// An order in the engine's integers, whatever it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderState {
    order: OrderId,
    client_id: Option<u32>,
    side: Side,
    kind: OrderKind,
    time_in_force: TimeInForce,
    self_trade_prevention: SelfTradePrevention,
    status: OrderStatus,
    executed: Lots,
    executed_quote: Units,
    created_us: u64,
    triggered: Option<Triggered>,
}

impl OrderState {
    /// What became of a new order at once.
    pub fn placed(
        decision: &Decision,
        order: &NewOrder,
        market: &MarketSpec,
    ) -> Result<Self, ApiError> {
        let NewOrder { place, trigger } = order;
        let created_us = decision.command.time_us;
        let triggered = trigger.map(|trigger| Triggered { trigger, fired_us: None });
        Self::after(decision, place, market, (Lots::ZERO, Units::ZERO), created_us, triggered)
    }

    /// What became of an order that was changed.
    pub fn amended(
        decision: &Decision,
        amend: &Amend,
        market: &MarketSpec,
    ) -> Result<Self, ApiError> {
        let (place, executed, created_us, triggered) =
            match (decision.closed.first(), decision.withdrawn.first()) {
                (Some(before), _) => {
                    let place = amend.of_resting(before);
                    let lots = before.lots.checked_sub(before.lots_left).unwrap_or(Lots::ZERO);
                    (place, (lots, before.executed_quote), before.created_us, None)
                }
                (None, Some(before)) => {
                    let WaitingOrder { place, trigger, created_us, .. } = before.waiting;
                    let unlike = || ApiError::bug("a waiting order cannot have been changed so");
                    let kind = amend.of_waiting(place.kind).ok_or_else(unlike)?;
                    let triggered = Some(Triggered { trigger, fired_us: None });
                    let place = Place { kind, ..place };
                    (place, (Lots::ZERO, Units::ZERO), created_us, triggered)
                }
                (None, None) => return Err(ApiError::bug("an amended order is not told")),
            };
        Self::after(decision, &place, market, executed, created_us, triggered)
    }

    /// The frame's own order after it went to market, or waits. `executed` was so before.
    fn after(
        decision: &Decision,
        place: &Place,
        market: &MarketSpec,
        (mut executed, mut executed_quote): (Lots, Units),
        created_us: u64,
        triggered: Option<Triggered>,
    ) -> Result<Self, ApiError> {
        let beyond = || ApiError::bug(format_args!("amounts of frame {}", decision.sequence));
        for trade in &decision.trades {
            let quote = market.notional(trade.price, trade.lots).ok_or_else(beyond)?;
            executed = executed.checked_add(trade.lots).ok_or_else(beyond)?;
            executed_quote = executed_quote.checked_add(quote).ok_or_else(beyond)?;
        }
        let (order, status) = match decision.outcome {
            Outcome::Rested { order, .. } if executed.is_zero() => (order, OrderStatus::New),
            Outcome::Rested { order, .. } => (order, OrderStatus::PartiallyFilled),
            Outcome::Filled { order } => (order, OrderStatus::Filled),
            Outcome::Expired { order, .. } => (order, OrderStatus::Expired),
            Outcome::Waits { order, .. } => (order, OrderStatus::TriggerPending),
            other => return Err(ApiError::bug(format_args!("a placed order became {other:?}"))),
        };
        Ok(OrderState {
            order,
            client_id: place.client_id.map(|id| id.0),
            side: place.side,
            kind: place.kind,
            time_in_force: place.time_in_force,
            self_trade_prevention: place.self_trade_prevention,
            status,
            executed,
            executed_quote,
            created_us,
            triggered,
        })
    }

    /// An order that was taken out of the book on request.
    pub fn cancelled(closed: &Closed) -> Self {
        OrderState {
            order: closed.order,
            client_id: closed.client_id.map(|id| id.0),
            side: closed.side,
            kind: OrderKind::Limit {
                price: closed.price,
                lots: closed.lots,
                post_only: closed.post_only,
            },
            time_in_force: closed.time_in_force,
            self_trade_prevention: closed.self_trade_prevention,
            status: OrderStatus::Cancelled,
            executed: closed.lots.checked_sub(closed.lots_left).unwrap_or(Lots::ZERO),
            executed_quote: closed.executed_quote,
            created_us: closed.created_us,
            triggered: None,
        }
    }

    /// A waiting order that was cancelled.
    pub fn withdrawn(waiting: &WaitingOrder) -> Self {
        OrderState { status: OrderStatus::Cancelled, ..Self::waiting(waiting) }
    }

    fn waiting(waiting: &WaitingOrder) -> Self {
        let WaitingOrder { order, place, trigger, created_us, .. } = *waiting;
        OrderState {
            order,
            client_id: place.client_id.map(|id| id.0),
            side: place.side,
            kind: place.kind,
            time_in_force: place.time_in_force,
            self_trade_prevention: place.self_trade_prevention,
            status: OrderStatus::TriggerPending,
            executed: Lots::ZERO,
            executed_quote: Units::ZERO,
            created_us,
            triggered: Some(Triggered { trigger, fired_us: None }),
        }
    }

    /// An order that is open.
    pub fn standing(standing: &Standing) -> Self {
        match standing {
            Standing::Rests(open, triggered) => {
                OrderState { triggered: *triggered, ..Self::open(open) }
            }
            Standing::Waits(waiting) => Self::waiting(waiting),
        }
    }

    /// An order that stands in the book.
    fn open(open: &OpenOrder) -> Self {
        let executed = open.lots.checked_sub(open.lots_left).unwrap_or(Lots::ZERO);
        let kind =
            OrderKind::Limit { price: open.price, lots: open.lots, post_only: open.post_only };
        OrderState {
            order: open.order,
            client_id: open.client_id.map(|id| id.0),
            side: open.side,
            kind,
            time_in_force: open.time_in_force,
            self_trade_prevention: open.self_trade_prevention,
            status: if executed.is_zero() {
                OrderStatus::New
            } else {
                OrderStatus::PartiallyFilled
            },
            executed,
            executed_quote: open.executed_quote,
            created_us: open.created_us,
            triggered: None,
        }
    }

    /// An order that rests no more, or never did.
    pub fn finished(order: &FinishedOrder) -> Self {
        OrderState {
            order: order.order,
            client_id: order.client_id.map(|id| id.0),
            side: order.side,
            kind: order.kind,
            time_in_force: order.time_in_force,
            self_trade_prevention: order.self_trade_prevention,
            status: match (order.refusal, order.reason) {
                (Some(_), _) => OrderStatus::TriggerFailed,
                (None, None) => OrderStatus::Filled,
                (None, Some(ClosedReason::ByRequest)) => OrderStatus::Cancelled,
                (None, Some(_)) => OrderStatus::Expired,
            },
            executed: order.executed,
            executed_quote: order.executed_quote,
            created_us: order.created_us,
            triggered: order.triggered,
        }
    }

    pub fn json<'m>(
        &self,
        market: &'m MarketSpec,
        catalog: &Catalog,
    ) -> Result<OrderJson<'m>, ApiError> {
        let quote = asset(catalog, market.quote)?;
        let executed_quantity = text::lots(self.executed, market);
        let (price, post_only, quantity, quote_quantity) = match self.kind {
            OrderKind::Limit { price, lots, post_only } => {
                (Some(text::price(price, market)), Some(post_only), text::lots(lots, market), None)
            }
            OrderKind::MarketByLots { lots } => (None, None, text::lots(lots, market), Some(None)),
            OrderKind::MarketByQuote { quote: units } => {
                let asked = text::units(u128::from(units.0), quote);
                (None, None, executed_quantity.clone(), Some(Some(asked)))
            }
        };
        let is_market = quote_quantity.is_some();
        let fired_us = self.triggered.and_then(|triggered| triggered.fired_us);
        let trigger = self.trigger_json(market, &quantity);
        Ok(OrderJson {
            operation: None,
            order_type: if is_market { "Market" } else { "Limit" },
            id: self.order.to_string(),
            client_id: self.client_id,
            symbol: &market.symbol,
            side: self.side,
            time_in_force: self.time_in_force,
            self_trade_prevention: self.self_trade_prevention,
            status: self.status,
            created_at: CreatedAt::Milliseconds(self.created_us / 1000),
            executed_quantity,
            executed_quote_quantity: text::units(u128::from(self.executed_quote.0), quote),
            quantity,
            quote_quantity,
            price,
            post_only,
            slippage_tolerance: is_market.then_some(Null),
            slippage_tolerance_type: is_market.then_some(Null),
            trigger,
            absent: Absent::default(),
            present_only: Some(PresentOnly {
                triggered_at: fired_us.map(|us| us / 1000),
                ..PresentOnly::default()
            }),
            past_only: None,
            fills: None,
        })
    }

    /// The quantity of an order that waits is the one that its trigger sets off.
    fn trigger_json(&self, market: &MarketSpec, quantity: &str) -> TriggerJson {
        let Some(Triggered { trigger, .. }) = self.triggered else { return TriggerJson::default() };
        TriggerJson {
            trigger_price: Some(text::price(trigger.price, market)),
            trigger_quantity: Some(quantity.to_owned()),
            trigger_by: word(&order_words::TRIGGER_SOURCES, trigger.by),
        }
    }
}

/// A row of the history of orders: another form of time, and why it ended.
pub fn finished_json<'m>(
    order: &FinishedOrder,
    market: &'m MarketSpec,
    catalog: &Catalog,
) -> Result<OrderJson<'m>, ApiError> {
    let mut json = OrderState::finished(order).json(market, catalog)?;
    json.created_at = CreatedAt::Naive(naive(order.created_us));
    json.present_only = None;
    let expiry_reason = match order.refusal {
        Some(refusal) => Some(failure_reason(refusal)),
        None => order.reason.and_then(expiry_reason),
    };
    json.past_only = Some(PastOnly { expiry_reason, system_order_type: Null });
    Ok(json)
}

/// `2025-01-01T00:00:00.123`, in UTC.
pub(crate) fn naive(time_us: u64) -> String {
    let time = i64::try_from(time_us).ok().and_then(DateTime::from_timestamp_micros);
    naive_time(time.unwrap_or(DateTime::UNIX_EPOCH))
}

/// As the history writes times: without a zone.
pub(crate) fn naive_time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub struct OrderJson<'m> {
    /// `Ok` in the answer of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = OperationWord, required = false)]
    pub operation: Option<&'static str>,
    #[schema(value_type = OrderTypeWord)]
    order_type: &'static str,
    #[schema(value_type = OrderIdValue)]
    pub id: String,
    #[schema(value_type = Option<ClientNumber>, required)]
    client_id: Option<u32>,
    #[schema(value_type = Symbol)]
    symbol: &'m str,
    #[schema(value_type = SideWord)]
    side: Side,
    #[schema(value_type = TimeInForceWord)]
    time_in_force: TimeInForce,
    #[schema(value_type = SelfTradePreventionWord)]
    self_trade_prevention: SelfTradePrevention,
    #[schema(value_type = OrderStatusWord)]
    status: OrderStatus,
    #[schema(value_type = OrderMoment)]
    created_at: CreatedAt,
    #[schema(value_type = DecimalText)]
    executed_quantity: String,
    #[schema(value_type = DecimalText)]
    executed_quote_quantity: String,
    #[schema(value_type = DecimalText)]
    quantity: String,
    /// Only of market orders; null when by quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DecimalText>, required = false)]
    quote_quantity: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = DecimalText, required = false)]
    price: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    post_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AbsentValue, required = false)]
    slippage_tolerance: Option<Null>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AbsentValue, required = false)]
    slippage_tolerance_type: Option<Null>,
    #[serde(flatten)]
    trigger: TriggerJson,
    #[serde(flatten)]
    absent: Absent,
    #[serde(flatten)]
    present_only: Option<PresentOnly>,
    #[serde(flatten)]
    past_only: Option<PastOnly>,
    /// Our own addition: the taker's trades of this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub fills: Option<Vec<FillJson<'m>>>,
}

/// What an order waits for, or waited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderTrigger)]
struct TriggerJson {
    #[schema(value_type = Option<DecimalText>, required = true)]
    trigger_price: Option<String>,
    #[schema(value_type = Option<DecimalText>, required = true)]
    trigger_quantity: Option<String>,
    #[schema(value_type = Option<TriggerSourceWord>, required = true)]
    trigger_by: Option<&'static str>,
}

/// Members of features that no order here has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderAbsent)]
struct Absent {
    strategy_id: Null,
    stop_loss_trigger_price: Null,
    stop_loss_limit_price: Null,
    stop_loss_trigger_by: Null,
    take_profit_trigger_price: Null,
    take_profit_limit_price: Null,
    take_profit_trigger_by: Null,
}

/// Members that the history leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderPresentOnly)]
struct PresentOnly {
    #[schema(required = false)]
    reduce_only: Null,
    #[schema(required = false)]
    related_order_id: Null,
    #[schema(value_type = Option<Milliseconds>, required = false)]
    triggered_at: Option<u64>,
}

/// Members that only the history has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderPastOnly)]
struct PastOnly {
    #[schema(value_type = Option<ExpiryReason>, required = false)]
    expiry_reason: Option<&'static str>,
    #[schema(required = false)]
    system_order_type: Null,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum CreatedAt {
    Milliseconds(u64),
    /// Without a zone, in the history.
    Naive(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Fill)]
pub struct FillJson<'m> {
    #[schema(value_type = DecimalText)]
    price: String,
    #[schema(value_type = DecimalText)]
    quantity: String,
    #[schema(value_type = TradeNumber)]
    trade_id: u64,
    #[schema(value_type = DecimalText)]
    fee: String,
    #[schema(value_type = AssetSymbol)]
    fee_symbol: &'m str,
}

/// The taker's side of each trade; its fee is taken from what it received.
pub fn fills<'m>(
    trades: &[Trade],
    market: &MarketSpec,
    catalog: &'m Catalog,
) -> Result<Vec<FillJson<'m>>, ApiError> {
    let fill = |trade: &Trade| {
        let received = asset(catalog, market.received_asset(trade.taker_side))?;
        Ok(FillJson {
            price: text::price(trade.price, market),
            quantity: text::lots(trade.lots, market),
            trade_id: trade.id.0,
            fee: text::units(u128::from(trade.taker_fee.0), received),
            fee_symbol: &received.symbol,
        })
    };
    trades.iter().map(fill).collect()
}

/// An asset that a market of the catalog names.
pub fn asset(catalog: &Catalog, id: protocol::AssetId) -> Result<&AssetSpec, ApiError> {
    catalog.asset(id).ok_or_else(|| ApiError::bug(format_args!("asset {id} is not listed")))
}

#[cfg(test)]
#[path = "order_json_tests.rs"]
mod tests;
