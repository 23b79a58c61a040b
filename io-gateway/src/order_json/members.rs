//! The members of the order object, as they are written and described.

use protocol::{SelfTradePrevention, Side, TimeInForce};
use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::Status;
use crate::openapi::values::{
    AbsentValue, AssetSymbol, ClientNumber, DecimalText, ExpiryReason, Milliseconds, OperationWord,
    OrderId as OrderIdValue, OrderMoment, OrderTypeWord, SelfTradePreventionWord, SideWord, Symbol,
    TimeInForceWord, TradeNumber, TriggerSourceWord,
};

/// Always `null`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Null;

impl Serialize for Null {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

impl PartialSchema for Null {
    fn schema() -> RefOr<Schema> {
        AbsentValue::schema()
    }
}

impl ToSchema for Null {}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub struct OrderJson<'m> {
    /// `Ok` in the answer of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = OperationWord, required = false)]
    pub operation: Option<&'static str>,
    #[schema(value_type = OrderTypeWord)]
    pub(super) order_type: &'static str,
    #[schema(value_type = OrderIdValue)]
    pub id: String,
    #[schema(value_type = Option<ClientNumber>, required)]
    pub(super) client_id: Option<u32>,
    #[schema(value_type = Symbol)]
    pub(super) symbol: &'m str,
    #[schema(value_type = SideWord)]
    pub(super) side: Side,
    #[schema(value_type = TimeInForceWord)]
    pub(super) time_in_force: TimeInForce,
    #[schema(value_type = SelfTradePreventionWord)]
    pub(super) self_trade_prevention: SelfTradePrevention,
    pub(super) status: Status,
    #[schema(value_type = OrderMoment)]
    pub(super) created_at: CreatedAt,
    #[schema(value_type = DecimalText)]
    pub(super) executed_quantity: String,
    #[schema(value_type = DecimalText)]
    pub(super) executed_quote_quantity: String,
    #[schema(value_type = DecimalText)]
    pub(super) quantity: String,
    /// Only of market orders; null when by quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DecimalText>, required = false)]
    pub(super) quote_quantity: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = DecimalText, required = false)]
    pub(super) price: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub(super) post_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AbsentValue, required = false)]
    pub(super) slippage_tolerance: Option<Null>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AbsentValue, required = false)]
    pub(super) slippage_tolerance_type: Option<Null>,
    #[serde(flatten)]
    pub(super) trigger: TriggerJson,
    #[serde(flatten)]
    pub(super) absent: Absent,
    #[serde(flatten)]
    pub(super) present_only: Option<PresentOnly>,
    #[serde(flatten)]
    pub(super) past_only: Option<PastOnly>,
    /// Our own addition: the taker's trades of this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub fills: Option<Vec<FillJson<'m>>>,
}

/// What an order waits for, or waited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderTrigger)]
pub(super) struct TriggerJson {
    #[schema(value_type = Option<DecimalText>, required = true)]
    pub(super) trigger_price: Option<String>,
    #[schema(value_type = Option<DecimalText>, required = true)]
    pub(super) trigger_quantity: Option<String>,
    #[schema(value_type = Option<TriggerSourceWord>, required = true)]
    pub(super) trigger_by: Option<&'static str>,
}

/// Members of features that no order here has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderAbsent)]
pub(super) struct Absent {
    pub(super) strategy_id: Null,
    pub(super) stop_loss_trigger_price: Null,
    pub(super) stop_loss_limit_price: Null,
    pub(super) stop_loss_trigger_by: Null,
    pub(super) take_profit_trigger_price: Null,
    pub(super) take_profit_limit_price: Null,
    pub(super) take_profit_trigger_by: Null,
}

/// Members that the history leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderPresentOnly)]
pub(super) struct PresentOnly {
    #[schema(required = false)]
    pub(super) reduce_only: Null,
    #[schema(required = false)]
    pub(super) related_order_id: Null,
    #[schema(value_type = Option<Milliseconds>, required = false)]
    pub(super) triggered_at: Option<u64>,
}

/// Members that only the history has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderPastOnly)]
pub(super) struct PastOnly {
    #[schema(value_type = Option<ExpiryReason>, required = false)]
    pub(super) expiry_reason: Option<&'static str>,
    #[schema(required = false)]
    pub(super) system_order_type: Null,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum CreatedAt {
    Milliseconds(u64),
    /// Without a zone, in the history.
    Naive(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Fill)]
pub struct FillJson<'m> {
    #[schema(value_type = DecimalText)]
    pub(super) price: String,
    #[schema(value_type = DecimalText)]
    pub(super) quantity: String,
    #[schema(value_type = TradeNumber)]
    pub(super) trade_id: u64,
    #[schema(value_type = DecimalText)]
    pub(super) fee: String,
    #[schema(value_type = AssetSymbol)]
    pub(super) fee_symbol: &'m str,
}
