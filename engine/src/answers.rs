//! What the replica answers to a question: pure, no channel, no clock.

use engine_core::replica::{DAY_MINUTES, MarketReplica, Replica, WEEK_MINUTES};
use protocol::query::{Answer, AnswerBody, Ask, Balance, Depth, Query, Window};
use protocol::{AccountId, MarketId, Side, Standing, Target};

use crate::market_data;

/// Levels a side of one depth answer.
const LEVELS_MAX: usize = protocol::query::DEPTH_LEVELS_MAX as usize;

/// Answers from the state as it is; `now_us` is the end of rolling windows.
pub fn answer(replica: &Replica, query: &Query, now_us: u64) -> Answer {
    let sequence = replica.position();
    let body = body(replica, &query.ask, now_us).unwrap_or(AnswerBody::UnknownMarket);
    Answer { id: query.id, life: query.life, sequence, body }
}

/// `None` when the question names a market that is not listed.
fn body(replica: &Replica, ask: &Ask, now_us: u64) -> Option<AnswerBody> {
    Some(match ask {
        Ask::Balances { account } => AnswerBody::Balances(balances(replica, *account)),
        Ask::Order { account, market, target } => {
            AnswerBody::Order(order(replica.market(*market)?, *account, *target).copied())
        }
        Ask::OpenOrders { account, market } => {
            if let Some(market) = market {
                replica.market(*market)?;
            }
            AnswerBody::OpenOrders(replica.open_orders(*account, *market))
        }
        Ask::Depth { market, levels } => {
            AnswerBody::Depth(depth(replica.market(*market)?, *levels as usize))
        }
        Ask::Tickers { market, window } => {
            AnswerBody::Tickers(tickers(replica, *market, *window, now_us)?)
        }
        Ask::Account { account } => {
            AnswerBody::Account { exists: replica.accounts().exists(*account) }
        }
        Ask::FinishedOrders { account, market, after } => {
            if let Some(market) = market {
                replica.market(*market)?;
            }
            AnswerBody::FinishedOrders(replica.finished_orders(*account, *market, after))
        }
        Ask::BookStates => {
            let state = |market: &MarketReplica| (market.spec().id, market.book_state());
            AnswerBody::BookStates(replica.markets().map(state).collect())
        }
        Ask::Epoch { gateway } => AnswerBody::Epoch(replica.epoch(*gateway)),
        Ask::Conservation => AnswerBody::Conservation(replica.conservation()),
    })
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
) -> Option<Vec<protocol::query::Ticker>> {
    let minutes = match window {
        Window::Day => DAY_MINUTES,
        Window::Week => WEEK_MINUTES,
    };
    let of = |market: &MarketReplica| {
        market_data::ticker(market.spec().id, &market.figures(now_us, minutes))
    };
    match market {
        Some(market) => Some(vec![of(replica.market(market)?)]),
        None => Some(replica.markets().map(of).collect()),
    }
}
