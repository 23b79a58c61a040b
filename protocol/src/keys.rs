//! Names of keys and channels on Redis. Every key of a market carries its hash tag `{MARKET}`.

use crate::ids::{AccountId, GatewayId};
use crate::interval::Interval;

/// Stands in for a market in the names of the streams that belong to none.
pub const ACCOUNTS: &str = "accounts";
/// List of questions to the replica: JSON [`crate::query::Query`], pushed left, popped right.
pub const QUERIES: &str = "queries";
/// JSON [`crate::query::Heartbeat`]; expires when the engine is away.
pub const HEARTBEAT: &str = "engine:heartbeat";
/// List of JSON [`crate::refill::Request`], pushed left, popped right.
pub const REFILLS: &str = "refills";
/// Pub/sub: JSON [`crate::feed::Heads`], now and then and at the start of each life of the engine.
pub const HEADS: &str = "heads";
/// List of questions who somebody is: JSON [`crate::access::Question`], pushed left, popped right.
pub const ACCESS: &str = "access";
/// Hash of how far the database has each event stream: field its name, value a sequence.
pub const COMMITTED: &str = "committed";
/// JSON [`crate::catalog_json::Published`]: what is listed, on which terms, written anew now and
/// then.
pub const CATALOG: &str = "catalog";
/// JSON [`crate::query::EngineStatus`]; says when it was so.
pub const STATUS: &str = "engine:status";
/// At the latest after so long what is listed is written again; followers look more often.
pub const CATALOG_EVERY_MS: u64 = 1000;
pub const HEADS_EVERY_MS: u64 = 500;
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

/// `refill:sink-1`: pages for one asker.
pub fn refill(asker: &str) -> String {
    format!("refill:{asker}")
}

/// `epoch:1`: the highest epoch that a life of this gateway has taken.
pub fn epoch(gateway: GatewayId) -> String {
    format!("epoch:{gateway}")
}

/// Lua: takes the next epoch. Key: [`epoch`]. Argument: the highest that the engine knows of. Two
/// lives never get the same, as long as one of Redis and the engine remembers; should both forget,
/// the clock tells lives of different seconds apart. It is not believed beyond the year 2096, so
/// that no step of it uses all epochs up.
pub const TAKE_EPOCH: &str = "\
local now = math.min(tonumber(redis.call('TIME')[1]), 4000000000) \
local before = tonumber(redis.call('GET', KEYS[1]) or '0') \
local taken = math.max(before, tonumber(ARGV[1]), now) + 1 \
redis.call('SET', KEYS[1], string.format('%d', taken)) \
return taken";

/// `access:950`: answers to who asked under that id who somebody is.
pub fn access(asker: GatewayId) -> String {
    format!("access:{asker}")
}

/// `armed:950`: set of the accounts whose orders that fan-out is to cancel when a socket closes;
/// what its next life finds there has lost its sockets.
pub fn armed(asker: GatewayId) -> String {
    format!("armed:{asker}")
}

/// `account@17`: private updates of one account, JSON [`crate::feed::AccountMessage`]; only while a
/// lease of [`crate::query::Ask::Listen`] runs.
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
