//! Commands out, and which of them still wait for their reply.

use std::collections::{BTreeMap, HashMap};

use protocol::{
    AccountId, Action, Command, GatewayId, MarketId, OrderKind, Origin, Place, Record, TimeInForce,
};

/// A command for `orders:{MARKET}`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outgoing {
    pub market: MarketId,
    pub record: Record,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InFlight {
    pub command: Command,
    pub sent_us: u64,
}

#[derive(Debug)]
pub struct Submitter {
    gateway: GatewayId,
    epoch: u32,
    /// They count from 1 in each life of the process, on through its epochs.
    sent: u64,
    /// By the command's sequence number, hence oldest first.
    in_flight: BTreeMap<u64, InFlight>,
    /// Orders in flight that may come to rest.
    resting: HashMap<MarketId, usize>,
    outgoing: Vec<Outgoing>,
}

impl Submitter {
    /// Names nothing before [`Submitter::begin_epoch`].
    pub fn new(gateway: GatewayId) -> Self {
        Submitter {
            gateway,
            epoch: 0,
            sent: 0,
            in_flight: BTreeMap::new(),
            resting: HashMap::new(),
            outgoing: Vec::new(),
        }
    }

    /// What is submitted from now on is named under `epoch`.
    pub fn begin_epoch(&mut self, epoch: u32) {
        self.epoch = epoch;
    }

    pub fn submit(&mut self, action: Action, now_us: u64) {
        self.sent += 1;
        let origin = Origin { gateway: self.gateway, epoch: self.epoch, sequence: self.sent };
        let command = Command { origin, time_us: 0, action };
        if let Some(market) = may_rest(&action) {
            *self.resting.entry(market).or_default() += 1;
        }
        self.in_flight.insert(self.sent, InFlight { command, sent_us: now_us });
        self.outgoing.push(Outgoing { market: command.market(), record: command.encode() });
        let kind = match action {
            Action::Place(_) => "place",
            Action::Cancel { .. } => "cancel",
            _ => "other",
        };
        metrics::counter!("mm_commands_total", "kind" => kind).increment(1);
    }

    /// What is to be sent now, in order.
    pub fn take_outgoing(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.outgoing)
    }

    /// A reply to `origin` has come. `None`: not of this life, or answered or given up before.
    pub fn settle(&mut self, origin: Origin) -> Option<InFlight> {
        if self.in_flight.get(&origin.sequence)?.command.origin != origin {
            return None;
        }
        let settled = self.in_flight.remove(&origin.sequence)?;
        self.count_out(&settled);
        Some(settled)
    }

    /// Gives up what was sent before `before_us`.
    pub fn expire(&mut self, before_us: u64) -> Vec<Command> {
        let mut expired = Vec::new();
        while let Some(oldest) = self.in_flight.first_entry() {
            if before_us <= oldest.get().sent_us {
                break;
            }
            let given_up = oldest.remove();
            self.count_out(&given_up);
            expired.push(given_up.command);
        }
        expired
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub fn resting_in_flight(&self, market: MarketId) -> usize {
        self.resting.get(&market).copied().unwrap_or(0)
    }

    /// Orders of `account` without a reply; their holds may or may not have happened.
    pub fn places_of(&self, account: AccountId) -> impl Iterator<Item = &Place> {
        self.in_flight.values().filter_map(move |it| match &it.command.action {
            Action::Place(place) if place.account == account => Some(place),
            _ => None,
        })
    }

    fn count_out(&mut self, it: &InFlight) {
        let Some(market) = may_rest(&it.command.action) else { return };
        if let Some(count) = self.resting.get_mut(&market) {
            *count = count.saturating_sub(1);
        }
    }
}

fn may_rest(action: &Action) -> Option<MarketId> {
    match action {
        Action::Place(Place {
            market,
            kind: OrderKind::Limit { .. },
            time_in_force: TimeInForce::GoodTillCancelled,
            ..
        }) => Some(*market),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANCEL_ALL: Action = match AccountId::new(3) {
        Some(account) => Action::cancel_all(MarketId(1), account),
        None => unreachable!(),
    };

    #[test]
    fn commands_are_numbered_and_settled_once() {
        let mut submitter = Submitter::new(GatewayId(900));
        submitter.begin_epoch(77);
        submitter.submit(CANCEL_ALL, 10);
        submitter.submit(CANCEL_ALL, 20);
        let sent = submitter.take_outgoing();
        let origins: Vec<_> =
            sent.iter().map(|it| Command::decode(&it.record).unwrap().origin).collect();
        assert_eq!(origins.iter().map(|it| it.sequence).collect::<Vec<_>>(), [1, 2]);
        assert!(submitter.take_outgoing().is_empty());
        let foreign = Origin { epoch: 76, ..origins[0] };
        assert_eq!(submitter.settle(foreign), None);
        submitter.begin_epoch(78);
        assert!(submitter.settle(origins[0]).is_some());
        assert_eq!(submitter.settle(origins[0]), None);
        assert_eq!(submitter.expire(20), []);
        assert_eq!(submitter.expire(21).len(), 1);
        assert_eq!(submitter.in_flight(), 0);
    }
}
