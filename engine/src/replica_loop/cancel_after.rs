//! The dead man's switches: says when the time of one has come, and has all orders cancelled that
//! its account placed until then.
//!
//! ```text
//! deadline passes ─▶ ExpireCancelAfter ─▶ durable ─▶ CancelAll until that time, market by market
//!    a socket closes, says a fan-out ─▶─┘
//! ```
//!
//! Each holder's deadline passes by itself, also that of a fan-out which is no more.
//!
//! What is still to be done is read off the state each time: an expiry whose account has an open
//! order that is not younger. So it is done again after a restart and until nothing is left, and
//! orders placed later are never touched. Engine time is the judge of what came in time: the shard
//! refuses an expiry whose deadline was moved meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use engine_core::cancel_after::Deadline;
use engine_core::replica::Replica;
use protocol::{
    AccountId, Action, CancelAll, CancelKinds, Command, Frame, GatewayId, MarketId, Origin, Outcome,
};

use crate::durable::Message;

/// What has had no effect so long after it was sent is sent again.
const REPEAT_EVERY_US: u64 = 1_000_000;
/// How long after an expiry orders are looked for that were stamped before it and come after it.
const LINGER_US: u64 = 60_000_000;
/// Between two looks at the orders of an account whose time has come. An account may come back at
/// once with many orders, and every block looks.
const LOOK_EVERY_US: u64 = 100_000;
/// Sent in one go; the rest waits for the next.
const COMMANDS_MAX: usize = 1000;

#[derive(Debug)]
pub(super) struct Switches {
    /// Whose time has come lately, as they may have orders left, and when they were looked at.
    expired: BTreeMap<AccountId, Option<u64>>,
    /// When what was sent.
    sent: BTreeMap<Errand, u64>,
    /// Of the last command sent.
    number: u64,
}

/// What is sent again while it shows no effect. A later time is another one and waits for none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Errand {
    Expire(AccountId, GatewayId, u64),
    Cancel(AccountId, MarketId, u64),
}

impl Switches {
    /// Looks at every expiry that there ever was: the life before may have ended within one.
    pub fn new(replica: &Replica) -> Switches {
        let all = replica.accounts().cancel_afters().expiries();
        let expired = all.map(|it| (it.account, None)).collect();
        Switches { expired, sent: BTreeMap::new(), number: 0 }
    }

    /// Takes note of an expiry, whoever said so.
    pub fn take_frame(&mut self, frame: &Frame<'_>) {
        if let (Action::ExpireCancelAfter { account, .. }, Outcome::CancelAfterExpired) =
            (&frame.command.action, frame.header.outcome)
        {
            self.expired.insert(*account, None);
        }
    }

    /// Adds what has to be sent now.
    pub fn look(&mut self, replica: &Replica, now_us: u64, out: &mut Vec<Message>) {
        self.sent.retain(|_, at| now_us.abs_diff(*at) < REPEAT_EVERY_US);
        let mut actions = Vec::new();
        for due in replica.accounts().cancel_afters().due(now_us) {
            let Deadline { account, holder, deadline_us } = due;
            let errand = Errand::Expire(account, holder, deadline_us);
            if actions.len() < COMMANDS_MAX && self.is_new(errand, now_us) {
                actions.push(Action::ExpireCancelAfter { account, holder, deadline_us });
            }
        }
        self.cancel(replica, now_us, &mut actions);
        if actions.is_empty() {
            return;
        }
        // Of the life of the last command that the engine sent: later numbers, whoever counted.
        let epoch = replica.epoch(GatewayId::ENGINE).max(1);
        for action in actions {
            self.number = now_us.max(self.number + 1);
            let origin = Origin { gateway: GatewayId::ENGINE, epoch, sequence: self.number };
            let command = Command { origin, time_us: 0, action };
            out.extend(Message::command(replica.catalog(), &command));
        }
    }

    fn cancel(&mut self, replica: &Replica, now_us: u64, actions: &mut Vec<Action>) {
        let mut expired = std::mem::take(&mut self.expired);
        expired.retain(|&account, looked| {
            if looked.is_some_and(|at| now_us.abs_diff(at) < LOOK_EVERY_US) {
                return true;
            }
            *looked = Some(now_us);
            let until_us = replica.accounts().cancel_afters().expired_us(account);
            let orders = replica.open_orders(account, None);
            let left = orders.iter().filter(|order| order.created_us() <= until_us);
            let markets: BTreeSet<_> = left.map(|order| order.market()).collect();
            let is_done = markets.is_empty() && until_us.saturating_add(LINGER_US) < now_us;
            for market in markets {
                let errand = Errand::Cancel(account, market, until_us);
                if COMMANDS_MAX <= actions.len() {
                    *looked = None;
                } else if self.is_new(errand, now_us) {
                    let (kinds, created_until_us) = (CancelKinds::All, until_us);
                    let all = CancelAll { market, account, kinds, created_until_us };
                    actions.push(Action::CancelAll(all));
                }
            }
            !is_done
        });
        self.expired = expired;
    }

    /// Whether it was not sent just now; takes it as sent.
    fn is_new(&mut self, errand: Errand, now_us: u64) -> bool {
        let is_new = !self.sent.contains_key(&errand);
        if is_new {
            self.sent.insert(errand, now_us);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use engine_core::replica::Replica;
    use protocol::{Side, keys};

    use super::super::fixture::{MARKET, TestExchange, account, limit};
    use super::*;

    struct Scene {
        exchange: TestExchange,
        replica: Replica,
        switches: Switches,
    }

    impl Scene {
        fn new() -> Scene {
            let (exchange, funding) = TestExchange::funded();
            let replica = Replica::new(exchange.catalog.clone());
            let switches = Switches::new(&replica);
            let mut scene = Scene { exchange, replica, switches };
            scene.apply(&funding.frames);
            scene
        }

        fn apply(&mut self, frames: &[u8]) {
            for frame in Frame::each_of(frames) {
                let frame = frame.unwrap();
                self.replica.apply(&frame).unwrap();
                self.switches.take_frame(&frame);
            }
        }

        fn carry_out(&mut self, time_us: u64, actions: &[Action]) {
            self.exchange.time_us = time_us;
            let block = self.exchange.block(actions);
            self.apply(&block.frames);
        }

        /// What is sent at that time, each to the stream it belongs to.
        fn sent(&mut self, now_us: u64) -> Vec<Action> {
            let mut out = Vec::new();
            self.switches.look(&self.replica, now_us, &mut out);
            let sent = out.into_iter().map(|message| {
                let Message::Command { key, record } = message else { panic!("a publication") };
                let command = Command::decode(&record).unwrap();
                let name = self.replica.catalog().stream_name(command.market()).unwrap();
                assert_eq!(key, keys::orders(name));
                command.action
            });
            sent.collect()
        }
    }

    const MS: u64 = 1000;
    const START: u64 = 1_000_000_000;

    const FAN_OUT: GatewayId = GatewayId(7);

    fn arm(id: u32, timeout_ms: u32) -> Action {
        let holder = Action::OWN_SWITCH;
        Action::SetCancelAfter { account: account(id), holder, timeout_ms }
    }

    fn expiry(id: u32, deadline_us: u64) -> Action {
        let holder = Action::OWN_SWITCH;
        Action::ExpireCancelAfter { account: account(id), holder, deadline_us }
    }

    fn lease(id: u32, timeout_ms: u32) -> Action {
        Action::SetCancelAfter { account: account(id), holder: FAN_OUT, timeout_ms }
    }

    /// Of a lease; 0: a socket has closed.
    fn end(id: u32, deadline_us: u64) -> Action {
        Action::ExpireCancelAfter { account: account(id), holder: FAN_OUT, deadline_us }
    }

    fn cancel(id: u32, created_until_us: u64) -> Action {
        let (account, kinds) = (account(id), CancelKinds::All);
        Action::CancelAll(CancelAll { market: MARKET, account, kinds, created_until_us })
    }

    #[test]
    fn an_expiry_cancels_what_was_placed_until_then_and_nothing_later() {
        let mut scene = Scene::new();
        scene.carry_out(START, &[limit(1, Side::Bid, 40, 1), arm(1, 500), arm(2, 400)]);
        let (one, two) = (START + 500 * MS, START + 400 * MS);
        assert_eq!(scene.sent(two - 1), []);
        assert_eq!(scene.sent(two), [expiry(2, two)]);
        assert_eq!(scene.sent(one), [expiry(1, one)]);
        // Nothing is heard of them: they are sent again after a while.
        assert_eq!(scene.sent(one + 900 * MS), [expiry(2, two)]);
        assert_eq!(scene.sent(one + 1000 * MS), [expiry(1, one)]);
        let at = one + 1001 * MS;
        scene.carry_out(at, &[expiry(2, two), expiry(1, one)]);
        scene.carry_out(at + 1, &[limit(1, Side::Bid, 41, 1)]);
        assert_eq!(scene.sent(at + 2), [cancel(1, at)]);
        assert_eq!(scene.sent(at + 3), []);
        scene.carry_out(at + 4, &[cancel(1, at)]);
        assert_eq!(scene.replica.open_orders(account(1), None).len(), 1);
        assert_eq!(scene.sent(at + 2000 * MS), []);
    }

    #[test]
    fn a_deadline_that_is_moved_or_switched_off_does_not_come() {
        let mut scene = Scene::new();
        scene.carry_out(START, &[limit(1, Side::Bid, 40, 1), arm(1, 500), arm(2, 500)]);
        scene.carry_out(START + 400 * MS, &[arm(1, 500), arm(2, 0)]);
        assert_eq!(scene.sent(START + 899 * MS), []);
        let deadline_us = START + 900 * MS;
        assert_eq!(scene.sent(deadline_us), [expiry(1, deadline_us)]);
        // The owner is faster than what was sent: it is refused, and nothing is cancelled.
        scene.carry_out(deadline_us + 1, &[arm(1, 500), expiry(1, deadline_us)]);
        assert_eq!(scene.sent(deadline_us + 2), []);
        assert_eq!(scene.replica.open_orders(account(1), None).len(), 1);
    }

    #[test]
    fn the_next_life_finishes_what_this_one_began() {
        let mut scene = Scene::new();
        let deadline_us = START + 500 * MS;
        scene.carry_out(START, &[limit(1, Side::Bid, 40, 1), arm(1, 500)]);
        scene.carry_out(deadline_us, &[expiry(1, deadline_us), arm(1, 5000)]);
        scene.switches = Switches::new(&scene.replica);
        assert_eq!(scene.sent(deadline_us + 1), [cancel(1, deadline_us)]);
        scene.carry_out(deadline_us + 2, &[cancel(1, deadline_us)]);
        assert_eq!(scene.sent(deadline_us + LINGER_US / 2), [expiry(1, deadline_us + 5_000_000)]);
        scene.switches = Switches::new(&scene.replica);
        assert_eq!(scene.sent(deadline_us + 3), []);
    }

    #[test]
    fn a_lease_runs_out_beside_the_account_s_own_time_and_also_over_a_restart() {
        let mut scene = Scene::new();
        scene.carry_out(START, &[limit(1, Side::Bid, 40, 1), arm(1, 9000), lease(1, 500)]);
        // Renewed once; then the fan-out is killed, and the engine is started anew.
        scene.carry_out(START + 400 * MS, &[lease(1, 500)]);
        let (leased, own) = (START + 900 * MS, START + 9000 * MS);
        scene.switches = Switches::new(&scene.replica);
        assert_eq!(scene.sent(leased - 1), []);
        assert_eq!(scene.sent(leased), [end(1, leased)]);
        scene.carry_out(leased + 1, &[end(1, leased)]);
        assert_eq!(scene.sent(leased + 2), [cancel(1, leased + 1)]);
        scene.carry_out(leased + 3, &[cancel(1, leased + 1), limit(1, Side::Bid, 41, 1)]);
        assert_eq!(scene.sent(own - 1), []);
        assert_eq!(scene.sent(own), [expiry(1, own)]);
    }

    #[test]
    fn orders_stamped_before_an_expiry_that_come_after_it_go_too() {
        let mut scene = Scene::new();
        let closed = START + 10;
        scene.carry_out(closed, &[end(1, 0)]);
        assert_eq!(scene.sent(closed + 1), []);
        scene.carry_out(START + 9, &[limit(1, Side::Bid, 40, 1)]);
        scene.carry_out(closed + 1, &[limit(1, Side::Bid, 41, 1)]);
        assert_eq!(scene.sent(closed + LOOK_EVERY_US), []);
        assert_eq!(scene.sent(closed + 1 + LOOK_EVERY_US), [cancel(1, closed)]);
        scene.carry_out(closed + 2, &[cancel(1, closed)]);
        assert_eq!(scene.replica.open_orders(account(1), None).len(), 1);
        assert_eq!(scene.sent(closed + LINGER_US + 1), []);
        assert!(scene.switches.expired.is_empty());
    }

    #[test]
    fn deadlines_of_one_account_that_pass_together_are_sent_together() {
        let mut scene = Scene::new();
        scene.carry_out(START, &[arm(1, 500), lease(1, 500), lease(2, 500)]);
        let at = START + 500 * MS;
        assert_eq!(scene.sent(at), [expiry(1, at), end(1, at), end(2, at)]);
    }

    #[test]
    fn a_closed_socket_cancels_at_once_and_another_one_right_after_it_too() {
        let mut scene = Scene::new();
        scene.carry_out(START, &[limit(1, Side::Bid, 40, 1), arm(1, 5000), lease(1, 5000)]);
        scene.carry_out(START + 10, &[end(1, 0)]);
        assert_eq!(scene.sent(START + 11), [cancel(1, START + 10)]);
        // Before that is carried out there is an order more, and one socket less.
        scene.carry_out(START + 20, &[limit(1, Side::Bid, 41, 1)]);
        assert_eq!(scene.sent(START + 21), []);
        scene.carry_out(START + 30, &[end(1, 0)]);
        assert_eq!(scene.sent(START + 31), [cancel(1, START + 30)]);
        scene.carry_out(START + 40, &[cancel(1, START + 10), cancel(1, START + 30)]);
        assert_eq!(scene.replica.open_orders(account(1), None).len(), 0);
        // The lease has ended with the first; the account's own time stands.
        let own = START + 5000 * MS;
        assert_eq!(scene.sent(own), [expiry(1, own)]);
    }
}
