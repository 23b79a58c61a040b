//! The forms of single values, as clients write them and as they are answered.
//!
//! Types here are names of schemas and never have a value. Words come from the tables that admit
//! them, so that the document cannot know others than the code.

use std::fmt::Display;

use protocol::{BookState, Interval, order_words};
use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::admission;
use crate::chains;
use crate::logins;
use crate::order_endings;
use crate::routes::{
    admin, auth_accounts, auth_keys, cancel_after, history, market_json, markets, order_history,
    orders, paging, withdrawals,
};

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

const BOOK_STATES: [BookState; 5] = [
    BookState::Open,
    BookState::CancelOnly,
    BookState::LimitOnly,
    BookState::PostOnly,
    BookState::Closed,
];

/// Any digits, not all of them zero, with at most one point inside.
const POSITIVE: &str = r"^(0*[1-9][0-9]*(\.[0-9]+)?|0+\.0*[1-9][0-9]*)$";

/// No control characters.
const PRINTABLE: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

/// At most 64 characters before the `@`, and 63 between dots after it.
const EMAIL: &str = "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\
    @[A-Za-z0-9]([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]*[A-Za-z0-9])?\
    (\\.[A-Za-z0-9]([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]*[A-Za-z0-9])?)+$";
const EMAIL_CHARS_MIN: usize = 5;

/// No number of it has a leading zero.
const IPV4: &str = "^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}\
    (25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$";

/// Zero, or 1000 to 3600000.
const CANCEL_AFTER: &str = "^0*(0|[1-9][0-9]{3,5}|[12][0-9]{6}|3[0-5][0-9]{5}|3600000)$";

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
    ExpiryReason: words(
        &order_endings::ending_words(),
        "Why an `Expired` order expired, or a trigger failed."
    );
    BookStateWord: words(&BOOK_STATES.map(market_json::book_state_name), "What a market takes.");
    SecretText: text("^[A-Za-z0-9+/]{43}=$", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "The 32-byte seed of a key that the server made, told this once.");
    CsrfToken: text("^[A-Za-z0-9_-]{43}$", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        "For `X-CSRF-Token`, as long as the session lasts.");
    AddressText: either(ipv4(), ipv6());
    OrderStatusWord: choices(&order_words::ORDER_STATUSES);
    SideWord: choices(&admission::SIDES);
    OrderTypeWord: choices(&admission::ORDER_TYPES);
    TimeInForceWord: choices(&admission::TIMES_IN_FORCE);
    SelfTradePreventionWord: choices(&admission::SELF_TRADE_PREVENTIONS);
    TriggerSourceWord: choices(&admission::TRIGGER_SOURCES);
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
    OffsetNumber: whole(0, paging::OFFSET_MAX, "");
    TradesOffset: whole(0, history::TRADES_OFFSET_MAX, "");
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
    FillKind: text("^", "User", "");
    MillisecondsInput: whole(0, paging::TIME_MS_MAX, "Since 1970, UTC.");
    Blockchain: words(&chains::names(), "A chain by its exact name.");
    Address: text("^[!-~]([ -~]{0,254}[!-~])?$", "an-address", "1 to 256 printable characters.");
    WithdrawalClientId: bounded(
        1,
        withdrawals::CLIENT_ID_CHARS_MAX,
        PRINTABLE,
        "A name of your own."
    );
    WithdrawalClientIdInput: either(
        WithdrawalClientId::schema(),
        ObjectBuilder::new().schema_type(SchemaType::Type(Type::Number)).into(),
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
    FeeInput: either(
        text(r"^([0-9]+(\.[0-9]+)?|-0+(\.0+)?)$", "2.5", "With at most two decimals."),
        ObjectBuilder::new().schema_type(SchemaType::Type(Type::Number)).minimum(Some(0)).into(),
    );
    // Without NUL, which PostgreSQL cannot keep.
    Label: bounded(0, admin::LABEL_CHARS_MAX, r"^[^\x00]*$", "Text of your own.");
    TransferIdText: bounded(
        1,
        admin::TRANSFER_ID_CHARS_MAX,
        "",
        "Names the transfer in the whole exchange: it happens once."
    );
    Email: email();
    NewPassword: bounded(
        auth_accounts::PASSWORD_CHARS_MIN,
        auth_accounts::PASSWORD_CHARS_MAX,
        "",
        "Any characters."
    );
    Password: bounded(0, auth_accounts::PASSWORD_CHARS_MAX, "", "Any characters.");
    KeyLabel: bounded(1, auth_keys::LABEL_CHARS_MAX, PRINTABLE, "Text of your own.");
    AddressInput: either(ipv4(), ipv6());
    CancelAfterMilliseconds: either(
        either(
            numbers(&[0]),
            whole(
                cancel_after::TIMEOUT_MS_MIN.into(),
                cancel_after::TIMEOUT_MS_MAX.into(),
                "From now on; 0 switches it off."
            ),
        ),
        text(CANCEL_AFTER, "30000", "Digits."),
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

fn email() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .min_length(Some(EMAIL_CHARS_MIN))
        .max_length(Some(logins::EMAIL_BYTES_MAX))
        .pattern(Some(EMAIL))
        .examples(["ann@example.org"])
        .description(Some("In any case. At most 64 characters stand before the `@`."))
        .into()
}

fn ipv4() -> RefOr<Schema> {
    text(IPV4, "192.0.2.1", "IPv4.")
}

fn ipv6() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::String))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Ipv6)))
        .pattern(Some("^[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*$"))
        .max_length(Some(45))
        .examples(["2001:db8::1"])
        .description(Some("IPv6."))
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
