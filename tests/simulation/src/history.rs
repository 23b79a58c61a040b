//! The truth, kept beside the engine: every frame that was ever said to be durable, executed again
//! one by one on a single shard that never crashes.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine_core::replica::Replica;
use engine_core::{AccountsState, Again, Input, Ledger, MarketState, Sequencer, Shard};
use protocol::{
    AccountId, Action, AssetId, Catalog, Command, Frame, MarketId, Origin, Outcome, Refusal,
    Sequence, Target, WaitingOrder,
};

use crate::listing::LIMITS;
use crate::violation::{Doing, Violation};

#[derive(Debug)]
pub struct History {
    catalog: Catalog,
    /// By sequence, from 1 on.
    frames: Vec<Box<[u8]>>,
    /// Applied all frames, and never was anything else.
    replica: Replica,
    ledger: Arc<Ledger>,
    shard: Shard,
    /// Which frame decided a command, by its stream and its name.
    decided: BTreeMap<(MarketId, Origin), Sequence>,
    /// The effective frames of each event stream.
    events: BTreeMap<MarketId, Vec<Sequence>>,
    /// By a deadline that passed, and by a socket that closed.
    expiries: (u64, u64),
}

impl History {
    pub fn new(catalog: Catalog) -> History {
        let ledger = Arc::new(Ledger::new(LIMITS.accounts_max, catalog.asset_columns()));
        let sequencer = Arc::new(Sequencer::after(None));
        let mut shard = Shard::new(Arc::clone(&ledger), sequencer, LIMITS);
        for market in catalog.markets() {
            shard.add_market(market.clone(), MarketState::default()).expect("an empty market");
        }
        shard.own_accounts(&catalog, AccountsState::default());
        History {
            replica: Replica::new(catalog.clone()),
            catalog,
            frames: Vec::new(),
            ledger,
            shard,
            decided: BTreeMap::new(),
            events: BTreeMap::new(),
            expiries: (0, 0),
        }
    }

    pub fn last(&self) -> Sequence {
        Sequence(self.frames.len() as u64)
    }

    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    pub fn frame(&self, sequence: Sequence) -> Option<&[u8]> {
        let at = usize::try_from(sequence.0).ok()?.checked_sub(1)?;
        self.frames.get(at).map(|frame| &**frame)
    }

    /// Which frame decided the command of that name.
    pub fn decided(&self, market: MarketId, origin: Origin) -> Option<Sequence> {
        self.decided.get(&(market, origin)).copied()
    }

    /// Effective frames of a stream, in order.
    pub fn events(&self, market: MarketId) -> &[Sequence] {
        self.events.get(&market).map_or(&[], Vec::as_slice)
    }

    /// How often orders of an account were to go because a deadline passed, and because a socket
    /// closed.
    pub fn expiries(&self) -> (u64, u64) {
        self.expiries
    }

    /// These frames are durable now.
    pub fn extend(&mut self, frames: &[u8]) -> Result<(), Violation> {
        for frame in Frame::each_of(frames) {
            let frame = frame.doing("decode a durable frame")?;
            self.push(&frame)?;
        }
        Ok(())
    }

    fn push(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        let sequence = frame.header.sequence;
        if sequence.0 != self.last().0 + 1 {
            let last = self.last();
            return Err(Violation(format!("frame {sequence} follows frame {last}")));
        }
        self.execute_again(frame)?;
        self.replica.apply(frame).doing("apply a frame to the reference replica")?;
        let name = (frame.command.market(), true_origin(&frame.command));
        let is_decision = !matches!(
            frame.header.outcome,
            Outcome::Recognised { .. } | Outcome::Refused(Refusal::Stale)
        );
        // What fires has no name: the replica sees to it that nothing fires twice.
        let is_named = !matches!(frame.command.action, Action::Fire(_));
        if is_named
            && is_decision
            && let Some(first) = self.decided.insert(name, sequence)
        {
            return Err(Violation(format!("{name:?} was carried out as {first} and {sequence}")));
        }
        if let (Action::ExpireCancelAfter { deadline_us, .. }, Outcome::CancelAfterExpired) =
            (&frame.command.action, frame.header.outcome)
        {
            match deadline_us {
                0 => self.expiries.1 += 1,
                _ => self.expiries.0 += 1,
            }
        }
        if frame.is_effective() {
            self.events.entry(frame.command.market()).or_default().push(sequence);
        }
        self.frames.push(frame.bytes().into());
        Ok(())
    }

    /// What shards did side by side, one alone comes to as well, in the order of the sequence. Only
    /// a hold that failed may have met less than there is by the time its command got its number.
    fn execute_again(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        let funds = Refusal::InsufficientFunds;
        let is_short = match frame.header.outcome {
            Outcome::Refused(refusal) | Outcome::TriggerFailed { refusal, .. } => refusal == funds,
            _ => false,
        };
        let short = is_short.then(|| self.paid(&frame.command)).flatten();
        let hidden = short.map(|(account, asset)| {
            let available = self.ledger.available(account, asset);
            self.ledger.hold(account, asset, available).expect("all there is");
            (account, asset, available)
        });
        let again = if is_short && matches!(frame.command.action, Action::Fire(_)) {
            self.shard.fire_in(frame.command.market(), None).unwrap_or_default().as_flattened()
        } else if is_short {
            let input = Input { cursor: frame.header.cursor, command: frame.command };
            self.shard.apply(&input).as_flattened()
        } else {
            match self.shard.apply_again(frame) {
                Again::Done(records) => records.as_flattened(),
                Again::AsTold => return Err(Violation("taken as told".to_owned())),
            }
        };
        let same = again == frame.bytes();
        let found = Frame::parse(again).map(|again| again.header);
        if let Some((account, asset, available)) = hidden {
            self.ledger.release(account, asset, available);
        }
        if !same {
            let header = &frame.header;
            return Err(Violation(format!("executed again, {header:?} comes to {found:?}")));
        }
        Ok(())
    }

    /// The cell that a command holds from.
    fn paid(&self, command: &Command) -> Option<(AccountId, AssetId)> {
        let (account, asset) = match &command.action {
            Action::Place(place) => {
                (place.account, self.catalog.market(place.market)?.paid_asset(place.side))
            }
            Action::Fire(WaitingOrder { place, .. }) => {
                (place.account, self.catalog.market(place.market)?.paid_asset(place.side))
            }
            Action::Amend(amend) => {
                let orders = self.replica.market(amend.market)?.orders();
                let order = match amend.target {
                    Target::Order(order) => orders.get(order)?,
                    Target::Client(id) => orders.by_client_id(amend.account, id)?.resting()?,
                };
                (amend.account, self.catalog.market(amend.market)?.paid_asset(order.side))
            }
            Action::Withdraw(transfer) => (transfer.account, transfer.asset),
            _ => return None,
        };
        self.ledger.covers(account, asset).then_some((account, asset))
    }

    /// Compares what an engine knows with what it should.
    pub fn check(&self, replica: &Replica) -> Result<(), Violation> {
        let same = |what: &str, is_same: bool| {
            let last = replica.last_sequence();
            is_same.then_some(()).ok_or_else(|| Violation(format!("{what} differs at {last:?}")))
        };
        let own = &self.replica;
        same("last sequence", own.last_sequence() == replica.last_sequence())?;
        same("accounts", own.accounts_state() == replica.accounts_state())?;
        same("balances", own.balances().eq(replica.balances()))?;
        same("fees", own.fees().eq(replica.fees()))?;
        same("sum of states", own.sum() == replica.sum())?;
        same("sum recounted", own.sum() == replica.sum_recounted())?;
        same("cursor", own.cursor(MarketId::ACCOUNTS) == replica.cursor(MarketId::ACCOUNTS))?;
        for market in self.catalog.markets() {
            same("market", own.market_state(market.id) == replica.market_state(market.id))?;
            same("cursor", own.cursor(market.id) == replica.cursor(market.id))?;
        }
        for row in replica.conservation() {
            same("conservation", row.holds())?;
        }
        Ok(())
    }
}

/// Above this an epoch is one that [`crate::variant::Variant::NothingRecognised`] made up.
pub const EPOCH_DISGUISE: u32 = 1 << 16;

/// The name that the sender gave the command.
pub fn true_origin(command: &Command) -> Origin {
    Origin { epoch: command.origin.epoch % EPOCH_DISGUISE, ..command.origin }
}
