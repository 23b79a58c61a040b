//! Questions to the engine's replica, which has applied at least every write this gateway has seen.

use std::sync::Arc;

use protocol::query::{Answer, AnswerBody, Ask, Balance, Depth, Query, Ticker, Window};
use protocol::{
    AccountId, BookState, Conservation, FinishedOrder, MarketId, Sequence, Standing, Target, keys,
};
use tokio::time::Instant;

use crate::clock::now_us;
use crate::error::ApiError;
use crate::link::EngineLink;

#[derive(Clone)]
pub struct Queries {
    link: Arc<EngineLink>,
}

impl Queries {
    pub fn new(link: Arc<EngineLink>) -> Self {
        Queries { link }
    }

    pub async fn balances(&self, account: AccountId) -> Result<Vec<Balance>, ApiError> {
        match self.ask(Ask::Balances { account }).await? {
            AnswerBody::Balances(balances) => Ok(balances),
            other => Err(unexpected(&other)),
        }
    }

    /// One open order of the account; `None` when there is no such.
    pub async fn order(
        &self,
        account: AccountId,
        market: MarketId,
        target: Target,
    ) -> Result<Option<Standing>, ApiError> {
        match self.ask(Ask::Order { account, market, target }).await? {
            AnswerBody::Order(order) => Ok(order),
            other => Err(unexpected(&other)),
        }
    }

    /// Open orders of the account, of one market or of all.
    pub async fn open_orders(
        &self,
        account: AccountId,
        market: Option<MarketId>,
    ) -> Result<Vec<Standing>, ApiError> {
        match self.ask(Ask::OpenOrders { account, market }).await? {
            AnswerBody::OpenOrders(orders) => Ok(orders),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn depth(&self, market: MarketId, levels: u32) -> Result<Depth, ApiError> {
        match self.ask(Ask::Depth { market, levels }).await? {
            AnswerBody::Depth(depth) => Ok(depth),
            other => Err(unexpected(&other)),
        }
    }

    /// Rolling statistics of one market, or of all.
    pub async fn tickers(
        &self,
        market: Option<MarketId>,
        window: Window,
    ) -> Result<Vec<Ticker>, ApiError> {
        match self.ask(Ask::Tickers { market, window }).await? {
            AnswerBody::Tickers(tickers) => Ok(tickers),
            other => Err(unexpected(&other)),
        }
    }

    pub async fn account_exists(&self, account: AccountId) -> Result<bool, ApiError> {
        match self.ask(Ask::Account { account }).await? {
            AnswerBody::Account { exists } => Ok(exists),
            other => Err(unexpected(&other)),
        }
    }

    /// Orders of the account that ended lately, of one market or of all, the latest first.
    pub async fn finished_orders(
        &self,
        account: AccountId,
        market: Option<MarketId>,
        after: Vec<(MarketId, Sequence)>,
    ) -> Result<Vec<FinishedOrder>, ApiError> {
        match self.ask(Ask::FinishedOrders { account, market, after }).await? {
            AnswerBody::FinishedOrders(orders) => Ok(orders),
            other => Err(unexpected(&other)),
        }
    }

    /// What each market of the engine takes.
    pub async fn book_states(&self) -> Result<Vec<(MarketId, BookState)>, ApiError> {
        match self.ask(Ask::BookStates).await? {
            AnswerBody::BookStates(states) => Ok(states),
            other => Err(unexpected(&other)),
        }
    }

    /// Where all units of all assets are after one frame.
    pub async fn conservation(&self) -> Result<(Sequence, Vec<Conservation>), ApiError> {
        let Answer { sequence, body, .. } = self.link.ask(Ask::Conservation).await?;
        match body {
            AnswerBody::Conservation(assets) => Ok((sequence, assets)),
            other => Err(unexpected(&other)),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<AnswerBody, ApiError> {
        Ok(self.link.ask(ask).await?.body)
    }
}

impl EngineLink {
    /// Needs no epoch: questions change nothing.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer, ApiError> {
        let patience = self.limits().query_timeout;
        let deadline = Instant::now() + patience;
        let mut connection = self.connection()?;
        let ticket = self.answers.register()?;
        let patience_us = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
        let query = Query {
            id: ticket.number,
            gateway: self.gateway(),
            life: self.life(),
            min_sequence: self.seen(),
            deadline_us: now_us().saturating_add(patience_us),
            ask,
        };
        let query = serde_json::to_string(&query).map_err(ApiError::bug)?;
        let mut push = redis::cmd("LPUSH");
        push.arg(keys::QUERIES).arg(query);
        if let Err(error) = push.exec_async(&mut connection).await {
            self.note_failure(&error);
            let message = "The engine cannot be asked now";
            return Err(ApiError::maintenance(message).because(error));
        }
        let late = |_| ApiError::timeout().with_message("The engine did not answer in time");
        ticket.reply(deadline).await.map_err(late)
    }
}

fn unexpected(body: &AnswerBody) -> ApiError {
    match body {
        AnswerBody::UnknownMarket => ApiError::unknown_market(),
        other => ApiError::bug(format_args!("an answer to another question: {other:?}")),
    }
}
