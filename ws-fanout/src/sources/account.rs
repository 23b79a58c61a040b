//! What is told of one account: published by the engine only while somebody asks for it, numbered
//! so that nothing is missed unnoticed, and never made up for.
//!
//! Where it begins: a lease is asked for after Redis has confirmed the subscription, and its answer
//! names the last message before. The lease is prolonged long before it runs out. Answers and
//! messages come in the engine's order, so that an answer that knows of more than was heard means
//! that something was lost.

use std::time::Duration;

use protocol::AccountId;
use protocol::feed::AccountMessage;
use protocol::query::{AnswerBody, Ask, LISTEN_LEASE_MS, Listening};
use tokio::time::Instant;

use super::{Act, Life, Moment, Source};

const LEASE: Duration = Duration::from_millis(LISTEN_LEASE_MS);
/// Three attempts fit into a lease, with time to answer each.
const PROLONG_EVERY: Duration = Duration::from_secs(10);
/// Messages between the confirmation and the lease's answer; more are let go, which shows as a gap.
const HELD_MAX: usize = 1024;

#[derive(Debug)]
pub struct Account {
    account: AccountId,
    is_heard: bool,
    attempts: u64,
    /// The question on its way, and since when.
    asked: Option<(u64, Instant)>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Until the lease is answered what comes is held back.
    Beginning {
        held: Vec<Vec<u8>>,
    },
    Live(Live),
}

#[derive(Clone, Copy, Debug)]
struct Live {
    /// Of the last message.
    reached: Listening,
    /// When the lease that holds was asked for: it runs from then at least.
    leased: Instant,
}

impl Account {
    pub fn new(account: AccountId) -> Account {
        let state = State::Beginning { held: Vec::new() };
        Account { account, is_heard: false, attempts: 0, asked: None, state }
    }

    fn ask(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        if self.is_heard && self.asked.is_none() {
            self.attempts += 1;
            self.asked = Some((self.attempts, at.now));
            let ask = Ask::Listen { account: self.account };
            acts.push(Act::Ask { attempt: self.attempts, ask });
        }
    }

    /// Tells those who joined, if somebody did, that something is missing.
    fn start_over(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        let before = std::mem::replace(&mut self.state, State::Beginning { held: Vec::new() });
        if matches!(before, State::Live(_)) {
            metrics::counter!("fanout_gaps_total").increment(1);
            tracing::warn!(account = %self.account, "private updates were missed");
            acts.push(Act::Break);
        }
        self.asked = None;
        self.ask(at, acts);
    }

    fn take(&mut self, payload: &[u8], at: Moment<'_>, acts: &mut Vec<Act>) {
        let State::Live(live) = &mut self.state else { return };
        let message: AccountMessage<'_> = match serde_json::from_slice(payload) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(account = %self.account, %error, "an update cannot be read");
                metrics::counter!("fanout_malformed_frames_total").increment(1);
                return self.start_over(at, acts);
            }
        };
        let Listening { life, number } = &mut live.reached;
        if message.life == *life && message.number <= *number {
            metrics::counter!("fanout_repeats_total").increment(1);
        } else if message.life == *life && message.number == *number + 1 {
            *number = message.number;
            acts.extend(message.updates.into_iter().map(|update| Act::Private {
                about: update.about,
                data: update.data.get().to_owned(),
            }));
        } else {
            self.start_over(at, acts);
        }
    }

    fn lease(&mut self, found: Listening, leased: Instant, at: Moment<'_>, acts: &mut Vec<Act>) {
        match &mut self.state {
            State::Beginning { held } => {
                let held = std::mem::take(held);
                self.state = State::Live(Live { reached: found, leased });
                acts.push(Act::Begin);
                held.iter().for_each(|payload| self.take(payload, at, acts));
            }
            State::Live(live) => {
                let Live { reached, .. } = *live;
                live.leased = leased;
                if found.life != reached.life || reached.number < found.number {
                    self.start_over(at, acts);
                }
            }
        }
    }
}

impl Source for Account {
    fn confirmed(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.is_heard = true;
        self.start_over(at, acts);
    }

    fn lost(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.is_heard = false;
        self.start_over(at, acts);
    }

    fn message(&mut self, payload: Vec<u8>, at: Moment<'_>, acts: &mut Vec<Act>) {
        match &mut self.state {
            _ if !self.is_heard => (),
            State::Beginning { held } => {
                if held.len() == HELD_MAX {
                    held.clear();
                }
                held.push(payload);
            }
            State::Live(_) => self.take(&payload, at, acts),
        }
    }

    fn answered(
        &mut self,
        attempt: u64,
        answer: Option<AnswerBody>,
        at: Moment<'_>,
        acts: &mut Vec<Act>,
    ) {
        let Some((_, asked)) = self.asked.take_if(|(awaited, _)| *awaited == attempt) else {
            return;
        };
        if let Some(AnswerBody::Listening(found)) = answer {
            self.lease(found, asked, at, acts);
        }
    }

    fn heads(&mut self, life: Life, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Life::Another { life } = life else { return };
        // The lease may be one of that life already.
        if !matches!(&self.state, State::Live(live) if live.reached.life == life) {
            self.start_over(at, acts);
        }
    }

    fn tick(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        let age = match &self.state {
            State::Beginning { .. } => return self.ask(at, acts),
            State::Live(live) => at.now.duration_since(live.leased),
        };
        if LEASE <= age {
            // The engine may have stopped telling.
            self.start_over(at, acts);
        } else if PROLONG_EVERY <= age {
            self.ask(at, acts);
        }
    }

    fn is_ready(&self) -> bool {
        matches!(self.state, State::Live(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now: Instant) -> Moment<'static> {
        Moment { now, now_us: 0, market: None, head: None }
    }

    fn message(life: u64, number: u64) -> Vec<u8> {
        let data = format!(r#"{{"n":{number}}}"#);
        format!(
            r#"{{"life":{life},"number":{number},"updates":[{{"about":"Balance","data":{data}}}]}}"#
        )
        .into_bytes()
    }

    fn listening(number: u64) -> Option<AnswerBody> {
        Some(AnswerBody::Listening(Listening { life: 1, number }))
    }

    /// In words: what was asked, told, begun and broken.
    fn words(acts: &mut Vec<Act>) -> Vec<String> {
        let word = |act| match act {
            Act::Ask { attempt, .. } => format!("ask {attempt}"),
            Act::Begin => "begin".to_owned(),
            Act::Private { data, .. } => data,
            Act::Break => "break".to_owned(),
            other => panic!("{other:?}"),
        };
        acts.drain(..).map(word).collect()
    }

    /// Joined at message 4.
    fn live(now: Instant) -> Account {
        let (mut source, mut acts) = (Account::new(AccountId::new(7).unwrap()), Vec::new());
        source.confirmed(at(now), &mut acts);
        source.answered(1, listening(4), at(now), &mut acts);
        assert_eq!(words(&mut acts), ["ask 1", "begin"]);
        source
    }

    #[test]
    fn what_comes_before_the_lease_is_answered_is_told_if_it_is_behind_it() {
        let (now, mut acts) = (Instant::now(), Vec::new());
        let mut source = Account::new(AccountId::new(7).unwrap());
        source.message(message(1, 3), at(now), &mut acts);
        source.confirmed(at(now), &mut acts);
        [4, 5].into_iter().for_each(|it| source.message(message(1, it), at(now), &mut acts));
        assert!(!source.is_ready());
        source.answered(1, listening(4), at(now), &mut acts);
        source.message(message(1, 6), at(now), &mut acts);
        assert_eq!(words(&mut acts), ["ask 1", "begin", r#"{"n":5}"#, r#"{"n":6}"#]);
    }

    #[test]
    fn a_lease_is_prolonged_and_one_that_lapses_breaks() {
        let (now, mut acts) = (Instant::now(), Vec::new());
        let mut source = live(now);
        let mut tick = |source: &mut Account, seconds| {
            source.tick(at(now + Duration::from_secs(seconds)), &mut acts);
            words(&mut acts)
        };
        assert!(tick(&mut source, 9).is_empty());
        assert_eq!(tick(&mut source, 10), ["ask 2"]);
        assert!(tick(&mut source, 11).is_empty(), "it is on its way");
        source.answered(2, listening(4), at(now), &mut Vec::new());
        assert!(tick(&mut source, 19).is_empty());
        for (attempt, seconds) in [(3, 20), (4, 25)] {
            assert_eq!(tick(&mut source, seconds), [format!("ask {attempt}")]);
            source.answered(attempt, None, at(now), &mut Vec::new());
        }
        // It runs from when it was asked for.
        assert_eq!(tick(&mut source, 40), ["break", "ask 5"]);
    }

    #[test]
    fn a_lease_that_knows_of_more_than_was_heard_breaks() {
        let (now, mut acts) = (Instant::now(), Vec::new());
        let later = now + PROLONG_EVERY;
        for (number, expected) in [(5, vec!["break", "ask 3"]), (4, vec![])] {
            let mut source = live(now);
            source.tick(at(later), &mut Vec::new());
            source.answered(2, listening(number), at(later), &mut acts);
            assert_eq!(words(&mut acts), expected, "{number}");
        }
    }

    #[test]
    fn a_missing_number_or_another_life_breaks_and_a_repeat_does_not() {
        let (now, mut acts) = (Instant::now(), Vec::new());
        for (life, number, expected) in
            [(1, 4, vec![]), (1, 6, vec!["break", "ask 2"]), (2, 5, vec!["break", "ask 2"])]
        {
            let mut source = live(now);
            source.message(message(life, number), at(now), &mut acts);
            assert_eq!(words(&mut acts), expected, "{life}, {number}");
        }
        let mut source = live(now);
        source.heads(Life::Another { life: 1 }, at(now), &mut acts);
        assert!(acts.is_empty(), "the lease is of that life");
        source.heads(Life::Another { life: 2 }, at(now), &mut acts);
        assert_eq!(words(&mut acts), ["break", "ask 2"]);
    }
}
