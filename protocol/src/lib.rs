//! The vocabulary every process of the exchange shares: no I/O, no clock.
//!
//! A command is asked of the engine; a frame (header, command, events) is what it decided. Both are
//! made of 64-byte little-endian records, the same bytes in rings, journal, event queues and
//! replies.

#![forbid(unsafe_code)]

pub mod units;
pub mod ids;
pub mod market;
pub mod terms;
pub mod catalog;
pub mod trigger;
pub mod command;
pub mod event;
pub mod order;
pub mod order_words;
pub mod record;
pub mod frame;
pub mod effects;
pub mod conservation;
pub mod keys;
pub mod interval;
pub mod text;
#[cfg(feature = "decimal")]
pub mod decimal;
#[cfg(feature = "json")]
pub mod listing;
#[cfg(feature = "json")]
pub mod catalog_json;
#[cfg(feature = "json")]
pub mod query;
#[cfg(feature = "json")]
pub mod feed;
#[cfg(feature = "json")]
pub mod access;
#[cfg(feature = "json")]
pub mod refill;
#[cfg(feature = "json")]
pub mod stream_json;
#[cfg(feature = "json")]
pub mod account_json;
#[cfg(feature = "json")]
pub mod book_checksum;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;

pub use catalog::Catalog;
pub use command::{
    Action, Amend, CancelAll, CancelKinds, Command, OrderKind, Place, Target, Transfer,
};
pub use conservation::Conservation;
pub use event::{Closed, ClosedReason, Event, Outcome, Refusal, Trade};
pub use frame::{Frame, FrameHeader, FrameWriter};
pub use ids::{
    AccountId, AssetId, ClientId, GatewayId, MarketId, OrderId, Origin, Sequence, StateDigest,
    StreamCursor, TradeId, TransferId,
};
pub use interval::Interval;
pub use market::{AssetSpec, FeeRate, Increment, MarketSpec};
pub use order::{FinishedOrder, OpenOrder, Standing};
pub use order_words::OrderStatus;
pub use record::{DecodeError, RECORD_BYTES, Record};
pub use terms::{Listing, LotTerms, Multipliers, PriceTerms};
pub use trigger::{
    Trigger, TriggerBy, TriggerDirection, TriggerPlace, Triggered, WaitingOrder, Withdrawn,
};
pub use units::{BookState, Lots, Price, SelfTradePrevention, Side, TimeInForce, Units};
