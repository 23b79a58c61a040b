//! Watches that every unit of every asset can be traced, and halts trading when not: whatever the
//! mistake is, no further order shall build on it, and everybody can still take his orders back.
//!
//! After each block what was counted step by step is compared, and about once a second everything
//! is counted anew.

use engine_core::replica::Replica;
use protocol::{Action, BookState, Command, Conservation, GatewayId, MarketId, Origin};
use service::Condition;

use crate::durable::Message;

const RECOUNT_EVERY_US: u64 = 1_000_000;
/// Counting anew takes at most about one part in so many of the thread's time.
const RECOUNT_SHARE: u64 = 100;
/// A market that is still open so long after it was told to close is told again.
const REPEAT_EVERY_US: u64 = 2_000_000;

#[derive(Debug)]
pub(super) struct Watch {
    condition: Condition,
    holds: bool,
    recount_every_us: u64,
    recounted_us: u64,
    /// For the markets that are not closed yet.
    halts: Vec<(MarketId, Command)>,
    sent_us: u64,
}

impl Watch {
    pub fn new(condition: Condition) -> Watch {
        Watch {
            condition,
            holds: true,
            recount_every_us: RECOUNT_EVERY_US,
            recounted_us: 0,
            halts: Vec::new(),
            sent_us: 0,
        }
    }

    /// Whether no difference was ever seen.
    pub fn holds(&self) -> bool {
        self.holds
    }

    /// Compares what was counted step by step.
    pub fn look(&mut self, replica: &Replica) {
        if self.holds {
            self.judge(replica, &replica.conservation());
        }
    }

    /// Counts anew when it is time to. `now_us` is a function: counting is timed.
    pub fn tick(&mut self, replica: &Replica, now_us: fn() -> u64) {
        let began_us = now_us();
        // A clock that was set back makes it due as well.
        if !self.holds || began_us.abs_diff(self.recounted_us) < self.recount_every_us {
            return;
        }
        self.judge(replica, &replica.conservation_recounted());
        self.condition.set(self.holds);
        metrics::gauge!("engine_conservation_holds").set(if self.holds { 1.0 } else { 0.0 });
        self.recounted_us = now_us();
        let took_us = self.recounted_us.saturating_sub(began_us);
        self.recount_every_us = RECOUNT_EVERY_US.max(took_us.saturating_mul(RECOUNT_SHARE));
    }

    fn judge(&mut self, replica: &Replica, rows: &[Conservation]) {
        for row in rows.iter().filter(|row| !row.holds()) {
            self.holds = false;
            let asset = replica.catalog().asset(row.asset).map(|asset| asset.symbol.as_str());
            tracing::error!(
                asset,
                sequence = replica.position().0,
                difference = row.difference(),
                deposited = row.deposited,
                withdrawn = row.withdrawn,
                available = row.available,
                locked = row.locked,
                held = row.held,
                fees = row.fees,
                "the books do not add up: every market takes cancels only from here on"
            );
        }
        if self.holds {
            return;
        }
        self.condition.set(false);
        metrics::gauge!("engine_conservation_holds").set(0.0);
        let epoch = replica.epoch(GatewayId::ENGINE).saturating_add(1);
        let halt = |(market, sequence): (MarketId, u64)| {
            let origin = Origin { gateway: GatewayId::ENGINE, epoch, sequence };
            let action = Action::SetBookState { market, state: BookState::CancelOnly };
            (market, Command { origin, time_us: 0, action })
        };
        let markets = replica.markets().map(|market| market.spec().id);
        self.halts = markets.zip(1..).map(halt).collect();
    }

    /// Adds what has to be told to markets that are open. The same command is sent until it has
    /// taken effect: one that comes again is recognised.
    pub fn halt(&mut self, replica: &Replica, now_us: u64, out: &mut Vec<Message>) {
        if self.halts.is_empty() || now_us.abs_diff(self.sent_us) < REPEAT_EVERY_US {
            return;
        }
        self.sent_us = now_us;
        let is_open = |market| {
            replica.market(market).is_some_and(|market| market.book_state() == BookState::Open)
        };
        // Closed once, a market is the operator's again.
        self.halts.retain(|(market, _)| is_open(*market));
        let halts = self.halts.iter();
        out.extend(halts.filter_map(|(_, command)| Message::command(replica.catalog(), command)));
    }
}
