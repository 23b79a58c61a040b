//! Commands out, decisions in.
//!
//! A command is one entry of its market's stream, named by this gateway, this life of it and a
//! number; the reply repeats the name. Commands of one call go out in one pipeline, so they reach
//! the engine in the order given.

use std::sync::Arc;

use protocol::{Action, Command, MarketId, Origin, Outcome, keys};
use redis::ErrorKind;
use tokio::time::Instant;

use crate::clock::now_us;
use crate::error::ApiError;
use crate::link::EngineLink;
use crate::replies::Decision;
use crate::waiting::Ticket;

#[derive(Clone)]
pub struct Submissions {
    link: Arc<EngineLink>,
}

impl Submissions {
    pub fn new(link: Arc<EngineLink>) -> Self {
        Submissions { link }
    }

    /// Sends one command and waits for what the engine decides; a refusal is an error.
    pub async fn submit(&self, market: MarketId, action: Action) -> Result<Decision, ApiError> {
        let decisions = self.submit_run(market, &[action]).await?;
        decisions.into_iter().next().unwrap_or_else(|| Err(ApiError::bug("no decision")))
    }

    /// Sends commands of one market in order and waits for all decisions, in the same order. The
    /// outer error says that none was sent.
    pub async fn submit_run(
        &self,
        market: MarketId,
        actions: &[Action],
    ) -> Result<Vec<Result<Decision, ApiError>>, ApiError> {
        let limits = self.link.limits();
        let mut connection = self.link.connection()?;
        let key = self.link.queue(market)?;
        // Who is not served in time is not served at all: the engine refuses late commands.
        let deadline = Instant::now() + limits.reply_timeout;
        let patience_us = u64::try_from(limits.reply_timeout.as_micros()).unwrap_or(u64::MAX);
        let valid_until_us = now_us().saturating_add(patience_us);

        let mut pipe = redis::pipe();
        let mut tickets: Vec<Result<Ticket<'_, Decision>, ApiError>> = Vec::new();
        for action in actions {
            // Once one finds no place, those after it must not overtake it.
            let full = tickets.last().is_some_and(Result::is_err);
            let ticket =
                if full { Err(ApiError::overloaded()) } else { self.link.decisions.register() };
            if let Ok(ticket) = &ticket {
                let record = self.command(ticket.number, *action, valid_until_us).encode();
                pipe.cmd("XADD")
                    .arg(key)
                    .arg("*")
                    .arg(keys::COMMAND_FIELD)
                    .arg(&record[..])
                    .ignore();
            }
            tickets.push(ticket);
        }
        if tickets.iter().any(Result::is_ok)
            && let Err(error) = pipe.exec_async(&mut connection).await
        {
            self.link.note_failure(&error);
            // An error that Redis answered with means it did not take the command.
            if let (ErrorKind::Server(_), [_]) = (error.kind(), actions) {
                let message = "The order queue takes nothing now";
                return Err(ApiError::maintenance(message).because(error));
            }
            // It may have taken it and be gone before it said so: a reply would tell.
            tracing::warn!(%error, %market, "a command may not have been queued");
        }
        let mut decisions = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            let decision = match ticket {
                Ok(ticket) => ticket.reply(deadline).await,
                Err(error) => Err(error),
            };
            decisions.push(decision.and_then(unless_refused));
        }
        Ok(decisions)
    }

    fn command(&self, number: u64, action: Action, valid_until_us: u64) -> Command {
        let origin =
            Origin { gateway: self.link.gateway(), epoch: self.link.epoch(), sequence: number };
        let action = match action {
            Action::Place(place) => Action::Place(protocol::Place { valid_until_us, ..place }),
            other => other,
        };
        Command { origin, time_us: 0, action }
    }
}

fn unless_refused(decision: Decision) -> Result<Decision, ApiError> {
    match decision.outcome {
        Outcome::Refused(refusal) => {
            metrics::counter!("gateway_refusals_total", "reason" => format!("{refusal:?}"))
                .increment(1);
            Err(refusal.into())
        }
        _ => Ok(decision),
    }
}
