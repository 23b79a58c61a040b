//! Hot path. The front door of a shard: one command in, one finished frame out, run to completion.
//!
//! Every command holds first, draws its sequence number second, and matches, credits and releases
//! third; that order is what makes every prefix of the sequence a consistent state
//! ([`crate::sequencer`]). A refused command is numbered too, after its hold failed.

use std::sync::Arc;

use protocol::frame::{FrameHeader, FrameWriter};
use protocol::{
    AccountId, Action, CancelAll, Catalog, ClosedReason, Command, Event, MarketId, MarketSpec,
    OrderId, Origin, Outcome, Record, Refusal, Sequence, StateDigest, StreamCursor, Target, Units,
    Withdrawn,
};

use crate::amending;
use crate::ledger::Ledger;
use crate::market::Market;
pub use crate::market::RestoreError;
use crate::placing;
use crate::recognition::{Recognition, Verdict};
use crate::rules;
use crate::sequencer::Sequencer;
use crate::state::{AccountsState, MarketState};
use crate::transfers::Transfers;
use crate::triggering;

/// A command and where in its stream it stood.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    pub cursor: StreamCursor,
    pub command: Command,
}

/// Bounds that memory is reserved for at the start.
#[derive(Clone, Copy, Debug)]
pub struct ShardLimits {
    /// Open orders of one market: those that rest and those that wait.
    pub orders_max: u32,
    /// Open orders of one account in one market.
    pub open_orders_per_account_max: u32,
    /// Trades that one command may cause; what is then left of it is dropped.
    pub trades_per_command_max: u32,
    pub accounts_max: u32,
    /// Markets of the exchange, beyond which none is listed.
    pub markets_max: u32,
}

/// A market that no shard owns yet, with all the memory it will ever need: made by another thread
/// than the shard's, which never allocates.
#[derive(Debug)]
pub struct NewMarket(Market);

impl NewMarket {
    /// As the replica knows it.
    pub fn new(
        spec: MarketSpec,
        state: &MarketState,
        limits: &ShardLimits,
    ) -> Result<NewMarket, RestoreError> {
        let ShardLimits { orders_max, accounts_max, .. } = *limits;
        let mut market = Market::new(spec, orders_max, accounts_max);
        market.restore(state, orders_max, accounts_max)?;
        Ok(NewMarket(market))
    }
}

#[derive(Debug)]
pub struct Shard {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) sequencer: Arc<Sequencer>,
    pub(crate) limits: ShardLimits,
    markets: Vec<Market>,
    /// Place of a market in `markets`, by its id.
    places: Vec<Option<u16>>,
    transfers: Option<Transfers>,
    writer: FrameWriter,
    /// Place of the market in which orders may have to fire.
    firing: usize,
    /// Markets from this place on were never looked at for orders to fire.
    unlooked: usize,
}

/// What a command came to, for the header of its frame.
pub(crate) struct Decision {
    pub sequence: Sequence,
    pub outcome: Outcome,
    pub held: Units,
}

/// What deciding a command of one market needs beside the market.
pub(crate) struct Desk<'a> {
    pub ledger: &'a Ledger,
    pub sequencer: &'a Sequencer,
    pub limits: &'a ShardLimits,
    pub writer: &'a mut FrameWriter,
}

impl Desk<'_> {
    /// Numbers a command that is refused.
    pub fn refuse(&self, refusal: Refusal) -> Decision {
        let sequence = self.sequencer.draw();
        Decision { sequence, outcome: Outcome::Refused(refusal), held: Units::ZERO }
    }

    /// Trades that one command may cause, or makers it may remove. A frame has room for them.
    #[inline]
    pub fn steps_max(&self) -> usize {
        self.limits.trades_per_command_max as usize
    }

    /// Numbers a command that is not to be carried out now, because it came before or may have.
    #[inline]
    fn recognise(&self, known: &Recognition, command: &Command) -> Option<Decision> {
        let first = match known.look(&command.origin) {
            Verdict::New => return None,
            Verdict::Decided(first) => first,
            Verdict::Stale => return Some(self.refuse(Refusal::Stale)),
            Verdict::TooManyGateways => return Some(self.refuse(Refusal::TooManyGateways)),
        };
        let sequence = self.sequencer.draw();
        let outcome = Outcome::Recognised { first };
        Some(Decision { sequence, outcome, held: Units::ZERO })
    }
}

impl Shard {
    pub fn new(ledger: Arc<Ledger>, sequencer: Arc<Sequencer>, limits: ShardLimits) -> Self {
        // One more than trades: an amended order is told as it was.
        let trades_max = limits.trades_per_command_max.saturating_add(1);
        let events_max = trades_max.max(limits.open_orders_per_account_max);
        Shard {
            ledger,
            sequencer,
            limits,
            markets: Vec::with_capacity(limits.markets_max as usize),
            places: vec![None; usize::from(MarketId::MAX.0) + 1],
            transfers: None,
            writer: FrameWriter::new(events_max as usize),
            firing: 0,
            unlooked: 0,
        }
    }

    /// Takes over a market at the start, as the replica knows it.
    pub fn add_market(&mut self, spec: MarketSpec, state: MarketState) -> Result<(), RestoreError> {
        let market = NewMarket::new(spec, &state, &self.limits)?;
        self.take_market(market);
        Ok(())
    }

    /// Takes over a market that somebody else made: room for it was kept.
    pub fn take_market(&mut self, NewMarket(market): NewMarket) {
        let place = &mut self.places[usize::from(market.spec.id.0)];
        assert!(place.is_none(), "Invariant: a market has one shard");
        *place = Some(self.markets.len() as u16);
        self.markets.push(market);
    }

    /// Takes over the accounts stream; exactly one shard does.
    pub fn own_accounts(&mut self, catalog: &Catalog, state: AccountsState) {
        self.transfers = Some(Transfers::new(catalog, state, &self.limits));
    }

    /// Decides one command. The records are those of its frame, header first.
    #[inline]
    pub fn apply(&mut self, input: &Input) -> &[Record] {
        self.writer.clear();
        let mut desk = Desk {
            ledger: &self.ledger,
            sequencer: &self.sequencer,
            limits: &self.limits,
            writer: &mut self.writer,
        };
        let command = &input.command;
        let market = command.market();
        let place = self.places.get(usize::from(market.0)).copied().flatten();
        let (decision, stream) = match (market, place, &mut self.transfers) {
            (MarketId::ACCOUNTS, _, Some(transfers)) => {
                let decision = match desk.recognise(&transfers.recognition, command) {
                    Some(decision) => decision,
                    None => {
                        let decision = transfers.apply(&desk, &command.action, command.time_us);
                        let sum = &mut transfers.sum;
                        transfers.recognition.note(&command.origin, decision.sequence, sum);
                        decision
                    }
                };
                (decision, Some((&mut transfers.previous, transfers.sum.digest())))
            }
            (_, Some(place), _) => {
                self.firing = usize::from(place);
                let market = &mut self.markets[usize::from(place)];
                (market.cursor, market.time_us) = (input.cursor, command.time_us);
                let decision = match desk.recognise(&market.recognition, command) {
                    Some(decision) => decision,
                    None => {
                        let decision = apply_to_market(&mut desk, market, command);
                        market.settle_touched();
                        let sum = &mut market.sum;
                        market.recognition.note(&command.origin, decision.sequence, sum);
                        decision
                    }
                };
                (decision, Some((&mut market.previous, market.sum.digest())))
            }
            _ => (desk.refuse(Refusal::UnknownMarket), None),
        };
        let header = header(&decision, input.cursor, stream);
        self.writer.finish(&header, command)
    }

    /// The next order that fires because the last price has reached its trigger; `None` when there
    /// is none, and only then the next command may be applied. After a start it looks at all
    /// markets: the life before may have ended between a trade and what it fires.
    #[inline]
    pub fn fire_next(&mut self) -> Option<&[Record]> {
        loop {
            let slot = self.markets.get(self.firing).and_then(Market::reached);
            if let Some(slot) = slot {
                return Some(self.fire(self.firing, slot, None));
            }
            if self.markets.len() <= self.unlooked {
                return None;
            }
            self.firing = self.unlooked;
            self.unlooked += 1;
        }
    }

    /// As [`Shard::fire_next`], in one market, where several shards' frames are done again by one.
    /// `refusal`: as told.
    pub fn fire_in(&mut self, market: MarketId, refusal: Option<Refusal>) -> Option<&[Record]> {
        let place = usize::from(self.places.get(usize::from(market.0)).copied().flatten()?);
        let slot = self.markets.get(place)?.reached()?;
        Some(self.fire(place, slot, refusal))
    }

    /// Whether an order of the market has to fire before its next command.
    pub(crate) fn has_to_fire(&self, market: MarketId) -> bool {
        let place = self.places.get(usize::from(market.0)).copied().flatten();
        place.is_some_and(|place| self.markets[usize::from(place)].reached().is_some())
    }

    fn fire(&mut self, place: usize, slot: u32, refusal: Option<Refusal>) -> &[Record] {
        self.writer.clear();
        let mut desk = Desk {
            ledger: &self.ledger,
            sequencer: &self.sequencer,
            limits: &self.limits,
            writer: &mut self.writer,
        };
        let market = &mut self.markets[place];
        let Some(waiting) = market.waiting(slot) else {
            unreachable!("Invariant: who fires has waited")
        };
        let time_us = market.time_us;
        let decision = match refusal {
            None => triggering::fire(&mut desk, market, slot, time_us),
            Some(refusal) => triggering::fail(&mut desk, market, slot, refusal),
        };
        market.settle_touched();
        let stream = Some((&mut market.previous, market.sum.digest()));
        let header = header(&decision, market.cursor, stream);
        let action = Action::Fire(waiting);
        self.writer.finish(&header, &Command { origin: Origin::INTERNAL, time_us, action })
    }

    pub(crate) fn prefer(&mut self, order: OrderId) {
        let place = self.places.get(usize::from(order.market().0)).copied().flatten();
        if let Some(place) = place {
            self.markets[usize::from(place)].book.prefer(order);
        }
    }

    /// Numbers and remembers a command that is known to have been refused.
    pub(crate) fn note_refused(&mut self, input: &Input) {
        let Command { origin, .. } = &input.command;
        let market = input.command.market();
        let place = self.places.get(usize::from(market.0)).copied().flatten();
        let sequence = self.sequencer.draw();
        match (market, place, &mut self.transfers) {
            (MarketId::ACCOUNTS, _, Some(transfers)) => {
                transfers.recognition.note(origin, sequence, &mut transfers.sum);
            }
            (_, Some(place), _) => {
                let market = &mut self.markets[usize::from(place)];
                (market.cursor, market.time_us) = (input.cursor, input.command.time_us);
                market.recognition.note(origin, sequence, &mut market.sum);
            }
            _ => (),
        }
    }

    /// The book of a market this shard owns.
    pub fn book(&self, market: MarketId) -> Option<&crate::book::Book> {
        let place = self.places.get(usize::from(market.0)).copied().flatten()?;
        Some(&self.markets[usize::from(place)].book)
    }

    /// Walks the whole state; for tests.
    pub fn assert_consistent(&self) {
        self.markets.iter().for_each(Market::assert_consistent);
    }
}

/// Of a frame; `stream` is what its event stream had last, and the state's digest after the frame.
#[inline]
fn header(
    decision: &Decision,
    cursor: StreamCursor,
    stream: Option<(&mut Option<Sequence>, StateDigest)>,
) -> FrameHeader {
    let (previous, digest) = match &stream {
        Some((previous, digest)) => (**previous, *digest),
        None => (None, StateDigest::default()),
    };
    let Decision { sequence, outcome, held } = *decision;
    let header = FrameHeader { sequence, previous, cursor, outcome, held, digest };
    if header.is_effective()
        && let Some((previous, _)) = stream
    {
        *previous = Some(sequence);
    }
    header
}

#[inline]
fn apply_to_market(desk: &mut Desk<'_>, market: &mut Market, command: &Command) -> Decision {
    match &command.action {
        Action::Place(place) => placing::place(desk, market, place, command.time_us),
        Action::Cancel { account, target, .. } => cancel(desk, market, *account, *target),
        Action::CancelAll(all) => cancel_all(desk, market, all),
        Action::PlaceTrigger(place) => {
            triggering::place_trigger(desk, market, place, command.time_us)
        }
        Action::Amend(amend) => amending::amend(desk, market, amend, command.time_us),
        Action::SetBookState { state, .. } => {
            let sequence = desk.sequencer.draw();
            market.sum.book_state(market.book_state, *state);
            market.book_state = *state;
            Decision { sequence, outcome: Outcome::BookStateSet, held: Units::ZERO }
        }
        Action::SetPriceTerms { terms, .. } => terms_set(desk, market.set_price_terms(*terms)),
        Action::SetLotTerms { terms, .. } => terms_set(desk, market.set_lot_terms(*terms)),
        // By the shard alone: nobody sends it.
        Action::Fire(_) => desk.refuse(Refusal::TermsInvalid),
        Action::CreateAccount
        | Action::Deposit(_)
        | Action::Withdraw(_)
        | Action::SetCancelAfter { .. }
        | Action::ExpireCancelAfter { .. }
        | Action::ListMarket(_) => {
            unreachable!("Invariant: a market's stream carries what concerns the market")
        }
    }
}

fn terms_set(desk: &Desk<'_>, set: Result<(), Refusal>) -> Decision {
    match set {
        Ok(()) => {
            let sequence = desk.sequencer.draw();
            Decision { sequence, outcome: Outcome::TermsSet, held: Units::ZERO }
        }
        Err(refusal) => desk.refuse(refusal),
    }
}

/// A cancel takes nothing, so it is numbered first.
fn cancel(
    desk: &mut Desk<'_>,
    market: &mut Market,
    account: AccountId,
    target: Target,
) -> Decision {
    if let Err(refusal) = rules::admits_cancel(market.book_state) {
        return desk.refuse(refusal);
    }
    let Some(slot) = market.find(account, target) else {
        return desk.refuse(Refusal::OrderNotFound);
    };
    let sequence = desk.sequencer.draw();
    cancel_one(desk, market, slot);
    Decision { sequence, outcome: Outcome::Cancelled, held: Units::ZERO }
}

fn cancel_all(desk: &mut Desk<'_>, market: &mut Market, all: &CancelAll) -> Decision {
    if let Err(refusal) = rules::admits_cancel(market.book_state) {
        return desk.refuse(refusal);
    }
    if desk.limits.accounts_max < all.account.get() {
        return desk.refuse(Refusal::UnknownAccount);
    }
    let sequence = desk.sequencer.draw();
    // An account has at most as many open orders as a frame has room for.
    let mut next = market.next_open(all.account, None);
    while 0 < desk.writer.room()
        && let Some(slot) = next
    {
        next = market.next_open(all.account, Some(slot));
        if market.is_meant(slot, all) {
            cancel_one(desk, market, slot);
        }
    }
    Decision { sequence, outcome: Outcome::Cancelled, held: Units::ZERO }
}

/// Takes an open order out, whether it rests or waits.
fn cancel_one(desk: &mut Desk<'_>, market: &mut Market, slot: u32) {
    let reason = ClosedReason::ByRequest;
    if market.book.waiting(slot).is_none() {
        return close(desk, market, slot, reason);
    }
    let waiting = market.wait_no_more(slot);
    market.drop_fired(waiting.order);
    desk.writer.push(&Event::Withdrawn(Withdrawn { waiting, reason }));
}

/// Takes a resting order out, releases what it held, and says so.
#[inline]
pub(crate) fn close(desk: &mut Desk<'_>, market: &mut Market, slot: u32, reason: ClosedReason) {
    let closed = market.close(slot, reason);
    let Some(held) = market.spec.hold(closed.side, closed.price, closed.lots_left) else {
        unreachable!("Invariant: what an order holds was counted when it came to rest")
    };
    let paid = market.spec.paid_asset(closed.side);
    desk.ledger.release(closed.account, paid, held);
    market.sum.give(closed.account, paid, held);
    desk.writer.push(&Event::Closed(closed));
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use protocol::{AssetId, GatewayId, Lots, Origin, fixture};

    pub(crate) fn market() -> MarketSpec {
        MarketSpec {
            base: AssetId(1),
            quote: AssetId(0),
            base_units_per_lot: 10,
            price_max: fixture::price(1000),
            lots_max: Lots(1000),
            ..fixture::market()
        }
    }

    #[test]
    fn a_command_for_a_market_of_another_shard_is_numbered_and_refused() {
        let limits = ShardLimits {
            orders_max: 8,
            open_orders_per_account_max: 8,
            trades_per_command_max: 8,
            accounts_max: 1,
            markets_max: 5,
        };
        let ledger = Arc::new(Ledger::new(1, 2));
        let mut shard = Shard::new(ledger, Arc::new(Sequencer::after(Some(Sequence(41)))), limits);
        shard.add_market(market(), MarketState::default()).unwrap();
        let account = AccountId::new(1).unwrap();
        for action in [Action::cancel_all(MarketId(2), account), Action::CreateAccount] {
            let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: 1 };
            let command = Command { origin, time_us: 1, action };
            let input = Input { cursor: StreamCursor::START, command };
            let bytes = shard.apply(&input).concat();
            let frame = protocol::Frame::parse(&bytes).unwrap();
            assert_eq!(frame.header.outcome, Outcome::Refused(Refusal::UnknownMarket));
        }
        assert_eq!(shard.sequencer.draw(), Sequence(44));
    }
}
