//! Snapshots and recovery together, on a disk that ends at any call.

mod power;
mod files;
mod recovering;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine_core::ShardLimits;
use engine_core::replica::Replica;
use protocol::{Action, Frame, Sequence, Side, Units};

use self::power::PowerDisk;
use super::keeper::{Keeper, KeeperSettings};
use super::retention::JournalRetention;
use super::*;
use crate::data_dir::Folders;
use crate::durable::DatabasePosition;
use crate::error::{EngineError, JournalError};
use crate::journal::segment::JournalId;
use crate::journal::writer::{Durability, Writer, WriterSettings};
use crate::recovery::{self, Recovered};
use crate::replica_loop::fixture::{TestExchange, account, limit};

const LIMITS: ShardLimits = ShardLimits {
    orders_max: 64,
    open_orders_per_account_max: 32,
    trades_per_command_max: 16,
    accounts_max: 8,
    markets_max: 5,
};
/// Some blocks of a few frames.
const SEGMENT_BYTES: u64 = 2 << 10;

/// An engine's disk, and the engine as far as it is needed to fill it.
struct World {
    disk: PowerDisk,
    folders: Folders,
    exchange: TestExchange,
    writer: Writer,
    replica: Replica,
    time_us: u64,
    database: Arc<DatabasePosition>,
}

impl World {
    /// With two funded accounts.
    fn new(journal: u8) -> World {
        let disk = PowerDisk::default();
        let folders = Folders::of(Path::new("/data"));
        let (exchange, funding) = TestExchange::funded();
        let settings = WriterSettings {
            disk: Arc::new(disk.clone()),
            directory: folders.journal.clone(),
            durability: Durability::Fsync,
            segment_bytes: SEGMENT_BYTES,
        };
        let definitions = Definitions::of(&exchange.catalog, &LIMITS);
        let fresh = JournalId([journal; 16]);
        let writer = Writer::open(settings, definitions, None, fresh).unwrap();
        let replica = Replica::new(exchange.catalog.clone());
        let (database, time_us) = (Arc::default(), 0);
        let mut world = World { disk, folders, exchange, writer, replica, time_us, database };
        world.append(&funding.frames);
        world
    }

    fn append(&mut self, frames: &[u8]) {
        for frame in Frame::each_of(frames) {
            let frame = frame.unwrap();
            self.replica.apply(&frame).unwrap();
            self.time_us = self.time_us.max(frame.command.time_us);
        }
        self.writer.append(self.replica.position(), frames).unwrap();
    }

    fn block(&mut self, actions: &[Action]) {
        self.exchange.time_us += 1_000_000;
        let block = self.exchange.block(actions);
        self.append(&block.frames);
    }

    /// Orders that rest and trade, all different.
    fn blocks(&mut self, count: u64) {
        for number in 0..count {
            let ticks = 50 + self.exchange.last().0 % 7;
            let (bid, ask) = (limit(1, Side::Bid, ticks, 3 + number % 2), 53 + number % 4);
            let takes_back = Action::cancel_all(bid_market(&bid), account(2));
            self.block(&[bid, limit(2, Side::Ask, ask, 2), takes_back]);
        }
    }

    fn definitions(&self) -> Definitions {
        Definitions::of(&self.exchange.catalog, &LIMITS)
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.replica, self.writer.mark(), self.definitions(), self.time_us)
    }

    fn keeper(&self) -> Keeper {
        let settings = KeeperSettings {
            folders: self.folders.clone(),
            retention: JournalRetention::Needed,
            durability: Durability::Fsync,
            free_bytes_min: 0,
            drain_max: std::time::Duration::ZERO,
        };
        Keeper::new(Arc::new(self.disk.clone()), settings, Arc::clone(&self.database), &[])
    }

    fn keep(&self, keeper: &mut Keeper) -> Sequence {
        keeper.take(&self.snapshot(), &|| true).unwrap();
        self.replica.position()
    }

    fn recover_on(&self, disk: &PowerDisk) -> Result<Recovered, EngineError> {
        recovery::recover(disk, &self.folders, &self.exchange.catalog, &LIMITS)
    }

    fn recover(&self) -> Result<Recovered, EngineError> {
        self.recover_on(&self.disk)
    }

    fn snapshots(&self) -> Vec<u64> {
        let found = list(&self.disk, &self.folders.snapshots).unwrap();
        found.into_iter().map(|(sequence, _)| sequence.0).collect()
    }

    fn path(&self, sequence: Sequence) -> PathBuf {
        path_of(&self.folders.snapshots, sequence)
    }

    fn damage(&self, sequence: Sequence) {
        let path = self.path(sequence);
        let middle = self.disk.length(&path).unwrap() as usize / 2;
        self.disk.flip(&path, middle, 3);
    }

    /// The recovered state is the one the engine had.
    fn assert_is_here(&self, recovered: &Recovered) {
        assert_eq!(pieces(&recovered.replica), pieces(&self.replica));
        assert_eq!(recovered.replica.sum(), self.replica.sum());
        assert_eq!(recovered.time_us, self.time_us);
        let tail = recovered.tail.as_ref().unwrap();
        assert_eq!(tail.joint.last(), self.replica.position());
        recovered.replica.assert_consistent();
    }
}

fn bid_market(action: &Action) -> protocol::MarketId {
    match action {
        Action::Place(place) => place.market,
        _ => panic!("{action:?}"),
    }
}

fn pieces(replica: &Replica) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    replica.write_pieces(&mut |piece| pieces.push(piece.to_vec()));
    pieces
}
