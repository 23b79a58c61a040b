//! What can go wrong: `GatewayError` keeps the process from running, `ApiError` answers a request.
//!
//! An `ApiError` is two texts: a stable public code with a message, and the cause, which only the
//! log sees.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::Refusal;
use protocol::decimal::DecimalError;
use serde::Serialize;
use utoipa::ToSchema;

#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    #[error(transparent)]
    Config(#[from] service::ConfigError),
    #[error("gateway setting {key}: {rule}")]
    Setting { key: &'static str, rule: &'static str },
    #[error("the Redis URL is not valid")]
    RedisUrl(#[source] redis::RedisError),
    #[error("the database URL is not valid")]
    DatabaseUrl(#[source] sqlx::Error),
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        cause: std::io::Error,
    },
    #[error(transparent)]
    Ops(#[from] service::OpsError),
    #[error("could not watch for signals")]
    Signals(#[source] std::io::Error),
}

/// The contract's error codes that this gateway sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = ErrorCode)]
pub enum Code {
    Forbidden,
    InsufficientFunds,
    InvalidAsset,
    InvalidClientRequest,
    InvalidOrder,
    InvalidPrice,
    InvalidQuantity,
    InvalidSignature,
    Maintenance,
    NotImplemented,
    OrderLimit,
    PreconditionFailed,
    ResourceNotFound,
    ServerError,
    Timeout,
    TooManyRequests,
    TradingPaused,
    Unauthorized,
}

impl Code {
    /// The status it has unless the situation calls for another.
    const fn status(self) -> StatusCode {
        match self {
            Code::InvalidSignature | Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::ResourceNotFound => StatusCode::NOT_FOUND,
            Code::PreconditionFailed => StatusCode::CONFLICT,
            Code::Maintenance | Code::TooManyRequests => StatusCode::SERVICE_UNAVAILABLE,
            Code::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// A request's refusal: what the client is told, and why, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub code: Code,
    pub status: StatusCode,
    pub message: Cow<'static, str>,
    cause: Option<String>,
    /// Seconds after which a client turned away may try again.
    retry_after_s: u64,
}

/// Of whoever was not told otherwise.
const RETRY_AFTER_S: u64 = 1;

/// PostgreSQL's code for a statement that took longer than it may.
const STATEMENT_ENDED: &str = "57014";

const UNKNOWN_OUTCOME: &str =
    "The decision cannot be told any more; look whether it happened, an order may be there";

impl ApiError {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        ApiError {
            code,
            status: code.status(),
            message: message.into(),
            cause: None,
            retry_after_s: RETRY_AFTER_S,
        }
    }

    pub fn code(&self) -> Code {
        self.code
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub fn with_message(mut self, message: &'static str) -> Self {
        self.message = message.into();
        self
    }

    /// Adds what the log should say about it.
    pub fn because(mut self, cause: impl Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidClientRequest, message)
    }

    /// Whether the request may be fine, and it is us who cannot or will not see to it now.
    pub fn is_ours(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    /// Says in the log what nobody else is told.
    pub fn log(&self) {
        if let Some(cause) = &self.cause {
            tracing::warn!(status = self.status.as_u16(), message = %self.message, cause, "failed");
        }
    }

    /// A member of the request that breaks a rule: `side: must be Bid or Ask`.
    pub fn field(name: &str, rule: impl Display) -> Self {
        Self::invalid(format!("{name}: {rule}"))
    }

    pub fn missing(name: &str) -> Self {
        Self::field(name, "is required")
    }

    pub fn unknown_market() -> Self {
        Self::invalid("Invalid market symbol")
    }

    pub fn not_found() -> Self {
        Self::new(Code::ResourceNotFound, "Not Found")
    }

    pub fn maintenance(message: &'static str) -> Self {
        Self::new(Code::Maintenance, message)
    }

    pub fn overloaded() -> Self {
        Self::new(Code::TooManyRequests, "The exchange is busy, try again shortly")
    }

    /// A bucket of this scope is empty and has enough again after `wait`.
    pub fn limited(scope: &str, wait: Duration) -> Self {
        let message = format!("Too many requests of this {scope}");
        let error = Self::new(Code::TooManyRequests, message);
        let retry_after_s = wait.as_secs() + u64::from(wait.subsec_nanos() != 0);
        ApiError { retry_after_s: retry_after_s.max(RETRY_AFTER_S), ..error }
            .with_status(StatusCode::TOO_MANY_REQUESTS)
    }

    pub fn timeout() -> Self {
        Self::new(Code::Timeout, "No reply in time; whether it happened is not known")
    }

    /// The command was sent more than once, and what its first copy did cannot be told any more.
    pub fn unknown_outcome() -> Self {
        Self::new(Code::Timeout, UNKNOWN_OUTCOME)
    }

    pub fn not_implemented(feature: &str) -> Self {
        Self::new(Code::NotImplemented, format!("{feature} is not supported"))
    }

    /// A bug of ours.
    pub fn bug(cause: impl Display) -> Self {
        Self::new(Code::ServerError, "Internal error").because(cause)
    }

    /// The database did not do its part; the cause goes to the log.
    pub fn database(cause: &sqlx::Error) -> Self {
        let code = cause.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if code.as_deref() == Some(STATEMENT_ENDED) {
            return Self::too_long();
        }
        Self::maintenance("The history is not available now").because(cause)
    }

    /// More of the history was asked for than can be looked through in the time there is.
    pub fn too_long() -> Self {
        Self::new(Code::Timeout, "Too much history to look through: ask for less of it")
    }

    /// A price that is no price of its market.
    pub fn price(name: &str, error: DecimalError) -> Self {
        match error {
            DecimalError::Malformed => Self::field(name, error),
            DecimalError::TooFine if name == "price" => {
                Self::new(Code::InvalidPrice, "Price decimal too long")
            }
            DecimalError::TooFine => {
                Self::new(Code::InvalidPrice, format!("{name}: Price decimal too long"))
            }
            DecimalError::NotPositive | DecimalError::OutOfRange => {
                Self::new(Code::InvalidPrice, format!("{name}: {error}"))
            }
        }
    }

    /// A quantity or amount that is none of its market or asset.
    pub fn quantity(name: &str, error: DecimalError) -> Self {
        match error {
            DecimalError::Malformed => Self::field(name, error),
            DecimalError::TooFine if name == "quantity" => {
                Self::new(Code::InvalidQuantity, "Quantity decimal too long")
            }
            DecimalError::TooFine => {
                Self::new(Code::InvalidQuantity, format!("{name}: Quantity decimal too long"))
            }
            DecimalError::NotPositive | DecimalError::OutOfRange => {
                Self::new(Code::InvalidQuantity, format!("{name}: {error}"))
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::InsufficientFunds => (Code::InsufficientFunds, "Insufficient funds"),
            Refusal::PostOnlyWouldTake => {
                (Code::InvalidOrder, "Order would immediately match and take")
            }
            Refusal::PostOnlyNotAllowed => {
                (Code::InvalidOrder, "postOnly needs a Limit order that may rest")
            }
            Refusal::OrderNotFound => return Self::not_found(),
            Refusal::UnknownMarket => return Self::unknown_market(),
            Refusal::UnknownAccount => (Code::ResourceNotFound, "Unknown account"),
            Refusal::UnknownAsset => (Code::InvalidAsset, "Invalid asset"),
            Refusal::PriceOutOfRange => (Code::InvalidPrice, "price: out of the market's range"),
            Refusal::LotsOutOfRange => {
                (Code::InvalidQuantity, "quantity: out of the market's range")
            }
            Refusal::AmountOutOfRange => {
                (Code::InvalidQuantity, "quantity: the amount is beyond what can be counted")
            }
            Refusal::TooManyOpenOrders => (Code::OrderLimit, "Too many open orders"),
            Refusal::BookFull => {
                (Code::TooManyRequests, "The market takes no more open orders now")
            }
            Refusal::TooLate => (Code::Maintenance, "The engine was too late for this request"),
            Refusal::TransferConflict => {
                (Code::PreconditionFailed, "transferId: used before with other content")
            }
            Refusal::SupplyExceeded => {
                (Code::InvalidQuantity, "quantity: the asset's supply would be beyond counting")
            }
            Refusal::TooManyAccounts => {
                (Code::PreconditionFailed, "The exchange takes no more accounts")
            }
            Refusal::Stale => (Code::Timeout, UNKNOWN_OUTCOME),
            Refusal::TooManyGateways => {
                (Code::Maintenance, "Not executed: the engine knows too many gateways")
            }
            Refusal::CancelOnly => {
                (Code::TradingPaused, "The market takes nothing but cancels now")
            }
            Refusal::MarketClosed => (Code::TradingPaused, "The market is closed"),
            Refusal::LimitOnly => (Code::TradingPaused, "The market takes no market orders now"),
            Refusal::PostOnlyMarket => {
                (Code::TradingPaused, "The market takes post-only limit orders alone now")
            }
            Refusal::OutsidePriceBand => {
                (Code::InvalidPrice, "Price is too far from the last active price")
            }
            Refusal::AlreadyExecuted => {
                (Code::InvalidQuantity, "quantity: as much of the order has traded already")
            }
            Refusal::NotDue => {
                return Self::bug(format_args!("a time was told to have come and had not"));
            }
            Refusal::MarketExists => {
                (Code::PreconditionFailed, "A market of these assets is listed already")
            }
            Refusal::TermsInvalid => {
                (Code::InvalidClientRequest, "No market can be listed or traded on these terms")
            }
            Refusal::TooManyMarkets => {
                (Code::PreconditionFailed, "The exchange takes no more markets")
            }
            Refusal::TooManyHolders => {
                return Self::bug(format_args!(
                    "the account's own switch was taken for a fan-out's"
                ));
            }
        };
        Self::new(code, message)
    }
}

/// The one shape of every refusal.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub struct Body<'a> {
    code: Code,
    /// For people; usually begins with the member at fault.
    message: &'a str,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let body = axum::Json(Body { code: self.code, message: &self.message });
        let mut response = (self.status, body).into_response();
        let turned_away =
            [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.status);
        if turned_away {
            response.headers_mut().insert(header::RETRY_AFTER, self.retry_after_s.into());
        }
        // The rest of the request may still be on its way, and nobody will read it.
        if [StatusCode::PAYLOAD_TOO_LARGE, StatusCode::REQUEST_TIMEOUT].contains(&self.status) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_contract_s_code_and_status() {
        let of = |refusal: Refusal| {
            let error = ApiError::from(refusal);
            (error.status.as_u16(), serde_json::to_string(&error.code).unwrap())
        };
        assert_eq!(of(Refusal::InsufficientFunds), (400, "\"INSUFFICIENT_FUNDS\"".to_owned()));
        assert_eq!(of(Refusal::OrderNotFound), (404, "\"RESOURCE_NOT_FOUND\"".to_owned()));
        assert_eq!(of(Refusal::BookFull), (503, "\"TOO_MANY_REQUESTS\"".to_owned()));
        assert_eq!(of(Refusal::TooLate), (503, "\"MAINTENANCE\"".to_owned()));
        assert_eq!(of(Refusal::Stale), (504, "\"TIMEOUT\"".to_owned()));
        assert_eq!(of(Refusal::CancelOnly), (400, "\"TRADING_PAUSED\"".to_owned()));
        assert_eq!(of(Refusal::TransferConflict), (409, "\"PRECONDITION_FAILED\"".to_owned()));
        assert_eq!(of(Refusal::MarketClosed), (400, "\"TRADING_PAUSED\"".to_owned()));
        assert_eq!(of(Refusal::OutsidePriceBand), (400, "\"INVALID_PRICE\"".to_owned()));
        assert_eq!(of(Refusal::MarketExists), (409, "\"PRECONDITION_FAILED\"".to_owned()));
        // The engine alone says that a time has come, and fan-outs alone hold leases: no gateway
        // hears those answers.
        let of_others = [Refusal::Stale, Refusal::NotDue, Refusal::TooManyHolders];
        let is_ours = |it: &Refusal| !of_others.contains(it);
        for refusal in Refusal::ALL.into_iter().filter(is_ours) {
            let status = ApiError::from(refusal).status;
            assert!(status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE);
        }
    }

    #[test]
    fn who_is_turned_away_learns_when_to_come_back() {
        let response = ApiError::overloaded().into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        for (wait_ms, said) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_500, "60")] {
            let limited = ApiError::limited("key", Duration::from_millis(wait_ms));
            assert_eq!((limited.status.as_u16(), limited.code), (429, Code::TooManyRequests));
            assert_eq!(limited.into_response().headers()[header::RETRY_AFTER], said);
        }
        assert!(!ApiError::not_found().into_response().headers().contains_key(header::RETRY_AFTER));
    }
}
