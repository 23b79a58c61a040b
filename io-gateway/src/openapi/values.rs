//! The forms of single values, as clients write them and as they are answered.
//!
//! Types here are names of schemas and never have a value. Words come from the tables that admit
//! them, so that the document cannot know others than the code.

use std::fmt::Display;

use protocol::{BookState, ClosedReason, Interval};
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::admission;
use crate::order_json::{EXPIRIES, expiry_reason};
use crate::routes::{admin, history, market_json, markets, order_history, orders};

macro_rules! forms {
    ($($name:ident: $schema:expr;)*) => {$(
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema
            }
        }

        impl ToSchema for $name {}
    )*};
}

const ORDER_ID_MAX: u64 = 9_223_372_036_854_775_807;
/// In any unit; clients in JavaScript can still count so far.
const MOMENT_MAX: u64 = 9_007_199_254_740_991;

/// Any digits, not all of them zero, with at most one point inside.
const POSITIVE: &str = r"^(0*[1-9][0-9]*(\.[0-9]+)?|0+\.0*[1-9][0-9]*)$";

forms! {
    // Answers.
    DecimalText: text(r"^(0|[1-9][0-9]*)(\.[0-9]+)?$", "20.50", "A decimal, not negative.");
    SignedDecimal: text(r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$", "-0.63", "A decimal.");
    NoAmount: words(&["0"], "Always zero: this is not offered.");
    NoMargin: words(&["1"], "Always one: margin is not offered.");
    Count: text("^(0|[1-9][0-9]*)$", "7", "A count, as text.");
    OrderId: text("^[1-9][0-9]{0,18}$", "2149580803", "Below 2^63, never used again.");
    AccountIdText: text("^[1-9][0-9]{0,9}$", "7", "An account.");
    Sequence: text("^[0-9]+$", "70312", "A place in the engine's order of all commands.");
    Symbol: text("^[A-Z0-9]+_[A-Z0-9]+$", "SOL_USDC", "Base and quote of a market.");
    AssetSymbol: text("^[A-Z0-9]+$", "USDC", "An asset.");
    ClientNumber: whole(0, u32::MAX.into(), "Your own number for an order.");
    TradeNumber: whole(1, MOMENT_MAX, "Counts 1, 2, 3 … per market.");
    MarketTypeWord: words(&["SPOT"], "");
    Milliseconds: whole(0, MOMENT_MAX, "Since 1970, UTC.");
    Microseconds: whole(0, MOMENT_MAX, "Since 1970, UTC.");
    Moment: text(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?$",
        "2026-01-01T00:00:00.123",
        "UTC, without a zone."
    );
    OrderMoment: either(Milliseconds::schema(), Moment::schema());
    SpacedMoment: text(
        "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$",
        "2026-01-01 00:00:00",
        "UTC, without a zone."
    );
    OperationWord: words(&["Ok"], "Of a batch only.");
    RefusedWord: words(&["Err"], "");
    ExpiryReason: words(&EXPIRIES.map(expired), "Why an `Expired` order expired.");
    SideWord: choices(&admission::SIDES);
    OrderTypeWord: choices(&admission::ORDER_TYPES);
    TimeInForceWord: choices(&admission::TIMES_IN_FORCE);
    SelfTradePreventionWord: choices(&admission::SELF_TRADE_PREVENTIONS);
    AbsentValue: none();
    Pong: words(&["pong"], "");
    SystemStatusWord: words(&["Ok", "Maintenance"], "`Maintenance` while orders are not taken.");
    Empty: ArrayBuilder::new().items(none()).max_items(Some(0)).into();

    // Requests.
    // Their words are filled in from the listing when the document is made.
    ListedMarket: words::<&str>(&[], "A listed market.");
    ListedAsset: words::<&str>(&[], "A listed asset.");
    Amount: either(
        text(POSITIVE, "1.25", "Plain notation, at most 64 characters."),
        positive_number(),
    );
    ClientNumberInput: either(
        whole(0, u32::MAX.into(), "At most 4294967295."),
        digits("7"),
    );
    OrderIdInput: either(whole(0, ORDER_ID_MAX, "Below 2^63."), digits("2149580803"));
    OrderIdText: digits("2149580803");
    ClientNumberText: digits("7");
    PositiveNumber: whole(1, u32::MAX.into(), "An account.");
    RowsNumber: whole(0, history::TRADES_MAX, "");
    OffsetNumber: whole(0, history::OFFSET_MAX, "");
    Seconds: whole(0, history::TIME_S_MAX, "Since 1970, UTC.");
    DepthLevels: numbers(&markets::DEPTH_LEVELS);
    WindowWord: choices(&markets::WINDOWS);
    SortDirectionWord: choices(&order_history::DIRECTIONS);
    CancelAllKind: choices(&orders::KINDS);
    // Any word is taken.
    MarketKind: ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).into();
    KlineInterval: words(&Interval::ALL.map(Interval::name), "Length of a candle.");
    PriceTypeWord: text(
        "^([Ll][Aa][Ss][Tt]|[Ii][Nn][Dd][Ee][Xx]|[Mm][Aa][Rr][Kk])$",
        "Last",
        "`Last`, `Index` or `Mark`, in any case."
    );
    LimitWord: words(&["Limit"], "");
    MarketWord: words(&["Market"], "");
    FalseFlag: RefOr::T(Schema::Object(
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::Boolean))
            .enum_values(Some([false]))
            .build(),
    ));
    LeverageOne: either(
        text(r"^0*1(\.0+)?$", "1", "Margin is not offered."),
        RefOr::T(Schema::Object(
            ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::Number))
                .enum_values(Some([1]))
                .build(),
        )),
    );
    // `Closed`, `LimitOnly` and `PostOnly` are known and refused.
    BookStateWord: words(&[BookState::Open, BookState::CancelOnly].map(market_json::book_state_name), "");
    // Without NUL, which PostgreSQL cannot keep.
    Label: bounded(0, admin::LABEL_CHARS_MAX, r"^[^\x00]*$", "Text of your own.");
    TransferIdText: bounded(
        1,
        admin::TRANSFER_ID_CHARS_MAX,
        "",
        "Names the transfer in the whole exchange: it happens once."
    );
    PublicKeyText: text(
        "^[A-Za-z0-9+/_-]{43}=?$",
        "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
        "An ED25519 public key, base64 of 32 bytes."
    );
}

fn text(pattern: &str, example: &str, description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .pattern(Some(pattern))
        .examples([example])
        .description(Some(description))
        .into()
}

fn bounded(least: usize, most: usize, pattern: &str, description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length(Some(least))
        .max_length(Some(most))
        .pattern(Some(pattern).filter(|pattern| !pattern.is_empty()))
        .description(Some(description))
        .into()
}

fn digits(example: &str) -> RefOr<Schema> {
    text("^[0-9]+$", example, "Digits.")
}

fn whole(minimum: u64, maximum: u64, description: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(minimum))
        .maximum(Some(maximum))
        .description(Some(description))
        .into()
}

fn numbers(numbers: &[u64]) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .enum_values(Some(numbers.iter().copied()))
        .into()
}

fn positive_number() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Number))
        .exclusive_minimum(Some(0))
        .description(Some("A number without an exponent will do."))
        .into()
}

fn either(one: RefOr<Schema>, other: RefOr<Schema>) -> RefOr<Schema> {
    AnyOfBuilder::new().item(one).item(other).into()
}

fn expired(reason: ClosedReason) -> &'static str {
    expiry_reason(reason).unwrap_or_default()
}

fn none() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null)).into()
}

/// The words of a table from which a request's member is read.
fn choices<T>(choices: &[(&str, T)]) -> RefOr<Schema> {
    let choices: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
    words(&choices, "")
}

fn words<W: Display>(words: &[W], description: &str) -> RefOr<Schema> {
    let words: Vec<String> = words.iter().map(ToString::to_string).collect();
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .enum_values(Some(words))
        .description(Some(description).filter(|text| !text.is_empty()))
        .into()
}
