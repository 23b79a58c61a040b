//! What the bodies of operations may hold. As with [`queries`](super::queries), nothing is read by
//! these types. Members that are not named here are ignored, though a signature covers them; `null`
//! is the same as leaving a member out.

use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::values::{
    AbsentValue, Amount, BookStateWord, CancelAllKind, ClientNumberInput, FalseFlag, Label,
    LeverageOne, LimitWord, ListedAsset, ListedMarket, MarketWord, OrderIdInput, PublicKeyText,
    SelfTradePreventionWord, SideWord, TimeInForceWord, TransferIdText,
};
use crate::parameters::MEMBERS_MAX;

/// A new order: a `Limit` order, or a `Market` order by `quantity` or by `quoteQuantity`.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum PlaceOrder {
    Limit(PlaceLimit),
    Market(PlaceMarket),
    MarketByQuote(PlaceMarketByQuote),
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"symbol": "SOL_USDC", "side": "Bid", "orderType": "Limit",
    "price": "20.5", "quantity": "1.25", "clientId": 7, "postOnly": true}))]
#[schema(max_properties = 64)]
pub struct PlaceLimit {
    pub symbol: ListedMarket,
    pub side: SideWord,
    pub order_type: LimitWord,
    /// Quote per base, in whole ticks of the market.
    pub price: Amount,
    /// Of base, in whole steps of the market.
    pub quantity: Amount,
    #[schema(required = false)]
    pub quote_quantity: AbsentValue,
    /// `GTC` if left out.
    pub time_in_force: Option<TimeInForceWord>,
    /// Refuse rather than trade at once; with `GTC` only.
    pub post_only: Option<bool>,
    /// `RejectTaker` if left out.
    pub self_trade_prevention: Option<SelfTradePreventionWord>,
    pub client_id: Option<ClientNumberInput>,
    pub reduce_only: Option<FalseFlag>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"symbol": "SOL_USDC", "side": "Ask", "orderType": "Market",
    "quantity": "1.25"}))]
#[schema(max_properties = 64)]
pub struct PlaceMarket {
    pub symbol: ListedMarket,
    pub side: SideWord,
    pub order_type: MarketWord,
    /// Of base, in whole steps of the market.
    pub quantity: Amount,
    #[schema(required = false)]
    pub quote_quantity: AbsentValue,
    /// A market order never rests, whichever is given.
    pub time_in_force: Option<TimeInForceWord>,
    pub post_only: Option<FalseFlag>,
    /// `RejectTaker` if left out.
    pub self_trade_prevention: Option<SelfTradePreventionWord>,
    pub client_id: Option<ClientNumberInput>,
    pub reduce_only: Option<FalseFlag>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"symbol": "SOL_USDC", "side": "Bid", "orderType": "Market",
    "quoteQuantity": "25"}))]
#[schema(max_properties = 64)]
pub struct PlaceMarketByQuote {
    pub symbol: ListedMarket,
    pub side: SideWord,
    pub order_type: MarketWord,
    #[schema(required = false)]
    pub quantity: AbsentValue,
    /// Spend, or bring in, at most this much quote.
    pub quote_quantity: Amount,
    /// A market order never rests, whichever is given.
    pub time_in_force: Option<TimeInForceWord>,
    pub post_only: Option<FalseFlag>,
    /// `RejectTaker` if left out.
    pub self_trade_prevention: Option<SelfTradePreventionWord>,
    pub client_id: Option<ClientNumberInput>,
    pub reduce_only: Option<FalseFlag>,
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

/// One open order, by `orderId` or by `clientId`.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum CancelOrder {
    ByOrderId(CancelByOrderId),
    ByClientId(CancelByClientId),
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"symbol": "SOL_USDC", "orderId": "2149580803"}))]
#[schema(max_properties = 64)]
pub struct CancelByOrderId {
    pub symbol: ListedMarket,
    pub order_id: OrderIdInput,
    #[schema(required = false)]
    pub client_id: AbsentValue,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"symbol": "SOL_USDC", "clientId": 7}))]
#[schema(max_properties = 64)]
pub struct CancelByClientId {
    pub symbol: ListedMarket,
    pub client_id: ClientNumberInput,
    #[schema(required = false)]
    pub order_id: AbsentValue,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"symbol": "SOL_USDC"}))]
#[schema(max_properties = 64)]
pub struct CancelOrders {
    pub symbol: ListedMarket,
    /// Only orders of this kind.
    pub order_type: Option<CancelAllKind>,
}

/// Margin is not offered: only its being off can be asked for.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct UpdateAccount {
    pub leverage_limit: Option<LeverageOne>,
    pub auto_borrow_settlements: Option<FalseFlag>,
    pub auto_lend: Option<FalseFlag>,
    pub auto_repay_borrows: Option<FalseFlag>,
}

#[derive(Debug, ToSchema)]
#[schema(max_properties = 64)]
pub struct CreateAccount {
    pub label: Option<Label>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct AddKey {
    pub public_key: PublicKeyText,
    pub label: Option<Label>,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct Transfer {
    pub asset: ListedAsset,
    pub quantity: Amount,
    pub transfer_id: TransferIdText,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(max_properties = 64)]
pub struct ChangeMarket {
    pub order_book_state: BookStateWord,
    #[schema(required = false)]
    pub fees: AbsentValue,
    #[schema(required = false)]
    pub filters: AbsentValue,
}
