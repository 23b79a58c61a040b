//! What streams are made from: one channel of Redis each, heard without a gap or said to be broken.
//!
//! A source is told everything that happens to its channel and decides; it waits for nothing, reads
//! no clock and knows no client. What is to be done it says as [`Act`]s, which the hub carries out
//! in order.

mod depth;
mod trades;
mod best_prices;
mod plain;
mod account;
mod catching_up;

use protocol::feed::{About, Head};
use protocol::query::{AnswerBody, Ask};
use protocol::{AccountId, Catalog, MarketId, MarketSpec, keys};
use tokio::time::Instant;

use crate::depth_update::DepthUpdate;
use crate::stream_name::{Kind, StreamName, Topic};
use account::Account;
use best_prices::BestPrices;
use depth::Depth;
use plain::{Loss, Plain};
use trades::Trades;

/// Names a source.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceName {
    /// A topic that has a channel of its own.
    Public(Topic),
    /// What is told of one account.
    Account(AccountId),
}

impl SourceName {
    pub fn of(stream: StreamName) -> SourceName {
        match stream {
            StreamName::Public { topic, .. } => SourceName::Public(topic.source()),
            StreamName::Private { account, .. } => SourceName::Account(account),
        }
    }

    /// For the operator.
    pub fn kind(self) -> &'static str {
        match self {
            SourceName::Public(topic) => match topic.kind {
                Kind::Trade => "trade",
                Kind::Ticker => "ticker",
                Kind::BookTicker => "bookTicker",
                Kind::Depth | Kind::DepthWindow(_) => "depth",
                Kind::Kline(_) => "kline",
            },
            SourceName::Account(_) => "account",
        }
    }

    pub fn market(self) -> Option<MarketId> {
        match self {
            SourceName::Public(topic) => Some(topic.market),
            SourceName::Account(_) => None,
        }
    }

    /// `None` while the catalog does not know its market.
    pub fn channel(self, catalog: &Catalog) -> Option<String> {
        match self {
            SourceName::Public(topic) => Some(topic.at_name(&catalog.market(topic.market)?.symbol)),
            SourceName::Account(account) => Some(keys::account(account)),
        }
    }
}

/// A source whose channel nobody listens to yet.
pub fn new(name: SourceName) -> Box<dyn Source> {
    match name {
        SourceName::Public(topic) => match topic.kind {
            Kind::Trade => Box::<Trades>::default(),
            Kind::Depth | Kind::DepthWindow(_) => Box::<Depth>::default(),
            Kind::BookTicker => Box::<BestPrices>::default(),
            Kind::Ticker => Box::new(Plain::new(Loss::MadeUpFor)),
            Kind::Kline(_) => Box::new(Plain::new(Loss::Breaks)),
        },
        SourceName::Account(account) => Box::new(Account::new(account)),
    }
}

/// What a source wants done.
#[derive(Debug)]
pub enum Act {
    /// The replica is to be asked; the answer comes back under the same number.
    Ask { attempt: u64, ask: Ask },
    /// Nothing will be missed from here on: whoever waits is to be joined.
    Begin,
    /// A public frame under its `@` name.
    Frame(String),
    /// A realtime depth frame, and what it says.
    Depth { frame: String, update: DepthUpdate },
    /// What happened to an account, as `data` of a frame.
    Private { about: About, data: String },
    /// Something was missed for good: whoever heard the streams is to be told.
    Break,
}

/// What a source needs to know when something happens.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    pub now: Instant,
    /// Microseconds since the epoch, for frames made here.
    pub now_us: u64,
    /// Whose channel it is; `None` for an account's.
    pub market: Option<&'a MarketSpec>,
    /// How far that market's streams had come when the engine last said so on this connection.
    pub head: Option<Head>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    Same,
    /// It may have kept to itself what the one before had decided.
    Another {
        life: u64,
    },
}

pub trait Source: Send {
    /// Redis has confirmed the subscription: what is published from here on comes. Said again after
    /// a lost connection; what was published before may be missing then.
    fn confirmed(&mut self, at: Moment<'_>, acts: &mut Vec<Act>);

    /// Nothing comes before the next confirmation.
    fn lost(&mut self, at: Moment<'_>, acts: &mut Vec<Act>);

    /// A message of the channel.
    fn message(&mut self, payload: Vec<u8>, at: Moment<'_>, acts: &mut Vec<Act>);

    /// What came of a question; `None`: no answer in time.
    fn answered(
        &mut self,
        attempt: u64,
        answer: Option<AnswerBody>,
        at: Moment<'_>,
        acts: &mut Vec<Act>,
    );

    /// The engine has said how far its streams have come.
    fn heads(&mut self, life: Life, at: Moment<'_>, acts: &mut Vec<Act>);

    /// Called a few times a second.
    fn tick(&mut self, at: Moment<'_>, acts: &mut Vec<Act>);

    /// Whether who joins now misses nothing.
    fn is_ready(&self) -> bool;
}
