//! Commands out, decisions in.
//!
//! A command is one entry of its market's stream, named by this gateway, its epoch and a number;
//! the reply repeats the name. Commands of one call go out in one pipeline, so they reach the
//! engine in the order given. While a client waits, what has no answer is sent again under the same
//! name ([`crate::resend`]), so the answer tells of one execution at most.

use std::sync::Arc;

use protocol::{Action, Command, MarketId, Outcome, Place, Refusal};
use tokio::time::Instant;

use crate::clock::now_us;
use crate::error::ApiError;
use crate::link::EngineLink;
use crate::outstanding::{Reply, Ticket};
use crate::replies::Decision;
use crate::resend::Sent;

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
        let epoch = self.link.open_for(market)?;
        let patience = self.link.limits().reply_timeout;
        // Who is not served in time is not served at all: the engine refuses late commands.
        let deadline = Instant::now() + patience;
        let patience_us = u64::try_from(patience.as_micros()).unwrap_or(u64::MAX);
        let valid_until_us = now_us().saturating_add(patience_us);

        let mut tickets: Vec<Result<Ticket<'_>, ApiError>> = Vec::with_capacity(actions.len());
        for action in actions {
            // Once one finds no place, those after it must not overtake it.
            let full = tickets.last().is_some_and(Result::is_err);
            let action = within(*action, valid_until_us);
            tickets.push(match full {
                true => Err(ApiError::overloaded()),
                false => self.link.outstanding.register(epoch, action, deadline),
            });
        }
        let commands: Vec<Command> = tickets.iter().flatten().map(|it| it.command).collect();
        let began = Instant::now();
        let mut sent = self.link.send(&commands).await.into_iter();
        metrics::histogram!("gateway_queue_seconds").record(began.elapsed());
        // Before any waiting: what was refused must leave, lest it be sent again.
        for place in &mut tickets {
            let Ok(ticket) = place else { continue };
            match sent.next() {
                Some(Sent::Refused(error)) => {
                    if self.link.outstanding.withdraw(ticket.command.origin.sequence) {
                        let message = "The order queue takes nothing now";
                        *place = Err(ApiError::maintenance(message).because(error));
                    }
                }
                Some(Sent::Unknown) => self.link.suspected.notify_one(),
                Some(Sent::Queued) | None => (),
            }
        }
        let mut decisions = Vec::with_capacity(tickets.len());
        for ticket in tickets {
            decisions.push(match ticket {
                Ok(ticket) => ticket.reply(deadline).await.and_then(|reply| self.judge(reply)),
                Err(error) => Err(error),
            });
        }
        metrics::histogram!("gateway_decision_seconds").record(began.elapsed());
        Ok(decisions)
    }

    /// What a reply means to the client: a decision, a refusal, or that nothing can be told.
    fn judge(&self, reply: Reply) -> Result<Decision, ApiError> {
        let Reply { decision, sendings } = reply;
        let is_only_copy = sendings == 1;
        let refusal = match decision.outcome {
            Outcome::Recognised { .. } => {
                metrics::counter!("gateway_recognised_total").increment(1);
                return Err(ApiError::unknown_outcome());
            }
            Outcome::Refused(refusal) => refusal,
            _ => return Ok(decision),
        };
        let reason = format!("{refusal:?}");
        metrics::counter!("gateway_refusals_total", "reason" => reason).increment(1);
        match refusal {
            Refusal::Stale => {
                if is_only_copy {
                    // Our numbers are old to the engine: somebody else may send under our name.
                    self.link.epochs.doubt("a new command was old to the engine");
                }
                // It may also have read the one copy twice, and forgotten the first time.
                Err(refusal.into())
            }
            // The copy that was answered is not the only one, and another may have been carried
            // out.
            Refusal::TooLate if !is_only_copy => Err(ApiError::unknown_outcome()),
            _ => Err(refusal.into()),
        }
    }
}

fn within(action: Action, valid_until_us: u64) -> Action {
    match action {
        Action::Place(place) => Action::Place(Place { valid_until_us, ..place }),
        other => other,
    }
}
