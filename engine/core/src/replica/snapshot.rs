//! The whole state in pieces, to be written down and read back.
//!
//! Only what cannot be worked out is in them: levels, locked balances, flows of assets and lists of
//! accounts' orders are rebuilt. What was read is believed when its digest, worked out anew, is the
//! sum of what every stream had come to, which the engine and the replica had agreed on frame by
//! frame.

use protocol::{
    AccountId, AssetId, BookState, Catalog, FinishedOrder, LotTerms, MarketId, PriceTerms,
    Sequence, Standing, Units,
};
use serde::{Deserialize, Serialize};

use super::candles::Candle;
use super::error::Inconsistency;
use super::statistics::Bucket;
use super::{Listed, MarketReplica, Replica, StreamPosition};
use crate::cancel_after::{Deadline, Expiry};
use crate::digest::StateSum;
use crate::recognition::{Memory, Recognition, SenderState};
use crate::state::TransferRecord;
use crate::touched::Touched;

/// Entries of one piece: some hundred kilobytes.
const ENTRIES_MAX: usize = 4096;

/// In this order; of each market after its head.
#[derive(Serialize, Deserialize)]
enum Piece {
    Head(Head),
    Listed(Vec<Listed>),
    Transfers(Vec<TransferRecord>),
    Deadlines(Vec<Deadline>),
    Expiries(Vec<Expiry>),
    Balances(Vec<(AccountId, AssetId, Units)>),
    /// Of one sender; further memories of the same sender follow with the same head.
    Sender(MarketId, SenderState),
    Market(MarketHead),
    Generations(MarketId, Vec<u32>),
    Orders(MarketId, Vec<(Sequence, Standing)>),
    Minutes(MarketId, Vec<Bucket>),
    Finished(MarketId, Vec<FinishedOrder>),
    End,
}

#[derive(Serialize, Deserialize)]
struct Head {
    last: Option<Sequence>,
    accounts: u32,
    stream: StreamPosition,
    sum: StateSum,
    fees: Vec<(AssetId, Units)>,
}

#[derive(Serialize, Deserialize)]
struct MarketHead {
    market: MarketId,
    stream: StreamPosition,
    sum: StateSum,
    last_trade: u64,
    touched: Option<Touched>,
    update_id: u64,
    update_time_us: u64,
    book_state: BookState,
    price_terms: Option<PriceTerms>,
    lot_terms: Option<LotTerms>,
    candles: Vec<Option<Candle>>,
}

/// Why pieces are no state.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("a piece cannot be read")]
    Piece(#[from] postcard::Error),
    #[error("a piece stands where it does not belong, or one is missing")]
    Order,
    #[error("it has market {0}, which is not listed")]
    UnknownMarket(MarketId),
    #[error("its content contradicts itself")]
    Inconsistent(#[from] Inconsistency),
    #[error("its content comes to {found:016x}, and the engine's state was {expected:016x}")]
    Digest { expected: u64, found: u64 },
}

impl Replica {
    /// Hands the pieces of the state as it is to `each`.
    pub fn write_pieces(&self, each: &mut dyn FnMut(&[u8])) {
        let mut buffer = Vec::new();
        let mut write = |piece: &Piece| {
            buffer.clear();
            match postcard::to_extend(piece, std::mem::take(&mut buffer)) {
                Ok(written) => buffer = written,
                Err(_) => unreachable!("Invariant: memory takes whatever is written"),
            }
            each(&buffer);
        };
        write(&Piece::Head(Head {
            last: self.last,
            accounts: self.accounts.count(),
            stream: self.accounts_stream,
            sum: self.accounts.sum,
            fees: self.fees().collect(),
        }));
        in_pieces(self.listed().iter().copied(), |some| write(&Piece::Listed(some)));
        let transfers = self.accounts.transfers().iter().copied();
        in_pieces(transfers, |some| write(&Piece::Transfers(some)));
        let cancel_afters = self.accounts.cancel_afters();
        in_pieces(cancel_afters.deadlines(), |some| write(&Piece::Deadlines(some)));
        in_pieces(cancel_afters.expiries(), |some| write(&Piece::Expiries(some)));
        let balances = self.balances().map(|it| (it.account, it.asset, it.available));
        in_pieces(balances, |some| write(&Piece::Balances(some)));
        senders(MarketId::ACCOUNTS, &self.accounts.recognition, &mut write);
        self.markets().for_each(|market| market.write_pieces(&mut write));
        write(&Piece::End);
    }

    /// The replica whose pieces these are.
    pub fn from_pieces<E: From<SnapshotError>>(
        catalog: Catalog,
        pieces: impl Iterator<Item = Result<Vec<u8>, E>>,
    ) -> Result<Replica, E> {
        let mut build = Build { replica: Replica::new(catalog), stage: Stage::Empty };
        for piece in pieces {
            let piece = postcard::from_bytes(&piece?).map_err(SnapshotError::from)?;
            build.take(piece)?;
        }
        Ok(build.finish()?)
    }
}

impl MarketReplica {
    fn write_pieces(&self, write: &mut impl FnMut(&Piece)) {
        let market = self.spec().id;
        write(&Piece::Market(MarketHead {
            market,
            stream: self.stream,
            sum: self.sum,
            last_trade: self.last_trade(),
            touched: self.touched,
            update_id: self.update_id(),
            update_time_us: self.update_time_us(),
            book_state: self.book_state(),
            price_terms: self.price_terms,
            lot_terms: self.lot_terms,
            candles: self.candles.latest.to_vec(),
        }));
        senders(market, &self.recognition, write);
        let generations = self.orders().generations().into_iter();
        in_pieces(generations, |some| write(&Piece::Generations(market, some)));
        let orders = self.orders().by_arrival().into_iter();
        in_pieces(orders, |some| write(&Piece::Orders(market, some)));
        let minutes = self.statistics.buckets.iter().copied();
        in_pieces(minutes, |some| write(&Piece::Minutes(market, some)));
        let finished = self.finished().iter().copied();
        in_pieces(finished, |some| write(&Piece::Finished(market, some)));
    }
}

fn senders(market: MarketId, known: &Recognition, write: &mut impl FnMut(&Piece)) {
    for SenderState { gateway, forgotten, memories } in known.state() {
        // One that remembers nothing is a sender all the same.
        let is_empty = memories.is_empty();
        let mut one = |memories: Vec<Memory>| {
            write(&Piece::Sender(market, SenderState { gateway, forgotten, memories }));
        };
        if is_empty {
            one(memories);
        } else {
            in_pieces(memories.into_iter(), one);
        }
    }
}

fn in_pieces<T>(entries: impl Iterator<Item = T>, mut write: impl FnMut(Vec<T>)) {
    let mut entries = entries.peekable();
    while entries.peek().is_some() {
        write(entries.by_ref().take(ENTRIES_MAX).collect());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Empty,
    Accounts,
    Market(MarketId),
    Ended,
}

struct Build {
    replica: Replica,
    stage: Stage,
}

impl Build {
    fn take(&mut self, piece: Piece) -> Result<(), SnapshotError> {
        match (self.stage, piece) {
            (Stage::Empty, Piece::Head(head)) => self.head(head),
            (Stage::Accounts, Piece::Listed(listed)) => {
                for one in listed {
                    self.replica.restore_listed(one)?;
                }
                Ok(())
            }
            (Stage::Accounts, Piece::Transfers(transfers)) => {
                for done in &transfers {
                    self.replica.accounts.restore_transfer(done)?;
                }
                Ok(())
            }
            (Stage::Accounts, Piece::Deadlines(some)) => {
                some.iter().for_each(|it| self.replica.accounts.restore_deadline(it));
                Ok(())
            }
            (Stage::Accounts, Piece::Expiries(some)) => {
                some.iter().for_each(|it| self.replica.accounts.restore_expiry(it));
                Ok(())
            }
            (Stage::Accounts, Piece::Balances(balances)) => {
                for (account, asset, units) in balances {
                    self.replica.balances.restore(account, asset, units)?;
                }
                Ok(())
            }
            (Stage::Accounts, Piece::Sender(MarketId::ACCOUNTS, sender)) => {
                self.replica.accounts.recognition.restore_sender(&sender);
                Ok(())
            }
            (Stage::Accounts | Stage::Market(_), Piece::Market(head)) => self.market_head(head),
            (Stage::Accounts | Stage::Market(_), Piece::End) => {
                self.stage = Stage::Ended;
                Ok(())
            }
            (Stage::Market(market), piece) => self.of_market(market, piece),
            _ => Err(SnapshotError::Order),
        }
    }

    fn head(&mut self, head: Head) -> Result<(), SnapshotError> {
        let replica = &mut self.replica;
        replica.last = head.last;
        replica.accounts_stream = head.stream;
        for _ in 0..head.accounts {
            replica.balances.add_account();
        }
        replica.accounts.restore(head.accounts, head.sum);
        for (asset, units) in head.fees {
            replica.balances.restore_fees(asset, units)?;
        }
        self.stage = Stage::Accounts;
        Ok(())
    }

    fn market_head(&mut self, head: MarketHead) -> Result<(), SnapshotError> {
        let unknown = SnapshotError::UnknownMarket(head.market);
        let market = self.replica.market_mut(head.market).ok_or(unknown)?;
        let candles = <[_; _]>::try_from(head.candles).map_err(|_| SnapshotError::Order)?;
        market.candles.latest = candles;
        market.stream = head.stream;
        market.sum = head.sum;
        market.last_trade = head.last_trade;
        market.touched = head.touched;
        market.update_id = head.update_id;
        market.update_time_us = head.update_time_us;
        market.book_state = head.book_state;
        market.restore_terms(head.price_terms, head.lot_terms);
        let spec = market.spec().clone();
        self.replica.catalog.update(spec);
        self.stage = Stage::Market(head.market);
        Ok(())
    }

    fn of_market(&mut self, id: MarketId, piece: Piece) -> Result<(), SnapshotError> {
        let Replica { markets, balances, .. } = &mut self.replica;
        let market = markets.get_mut(usize::from(id.0)).and_then(Option::as_mut);
        let market = market.ok_or(SnapshotError::UnknownMarket(id))?;
        match piece {
            Piece::Sender(of, sender) if of == id => market.recognition.restore_sender(&sender),
            Piece::Generations(of, some) if of == id => market.orders.restore_generations(&some),
            Piece::Orders(of, orders) if of == id => {
                for (since, standing) in orders {
                    let held = market.restore_order(since, standing)?;
                    if let Standing::Rests(order, _) = standing {
                        let paid = market.spec().paid_asset(order.side);
                        balances.restore_locked(order.account, paid, held)?;
                    }
                }
            }
            Piece::Minutes(of, minutes) if of == id => market.statistics.buckets.extend(minutes),
            Piece::Finished(of, orders) if of == id => {
                orders.into_iter().for_each(|order| market.finished.push(order));
            }
            _ => return Err(SnapshotError::Order),
        }
        Ok(())
    }

    fn finish(self) -> Result<Replica, SnapshotError> {
        if self.stage != Stage::Ended {
            return Err(SnapshotError::Order);
        }
        let (expected, found) = (self.replica.sum(), self.replica.sum_recounted());
        if expected != found {
            return Err(SnapshotError::Digest { expected: expected.0, found: found.0 });
        }
        Ok(self.replica)
    }
}
