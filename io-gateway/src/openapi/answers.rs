//! Where one struct of ours answers several operations: what each of them promises of it.

use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::values::{
    Count, DecimalText, Microseconds, Milliseconds, Moment, RefusedWord, Sequence, Symbol,
};
use crate::error::Code;
use crate::order_json::OrderJson;

macro_rules! kinds_of_order {
    ($($name:ident: $created_at:ident, $members:expr;)*) => {$(
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                order_with(&$created_at::name(), $members)
            }
        }

        impl ToSchema for $name {
            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                schemas.push((OrderJson::name().into(), OrderJson::schema()));
                OrderJson::schemas(schemas);
                schemas.push(($created_at::name().into(), $created_at::schema()));
            }
        }
    )*};
}

kinds_of_order! {
    // With the trades it made by arriving.
    PlacedOrder: Milliseconds, &["reduceOnly", "relatedOrderId", "triggeredAt", "fills"];
    // In the answer of a batch.
    BatchedOrder: Milliseconds,
        &["operation", "reduceOnly", "relatedOrderId", "triggeredAt", "fills"];
    // Open, or just cancelled.
    PresentOrder: Milliseconds, &["reduceOnly", "relatedOrderId", "triggeredAt"];
    // Of the history.
    PastOrder: Moment, &["expiryReason", "systemOrderType"];
}

fn order_with(created_at: &str, members: &[&str]) -> RefOr<Schema> {
    let promised = ObjectBuilder::new()
        .property("createdAt", Ref::from_schema_name(created_at))
        .required("createdAt");
    let promised = members.iter().fold(promised, |promised, member| promised.required(*member));
    AllOfBuilder::new().item(Ref::from_schema_name(OrderJson::name())).item(promised).into()
}

/// The book by levels, as it is written without a struct.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Depth)]
pub struct DepthJson {
    /// Price and quantity, by ascending price: the best is the first.
    pub asks: Vec<Level>,
    /// Price and quantity, by ascending price: the best is the last.
    pub bids: Vec<Level>,
    /// Counts the changes of this book.
    pub last_update_id: Count,
    /// When the engine made the last of them; 0 before the first.
    pub timestamp: Microseconds,
}

/// Price and quantity.
#[derive(Debug, ToSchema)]
#[schema(min_items = 2, max_items = 2)]
pub struct Level(pub Vec<DecimalText>);

/// One element an order, in the order sent.
#[derive(Debug, ToSchema)]
#[schema(min_items = 1, max_items = 20)]
pub struct BatchAnswer(pub Vec<BatchResult>);

#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum BatchResult {
    Accepted(BatchedOrder),
    Refused(RefusedOrder),
}

/// An order of a batch that was refused; the others stand.
#[derive(Debug, ToSchema)]
pub struct RefusedOrder {
    pub operation: RefusedWord,
    pub code: Code,
    pub message: String,
}

/// How the engine's parts stand, as the engine writes it.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Engine)]
pub struct EngineStanding {
    /// Names this life of the engine: microseconds since 1970 at which it began.
    pub life: Count,
    /// The last durable command.
    pub sequence: Sequence,
    pub time_us: Microseconds,
    pub shards: Vec<EngineShard>,
    pub journal: EngineJournal,
    pub snapshot: EngineSnapshot,
}

/// Counts since this life began.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngineShard {
    /// Null: wherever the system puts it.
    #[schema(required)]
    pub core: Option<usize>,
    pub markets: Vec<Symbol>,
    pub commands: u64,
    pub stalls: u64,
    /// Commands that wait in front of it.
    pub inbound_depth: u64,
    /// Records that wait behind it.
    pub outbound_depth: u64,
}

#[derive(Debug, ToSchema)]
pub struct EngineJournal {
    /// The last durable frame.
    pub sequence: u64,
    pub frames: u64,
    pub bytes: u64,
}

#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EngineSnapshot {
    /// The last frame of the newest one on disk; 0: there is none.
    pub sequence: u64,
    /// Null: an earlier life of the engine wrote it.
    #[schema(required)]
    pub age_ms: Option<u64>,
}
