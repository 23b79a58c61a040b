//! The engine's book and matching as a subject: what a shard does with a command, without the
//! balances.
//!
//! The engine names an order by the slot it gave it, a flow by a number of its own. A rehearsal
//! before the clock starts finds the engine's id for every cancel, reduce and move, as a real
//! client would have been told it: ids depend on nothing but the commands before.

use engine_core::book::Book;
use engine_core::matching::{Step, Stopped, Taker, Wants, cross};
use orderflow::{Digest, Kind, Trade};
use protocol::{AccountId, Lots, MarketId, OrderId, Price, Side};

use crate::error::BenchError;
use crate::subject::{Extent, Subject, Workload, digest_of};

const MARKET: MarketId = MarketId(1);

/// Room in a book beyond the orders a flow has at rest: prices spread as widely as those of `far`
/// take several trie nodes a level.
const ROOM_FACTOR: usize = 8;

/// A book of the engine, and what is needed to name the makers of its trades.
#[derive(Debug)]
pub struct EngineBook {
    book: Book,
    /// By slot: the flow's id of the order in it.
    id_in_slot: Vec<u32>,
}

/// A command of a flow in the engine's terms; `id` is the flow's, `order` the engine's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineCommand {
    Place {
        id: u32,
        incoming: Incoming,
        remainder: Remainder,
    },
    Cancel {
        order: OrderId,
    },
    Reduce {
        order: OrderId,
        lots: Lots,
    },
    Move {
        id: u32,
        order: OrderId,
        price: Price,
    },
    /// Names an order that never came to rest.
    Unknown,
}

/// What came of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Effect {
    Rejected,
    /// Done, and the command's order did not come to rest by it.
    Done,
    Rests(OrderId),
}

/// An order on its way into the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Incoming {
    side: Side,
    account: AccountId,
    /// `None` for a market order.
    limit: Option<Price>,
    lots: Lots,
}

/// What becomes of the part that does not trade at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remainder {
    Rests,
    IsDropped,
}

impl Subject for EngineBook {
    const NAME: &'static str = "engine book";

    type Command = EngineCommand;

    fn fresh(extent: &Extent) -> Result<Self, BenchError> {
        let room = extent.resting_max.saturating_mul(ROOM_FACTOR).next_power_of_two();
        let orders_max = u32::try_from(room).unwrap_or(u32::MAX).min(OrderId::SLOTS_MAX);
        // No zeros: memory of zeros would come page by page, under the clock.
        let id_in_slot = vec![u32::MAX; orders_max as usize];
        Ok(EngineBook { book: Book::new(MARKET, orders_max), id_in_slot })
    }

    fn prepare(workload: &Workload) -> Result<Vec<EngineCommand>, BenchError> {
        let ids =
            usize::try_from(workload.extent.order_id_max).map_err(|_| BenchError::TooLarge)?;
        let mut rehearsal = EngineBook::fresh(&workload.extent)?;
        let mut trades = Vec::new();
        // By the flow's id: the engine's id of the order when it last came to rest.
        let mut order_of: Vec<Option<OrderId>> = vec![None; ids + 1];
        let mut prepared = Vec::with_capacity(workload.flow.commands.len());
        for command in &workload.flow.commands {
            let known = &mut order_of[command.id as usize];
            let in_engine_terms = in_engine_terms(command, *known)?;
            if let Effect::Rests(order) = rehearsal.carry_out(&in_engine_terms, &mut trades) {
                *known = Some(order);
            }
            trades.clear();
            prepared.push(in_engine_terms);
        }
        Ok(prepared)
    }

    fn apply(&mut self, command: &EngineCommand, trades: &mut Vec<Trade>) -> bool {
        self.carry_out(command, trades) != Effect::Rejected
    }

    fn digest(&self, trades: &[Trade], rejected: u64) -> Digest {
        digest_of(&self.book, trades, rejected, |slot| u64::from(self.id_in_slot[slot as usize]))
    }
}

impl EngineBook {
    #[inline]
    fn carry_out(&mut self, command: &EngineCommand, trades: &mut Vec<Trade>) -> Effect {
        match *command {
            EngineCommand::Place { id, incoming, remainder } => {
                self.place(id, incoming, remainder, trades)
            }
            EngineCommand::Cancel { order } => {
                let Some(slot) = self.book.find(order) else { return Effect::Rejected };
                self.book.remove(slot);
                Effect::Done
            }
            EngineCommand::Reduce { order, lots } => {
                let Some(slot) = self.book.find(order) else { return Effect::Rejected };
                if lots < self.book.resting(slot).lots_left {
                    self.book.reduce(slot, lots);
                } else {
                    self.book.remove(slot);
                }
                Effect::Done
            }
            EngineCommand::Move { id, order, price } => {
                let Some(slot) = self.book.find(order) else { return Effect::Rejected };
                let resting = self.book.resting(slot);
                let (side, _) = self.book.side_and_price(slot);
                self.book.remove(slot);
                let (account, lots) = (resting.account, resting.lots_left);
                let incoming = Incoming { side, account, limit: Some(price), lots };
                self.place(id, incoming, Remainder::Rests, trades)
            }
            EngineCommand::Unknown => Effect::Rejected,
        }
    }

    /// Takes a slot, crosses, and rests what is left or gives the slot back, as a shard does.
    fn place(
        &mut self,
        id: u32,
        incoming: Incoming,
        remainder: Remainder,
        trades: &mut Vec<Trade>,
    ) -> Effect {
        let Incoming { side, account, limit, lots } = incoming;
        assert!(self.book.has_room(side), "Invariant: the book has room for the whole flow");
        let order = self.book.allocate();
        // Orders of one account may trade with each other in a flow: no self-trade policy.
        let taker = Taker { side, account, limit, wants: Wants::Lots(lots), self_trade: None };
        let id_in_slot = &self.id_in_slot;
        let (wants, stopped) = cross(&mut self.book, &taker, usize::MAX, |_, step| match step {
            Step::Trade { maker, lots, .. } => trades.push(Trade {
                maker: u64::from(id_in_slot[maker.slot as usize]),
                taker: u64::from(id),
                price: maker.price.ticks(),
                qty: lots.0,
            }),
            Step::RemoveMaker { .. } => unreachable!("Invariant: no self-trade policy was given"),
        });
        match (wants, limit, remainder) {
            (Wants::Lots(left), Some(price), Remainder::Rests) if stopped != Stopped::Satisfied => {
                self.book.rest(order, side, price, left, account);
                self.id_in_slot[order.slot() as usize] = id;
                Effect::Rests(order)
            }
            _ => {
                self.book.drop_unrested(order);
                Effect::Done
            }
        }
    }
}

/// A command of the flow in the engine's terms; `known` is the engine's id of its order.
fn in_engine_terms(
    command: &orderflow::Command,
    known: Option<OrderId>,
) -> Result<EngineCommand, BenchError> {
    let refused = || BenchError::Command(*command);
    let price = || Price::from_ticks(command.price).ok_or_else(refused);
    let id = u32::try_from(command.id).map_err(|_| refused())?;
    let lots = Lots(command.qty);
    let place = |limit, remainder| {
        let account = command.account.checked_add(1).and_then(AccountId::new);
        let account = account.ok_or_else(refused)?;
        let side = match command.side {
            orderflow::Side::Buy => Side::Bid,
            orderflow::Side::Sell => Side::Ask,
        };
        let incoming = Incoming { side, account, limit, lots };
        Ok(EngineCommand::Place { id, incoming, remainder })
    };
    match (command.kind, known) {
        (Kind::New, _) => place(Some(price()?), Remainder::Rests),
        (Kind::Ioc, _) => place(Some(price()?), Remainder::IsDropped),
        (Kind::Market, _) => place(None, Remainder::IsDropped),
        (Kind::Cancel, Some(order)) => Ok(EngineCommand::Cancel { order }),
        (Kind::Reduce, Some(order)) => Ok(EngineCommand::Reduce { order, lots }),
        (Kind::Move, Some(order)) => Ok(EngineCommand::Move { id, order, price: price()? }),
        (Kind::Cancel | Kind::Reduce | Kind::Move, None) => Ok(EngineCommand::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_the_engine_cannot_express_is_refused() {
        let good = orderflow::Command {
            kind: Kind::New,
            side: orderflow::Side::Buy,
            account: 0,
            id: 1,
            price: 1,
            qty: 1,
        };
        assert!(in_engine_terms(&good, None).is_ok());
        for bad in [
            orderflow::Command { price: 0, ..good },
            orderflow::Command { price: Price::TICKS_MAX + 1, ..good },
            orderflow::Command { id: 1 << 32, ..good },
            orderflow::Command { account: u32::MAX, ..good },
        ] {
            let refused = in_engine_terms(&bad, None);
            assert!(matches!(refused, Err(BenchError::Command(named)) if named == bad), "{bad:?}");
        }
    }
}
