//! Names of keys and channels on Redis. Every key of a market carries its hash tag `{MARKET}`.

use crate::ids::{AccountId, GatewayId};
use crate::interval::Interval;

/// Stands in for a market in the names of the streams that belong to none.
pub const ACCOUNTS: &str = "accounts";
/// List of questions to the replica: JSON [`crate::query::Query`], pushed left, popped right.
pub const QUERIES: &str = "queries";
/// JSON [`crate::query::Heartbeat`]; expires when the engine is away.
pub const HEARTBEAT: &str = "engine:heartbeat";
pub const HEARTBEAT_EVERY_MS: u64 = 500;
pub const HEARTBEAT_EXPIRES_MS: u64 = 3000;

/// Field of a command stream's entry: one command record.
pub const COMMAND_FIELD: &str = "c";
/// Field of an event stream's entry: one frame. The entry's id is `<sequence>-0`.
pub const FRAME_FIELD: &str = "f";

/// `orders:{SOL_USDC}`: order queue of a market, or of `accounts`.
pub fn orders(stream: &str) -> String {
    format!("orders:{{{stream}}}")
}

/// `events:{SOL_USDC}`: event queue of a market, or of `accounts`, for the database.
pub fn events(stream: &str) -> String {
    format!("events:{{{stream}}}")
}

/// `replies:1`: frames and answers for one gateway.
pub fn replies(gateway: GatewayId) -> String {
    format!("replies:{gateway}")
}

/// `account@17`: private updates of one account.
pub fn account(account: AccountId) -> String {
    format!("account@{account}")
}

pub fn trade(symbol: &str) -> String {
    format!("trade@{symbol}")
}

pub fn depth(symbol: &str) -> String {
    format!("depth@{symbol}")
}

pub fn ticker(symbol: &str) -> String {
    format!("ticker@{symbol}")
}

pub fn book_ticker(symbol: &str) -> String {
    format!("bookTicker@{symbol}")
}

/// `kline.1m@SOL_USDC`
pub fn kline(interval: Interval, symbol: &str) -> String {
    format!("kline.{}@{symbol}", interval.name())
}
