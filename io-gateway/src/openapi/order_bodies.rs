//! What the bodies about orders may hold: placing, amending and cancelling. As in
//! [`bodies`](super::bodies), nothing is read by these types.

use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::values::{
    AbsentValue, Amount, CancelAfterMilliseconds, CancelAllKind, ClientNumberInput, FalseFlag,
    LimitWord, ListedMarket, MarketWord, OrderIdInput, SelfTradePreventionWord, SideWord,
    TimeInForceWord, TriggerSourceWord,
};
use crate::parameters::MEMBERS_MAX;

/// A new order: a `Limit` order, or a `Market` order by `quantity` or by `quoteQuantity`; or one
/// that waits until the last price has come to its `triggerPrice`.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum PlaceOrder {
    Limit(PlaceLimit),
    Market(PlaceMarket),
    MarketByQuote(PlaceMarketByQuote),
    TriggerLimit(PlaceTriggerLimit),
    TriggerMarket(PlaceTriggerMarket),
}

macro_rules! new_orders {
    ($($(#[$about:meta])* $name:ident($kind:ty, $post_only:ty) { $($own:tt)* })*) => {$(
        #[derive(Debug, ToSchema)]
        #[serde(rename_all = "camelCase")]
        #[schema(max_properties = 64)]
        $(#[$about])*
        pub struct $name {
            pub symbol: ListedMarket,
            pub side: SideWord,
            pub order_type: $kind,
            $($own)*
            /// `GTC` if left out; a market order never rests, whichever is given.
            pub time_in_force: Option<TimeInForceWord>,
            /// Refuse rather than trade at once; of a limit order with `GTC` only.
            pub post_only: Option<$post_only>,
            /// `RejectTaker` if left out.
            pub self_trade_prevention: Option<SelfTradePreventionWord>,
            pub client_id: Option<ClientNumberInput>,
            /// Which price an order waits for; on a spot market all are the last price.
            pub trigger_by: Option<TriggerSourceWord>,
            pub reduce_only: Option<FalseFlag>,
            /// Without effect, as are the other three of lending.
            pub auto_lend: Option<bool>,
            pub auto_lend_redeem: Option<bool>,
            pub auto_borrow: Option<bool>,
            pub auto_borrow_repay: Option<bool>,
            #[schema(required = false)]
            pub stop_loss_trigger_price: AbsentValue,
            #[schema(required = false)]
            pub stop_loss_limit_price: AbsentValue,
            #[schema(required = false)]
            pub stop_loss_trigger_by: AbsentValue,
            #[schema(required = false)]
            pub take_profit_trigger_price: AbsentValue,
            #[schema(required = false)]
            pub take_profit_limit_price: AbsentValue,
            #[schema(required = false)]
            pub take_profit_trigger_by: AbsentValue,
            #[schema(required = false)]
            pub slippage_tolerance: AbsentValue,
            #[schema(required = false)]
            pub slippage_tolerance_type: AbsentValue,
        }
    )*};
}

new_orders! {
    #[schema(example = json!({"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit",
        "price": "20.5", "quantity": "1.25", "clientId": 7, "postOnly": true}))]
    PlaceLimit(LimitWord, bool) {
        /// Quote per base, in whole ticks of the market.
        pub price: Amount,
        /// Of base, in whole steps of the market.
        pub quantity: Amount,
        #[schema(required = false)]
        pub quote_quantity: AbsentValue,
        #[schema(required = false)]
        pub trigger_price: AbsentValue,
        #[schema(required = false)]
        pub trigger_quantity: AbsentValue,
    }

    #[schema(example = json!({"symbol": "SOL_USDC", "side": "Ask", "orderType": "Market",
        "quantity": "1.25"}))]
    PlaceMarket(MarketWord, FalseFlag) {
        /// Of base, in whole steps of the market.
        pub quantity: Amount,
        #[schema(required = false)]
        pub quote_quantity: AbsentValue,
        #[schema(required = false)]
        pub trigger_price: AbsentValue,
        #[schema(required = false)]
        pub trigger_quantity: AbsentValue,
    }

    #[schema(example = json!({"symbol": "SOL_USDC", "side": "Bid", "orderType": "Market",
        "quoteQuantity": "25"}))]
    PlaceMarketByQuote(MarketWord, FalseFlag) {
        #[schema(required = false)]
        pub quantity: AbsentValue,
        /// Spend, or bring in, at most this much quote.
        pub quote_quantity: Amount,
        #[schema(required = false)]
        pub trigger_price: AbsentValue,
        #[schema(required = false)]
        pub trigger_quantity: AbsentValue,
    }

    /// `quantity` is not looked at.
    #[schema(example = json!({"symbol": "SOL_USDC", "side": "Ask", "orderType": "Limit",
        "price": "18", "triggerPrice": "18.5", "triggerQuantity": "1.25"}))]
    PlaceTriggerLimit(LimitWord, bool) {
        /// Quote per base, in whole ticks of the market.
        pub price: Amount,
        /// The price it waits for, in whole ticks of the market.
        pub trigger_price: Amount,
        /// Of base, in whole steps of the market.
        pub trigger_quantity: Amount,
        #[schema(required = false)]
        pub quote_quantity: AbsentValue,
    }

    /// `quantity` is not looked at.
    #[schema(example = json!({"symbol": "SOL_USDC", "side": "Bid", "orderType": "Market",
        "triggerPrice": "22", "triggerQuantity": "1.25", "triggerBy": "LastPrice"}))]
    PlaceTriggerMarket(MarketWord, FalseFlag) {
        /// The price it waits for, in whole ticks of the market.
        pub trigger_price: Amount,
        /// Of base, in whole steps of the market.
        pub trigger_quantity: Amount,
        #[schema(required = false)]
        pub quote_quantity: AbsentValue,
    }
}

/// Orders in the order in which they are to be executed.
#[derive(Debug, ToSchema)]
#[schema(min_items = 1, max_items = 20)]
pub struct Batch(pub Vec<BatchElement>);

/// As a body of placing one order. What such an order would be refused for refuses this element
/// alone, so any object is taken.
#[derive(Debug)]
pub enum BatchElement {}

impl PartialSchema for BatchElement {
    fn schema() -> RefOr<Schema> {
        let any = ObjectBuilder::new().max_properties(Some(MEMBERS_MAX));
        AnyOfBuilder::new().item(Ref::from_schema_name(PlaceOrder::name())).item(any).into()
    }
}

impl ToSchema for BatchElement {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((PlaceOrder::name().into(), PlaceOrder::schema()));
        PlaceOrder::schemas(schemas);
    }
}

/// One open order, by `orderId` or by `clientId`, with a new `price`, a new `quantity` or both.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum AmendOrder {
    Price(AmendPrice),
    Quantity(AmendQuantity),
    PriceByClientId(AmendPriceByClientId),
    QuantityByClientId(AmendQuantityByClientId),
}

macro_rules! changed_orders {
    ($($(#[$about:meta])* $name:ident { $($own:tt)* })*) => {$(
        #[derive(Debug, ToSchema)]
        #[serde(rename_all = "camelCase")]
        #[schema(max_properties = 64)]
        $(#[$about])*
        pub struct $name {
            pub symbol: ListedMarket,
            $($own)*
        }
    )*};
}

changed_orders! {
    #[schema(example = json!({"symbol": "SOL_USDC", "orderId": "2149580803", "price": "20.4"}))]
    AmendPrice {
        pub order_id: OrderIdInput,
        #[schema(required = false)]
        pub client_id: AbsentValue,
        /// Quote per base, in whole ticks of the market.
        pub price: Amount,
        /// Of base with what has traded, in whole steps of the market.
        pub quantity: Option<Amount>,
    }

    #[schema(example = json!({"symbol": "SOL_USDC", "orderId": "2149580803", "quantity": "1"}))]
    AmendQuantity {
        pub order_id: OrderIdInput,
        #[schema(required = false)]
        pub client_id: AbsentValue,
        #[schema(required = false)]
        pub price: AbsentValue,
        /// Of base with what has traded, in whole steps of the market.
        pub quantity: Amount,
    }

    #[schema(example = json!({"symbol": "SOL_USDC", "clientId": 7, "price": "20.4"}))]
    AmendPriceByClientId {
        #[schema(required = false)]
        pub order_id: AbsentValue,
        pub client_id: ClientNumberInput,
        /// Quote per base, in whole ticks of the market.
        pub price: Amount,
        /// Of base with what has traded, in whole steps of the market.
        pub quantity: Option<Amount>,
    }

    #[schema(example = json!({"symbol": "SOL_USDC", "clientId": 7, "quantity": "1"}))]
    AmendQuantityByClientId {
        #[schema(required = false)]
        pub order_id: AbsentValue,
        pub client_id: ClientNumberInput,
        #[schema(required = false)]
        pub price: AbsentValue,
        /// Of base with what has traded, in whole steps of the market.
        pub quantity: Amount,
    }

    #[schema(example = json!({"symbol": "SOL_USDC", "orderId": "2149580803"}))]
    CancelByOrderId {
        pub order_id: OrderIdInput,
        #[schema(required = false)]
        pub client_id: AbsentValue,
    }

    #[schema(example = json!({"symbol": "SOL_USDC", "clientId": 7}))]
    CancelByClientId {
        pub client_id: ClientNumberInput,
        #[schema(required = false)]
        pub order_id: AbsentValue,
    }

    #[schema(example = json!({"symbol": "SOL_USDC"}))]
    CancelOrders {
        /// Only orders of this kind: those that rest, or those that wait for their trigger.
        pub order_type: Option<CancelAllKind>,
    }
}

/// One open order, by `orderId` or by `clientId`.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum CancelOrder {
    ByOrderId(CancelByOrderId),
    ByClientId(CancelByClientId),
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64, example = json!({"timeoutMs": 30_000}))]
pub struct CancelAfter {
    pub timeout_ms: CancelAfterMilliseconds,
}
