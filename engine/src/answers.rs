//! What the replica's loop answers to a question: no channel, no clock.

use engine_core::replica::{DAY_MINUTES, MarketReplica, Replica, WEEK_MINUTES};
use protocol::query::{Answer, AnswerBody, Ask, Balance, Depth, Query, Window};
use protocol::{AccountId, MarketId, Side, Standing, Target};

use crate::account_data::leases::Leases;
use crate::market_data;
use crate::recent::Recent;

/// Levels a side of one depth answer.
const LEVELS_MAX: usize = 10_000;

/// Trades of one answer. Who needs more asks again behind the last one.
const TRADES_MAX: usize = 1000;

/// What is known, and who listens.
pub struct Sources<'a> {
    pub replica: &'a Replica,
    pub recent: &'a Recent,
    pub leases: &'a mut Leases,
}

enum Unanswered {
    /// The question names a market that is not listed.
    UnknownMarket,
    TooManyLeases,
}

/// Answers from the state as it is; `now_us` is the end of rolling windows, and the beginning of a
/// lease. `None`: there is no room for one more lease.
pub fn answer(sources: Sources<'_>, query: &Query, now_us: u64) -> Option<Answer> {
    let sequence = sources.replica.position();
    let body = match body(sources, &query.ask, now_us) {
        Ok(body) => body,
        Err(Unanswered::UnknownMarket) => AnswerBody::UnknownMarket,
        Err(Unanswered::TooManyLeases) => return None,
    };
    Some(Answer { id: query.id, life: query.life, sequence, body })
}

fn body(sources: Sources<'_>, ask: &Ask, now_us: u64) -> Result<AnswerBody, Unanswered> {
    let Sources { replica, recent, leases } = sources;
    Ok(match ask {
        Ask::Balances { account } => AnswerBody::Balances(balances(replica, *account)),
        Ask::Order { account, market, target } => {
            AnswerBody::Order(order(listed(replica, *market)?, *account, *target).copied())
        }
        Ask::OpenOrders { account, market } => {
            market.map_or(Ok(()), |market| listed(replica, market).map(drop))?;
            AnswerBody::OpenOrders(replica.open_orders(*account, *market))
        }
        Ask::Depth { market, levels } => {
            AnswerBody::Depth(depth(listed(replica, *market)?, *levels as usize))
        }
        Ask::DepthSince { market, after } => {
            AnswerBody::DepthSince(recent.levels.since(listed(replica, *market)?, *after))
        }
        Ask::Tickers { market, window } => {
            AnswerBody::Tickers(tickers(replica, *market, *window, now_us)?)
        }
        Ask::Account { account } => {
            AnswerBody::Account { exists: replica.accounts().exists(*account) }
        }
        Ask::FinishedOrders { account, market, after } => {
            market.map_or(Ok(()), |market| listed(replica, market).map(drop))?;
            AnswerBody::FinishedOrders(replica.finished_orders(*account, *market, after))
        }
        Ask::BookStates => {
            let state = |market: &MarketReplica| (market.spec().id, market.book_state());
            AnswerBody::BookStates(replica.markets().map(state).collect())
        }
        Ask::Epoch { gateway } => AnswerBody::Epoch(replica.epoch(*gateway)),
        Ask::Conservation => AnswerBody::Conservation(replica.conservation()),
        Ask::Trades { market, after } => {
            listed(replica, *market)?;
            AnswerBody::Trades(recent.trades.after(*market, *after, TRADES_MAX))
        }
        Ask::Listen { account } => {
            let listening = leases.listen(*account, now_us);
            AnswerBody::Listening(listening.ok_or(Unanswered::TooManyLeases)?)
        }
    })
}

fn listed(replica: &Replica, market: MarketId) -> Result<&MarketReplica, Unanswered> {
    replica.market(market).ok_or(Unanswered::UnknownMarket)
}

fn balances(replica: &Replica, account: AccountId) -> Vec<Balance> {
    let balances = replica.balances_of(account);
    balances
        .map(|balance| Balance {
            asset: balance.asset,
            available: balance.available,
            locked: balance.locked,
        })
        .collect()
}

fn order(market: &MarketReplica, account: AccountId, target: Target) -> Option<&Standing> {
    match target {
        Target::Order(order) if order.market() == market.spec().id => {
            market.orders().standing(order).filter(|found| found.account() == account)
        }
        Target::Order(_) => None,
        Target::Client(client_id) => market.orders().by_client_id(account, client_id),
    }
}

fn depth(market: &MarketReplica, levels: usize) -> Depth {
    let levels = levels.min(LEVELS_MAX);
    let best = |side| market.levels().best_first(side).take(levels).collect();
    Depth {
        bids: best(Side::Bid),
        asks: best(Side::Ask),
        update_id: market.update_id(),
        time_us: market.update_time_us(),
    }
}

fn tickers(
    replica: &Replica,
    market: Option<MarketId>,
    window: Window,
    now_us: u64,
) -> Result<Vec<protocol::query::Ticker>, Unanswered> {
    let minutes = match window {
        Window::Day => DAY_MINUTES,
        Window::Week => WEEK_MINUTES,
    };
    let of = |market: &MarketReplica| {
        market_data::ticker(market.spec().id, &market.figures(now_us, minutes))
    };
    match market {
        Some(market) => Ok(vec![of(listed(replica, market)?)]),
        None => Ok(replica.markets().map(of).collect()),
    }
}
