//! From files to state: always the engine's, or a refusal that says what to do.

use super::*;
use crate::account_data::leases::Leases;
use crate::answers::{self, Sources};
use crate::journal::segment;
use crate::recent::Recent;
use crate::snapshot::read::Pieces;
use proptest::prelude::*;
use protocol::query::{Ask, Query};
use protocol::{AccountId, GatewayId, OrderKind, Place, Target, TradeId};

/// A world with snapshots after three, six and nine blocks, and a tail of two.
fn with_three() -> (World, [Sequence; 3]) {
    let mut world = World::new(1);
    let mut keeper = world.keeper();
    let taken = [(); 3].map(|()| {
        world.blocks(3);
        world.keep(&mut keeper)
    });
    world.blocks(2);
    (world, taken)
}

#[test]
fn the_newest_snapshot_and_the_tail_are_the_state() {
    let (world, taken) = with_three();
    let recovered = world.recover().unwrap();
    world.assert_is_here(&recovered);
    assert_eq!((recovered.snapshot, &recovered.unusable), (taken[2], &vec![]));
}

#[test]
fn trades_behind_the_snapshot_are_known_again() {
    let (mut world, _) = with_three();
    world.block(&[limit(1, Side::Bid, 60, 1), limit(2, Side::Ask, 60, 1)]);
    let recovered = world.recover().unwrap();
    let market = protocol::MarketId(1);
    let trades = recovered.recent.trades.after(market, TradeId(0), usize::MAX);
    let last = recovered.replica.market(market).unwrap().last_trade();
    assert!(trades.iter().map(|trade| trade.id.0).rev().eq((1..=last).rev().take(trades.len())));
    assert!(!trades.is_empty());
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_the_one_before() {
    let (world, [first, second, third]) = with_three();
    world.damage(third);
    let recovered = world.recover().unwrap();
    world.assert_is_here(&recovered);
    assert_eq!((recovered.snapshot, recovered.unusable), (second, vec![third]));
    world.damage(second);
    let recovered = world.recover().unwrap();
    world.assert_is_here(&recovered);
    assert_eq!((recovered.snapshot, recovered.unusable), (first, vec![third, second]));
    world.damage(first);
    let recovered = world.recover().unwrap();
    world.assert_is_here(&recovered);
    assert_eq!(recovered.snapshot, Sequence(0));
    assert_eq!(recovered.unusable, [third, second, first]);
}

#[test]
fn a_byte_damaged_anywhere_costs_a_snapshot_and_nothing_else() {
    let (world, [_, second, third]) = with_three();
    let path = world.path(third);
    let bytes = world.disk.length(&path).unwrap() as usize;
    for byte in (0..bytes).step_by(11) {
        world.disk.flip(&path, byte, 5);
        let recovered = world.recover().unwrap();
        assert_eq!(recovered.snapshot, second, "byte {byte}");
        world.assert_is_here(&recovered);
        world.disk.flip(&path, byte, 5);
    }
}

#[test]
fn without_a_good_snapshot_and_the_first_frame_there_is_no_start() {
    let (world, taken) = with_three();
    world.database.set(world.replica.position());
    world.keeper_with_stock().tidy().unwrap();
    let segments = segment::list(&world.disk, &world.folders.journal).unwrap();
    assert!(Sequence(1) < segments[0].0, "nothing went");
    world.assert_is_here(&world.recover().unwrap());
    taken.iter().for_each(|sequence| world.damage(*sequence));
    let error = world.recover().unwrap_err();
    assert!(matches!(error, EngineError::NoSnapshot { snapshots: 3, .. }), "{error}");
}

#[test]
fn every_kept_snapshot_finds_its_tail_whatever_was_removed() {
    let mut world = World::new(1);
    let mut keeper = world.keeper();
    let mut committed_max = 0;
    for round in 0..40u64 {
        world.blocks(1 + round % 3);
        let last = world.replica.position().0;
        // Mostly close behind, at times far, at times set back.
        let behind = [0, 3, 40, 9, last][round as usize % 5];
        world.database.set(Sequence(last.saturating_sub(behind)));
        if round % 3 == 0 {
            world.keep(&mut keeper);
        } else {
            keeper.tidy().unwrap();
        }
        committed_max = committed_max.max(world.database.get().0);
        let segments = segment::list(&world.disk, &world.folders.journal).unwrap();
        assert!(segments[0].0.0 <= committed_max + 1, "the database lacks frames");
        let disk = world.disk.copy();
        for (_, path) in list(&disk, &world.folders.snapshots).unwrap().iter().rev() {
            world.assert_is_here(&world.recover_on(&disk).unwrap());
            disk.remove(path).unwrap();
        }
    }
    let segments = segment::list(&world.disk, &world.folders.journal).unwrap();
    assert!(Sequence(1) < segments[0].0, "nothing ever went");
}

#[test]
fn files_of_two_data_directories_are_refused() {
    let (world, _) = with_three();
    let mut other = World::new(2);
    other.blocks(20);
    // The other's segments under this one's snapshots.
    for (_, path) in segment::list(&world.disk, &world.folders.journal).unwrap() {
        world.disk.remove(&path).unwrap();
    }
    for (_, path) in segment::list(&other.disk, &other.folders.journal).unwrap() {
        let bytes = other.disk.read(&path).unwrap();
        world.disk.create(&path, 0).unwrap().write_at(0, &[&bytes]).unwrap();
    }
    let error = world.recover().unwrap_err();
    let is_mixed = matches!(error, EngineError::Journal(JournalError::Mixed { .. }));
    assert!(is_mixed, "{error}");
}

#[test]
fn a_journal_that_went_another_way_than_its_snapshot_is_refused() {
    let (mut world, _) = with_three();
    // The same journal, gone on with elsewhere from a copy made before the snapshot.
    let mut other = World::new(1);
    other.blocks(3);
    other.block(&[limit(1, Side::Bid, 20, 1)]);
    other.blocks(20);
    world.disk = other.disk.copy();
    world.disk.create(&world.path(Sequence(999)), 0).unwrap();
    let (original, taken) = with_three();
    let bytes = original.disk.read(&original.path(taken[2])).unwrap();
    world.disk.remove(&world.path(Sequence(999))).unwrap();
    world.disk.create(&world.path(taken[2]), 0).unwrap().write_at(0, &[&bytes]).unwrap();
    let error = world.recover().unwrap_err();
    let is_mixed = matches!(error, EngineError::Journal(JournalError::Mixed { .. }));
    assert!(is_mixed, "{error}");
}

#[test]
fn a_journal_that_ends_before_its_snapshot_is_refused() {
    let (world, taken) = with_three();
    let segments = segment::list(&world.disk, &world.folders.journal).unwrap();
    assert!(segments[1].0 <= taken[2]);
    segments.iter().skip(1).for_each(|(_, path)| world.disk.remove(path).unwrap());
    let ends_early =
        |error: &EngineError| matches!(error, EngineError::Journal(JournalError::EndsEarly { .. }));
    let error = world.recover().unwrap_err();
    assert!(ends_early(&error), "{error}");
    // Without any segment, good snapshots and damaged ones alike are no new beginning.
    world.disk.remove(&segments[0].1).unwrap();
    let error = world.recover().unwrap_err();
    assert!(ends_early(&error), "{error}");
    taken.iter().for_each(|sequence| world.damage(*sequence));
    let error = world.recover().unwrap_err();
    assert!(ends_early(&error), "{error}");
}

#[test]
fn a_config_that_contradicts_a_snapshot_is_refused() {
    let (world, _) = with_three();
    let empty = protocol::Catalog::default();
    let error = recovery::recover(&world.disk, &world.folders, &empty, &LIMITS).unwrap_err();
    assert!(error.to_string().contains("is not listed"), "{error}");
}

impl World {
    fn keeper_with_stock(&self) -> Keeper {
        let mut keeper = self.keeper();
        keeper.take_stock().unwrap();
        keeper
    }
}

/// What two replicas answer to whoever asks.
fn answers(replica: &Replica) -> Vec<String> {
    let mut asks = vec![
        Ask::BookStates,
        Ask::Conservation,
        Ask::Epoch { gateway: GatewayId(1) },
        Ask::Depth { market: protocol::MarketId(1), levels: 100 },
        Ask::Tickers { market: None, window: protocol::query::Window::Day },
    ];
    for account in [1, 2, 3].map(|id| AccountId::new(id).unwrap()) {
        asks.push(Ask::Balances { account });
        asks.push(Ask::OpenOrders { account, market: None });
        asks.push(Ask::FinishedOrders { account, market: None, after: Vec::new() });
        asks.push(Ask::Account { account });
        let market = protocol::MarketId(1);
        for order in replica.open_orders(account, None) {
            asks.push(Ask::Order { account, market, target: Target::Order(order.order()) });
        }
    }
    let answer = |ask| {
        let min_sequence = Sequence(0);
        let (gateway, deadline_us) = (GatewayId(1), u64::MAX);
        let query = Query { id: 1, gateway, life: 1, min_sequence, deadline_us, ask };
        let (recent, mut leases) = (Recent::default(), Leases::new(1));
        let sources = Sources { replica, recent: &recent, leases: &mut leases };
        let answer = answers::answer(sources, &query, 100_000_000).unwrap();
        serde_json::to_string(&answer).unwrap()
    };
    asks.into_iter().map(answer).collect()
}

/// Orders, cancels and transfers between two accounts and one that is not there.
fn action() -> impl Strategy<Value = Action> {
    let place = (1u32..=3, any::<bool>(), 45u64..56, 1u64..6, any::<bool>());
    let place = place.prop_map(|(owner, is_bid, ticks, lots, post_only)| {
        let side = if is_bid { Side::Bid } else { Side::Ask };
        let mut action = limit(owner, side, ticks, lots);
        if let Action::Place(Place { kind: OrderKind::Limit { post_only: given, .. }, .. }) =
            &mut action
        {
            *given = post_only;
        }
        action
    });
    let market = protocol::MarketId(1);
    let cancel = (1u32..=3).prop_map(move |id| Action::cancel_all(market, account(id)));
    let transfer = (1u32..=3, 1u64..5000, 0u128..6, any::<bool>());
    let transfer = transfer.prop_map(|(id, units, name, is_in)| {
        let asset = protocol::AssetId(1);
        let id = protocol::Transfer {
            account: account(id),
            asset,
            units: Units(units),
            id: protocol::TransferId(name << 64),
        };
        if is_in { Action::Deposit(id) } else { Action::Withdraw(id) }
    });
    prop_oneof![8 => place, 1 => cancel, 1 => transfer]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn snapshot_and_tail_are_what_the_whole_journal_is(
        blocks in prop::collection::vec(prop::collection::vec(action(), 1..8), 1..30),
        snapshot_one_in in 1usize..8,
    ) {
        let mut world = World::new(1);
        let mut keeper = world.keeper();
        for (number, block) in blocks.iter().enumerate() {
            world.block(block);
            if number % snapshot_one_in == snapshot_one_in - 1 {
                world.keep(&mut keeper);
            }
        }
        let catalog = &world.exchange.catalog;
        let whole = recovery::replay(&world.disk, &world.folders.journal, catalog, &LIMITS);
        let whole = whole.unwrap();
        world.assert_is_here(&whole);
        let disk = world.disk.copy();
        loop {
            let recovered = world.recover_on(&disk).unwrap();
            world.assert_is_here(&recovered);
            prop_assert_eq!(&recovered.tail, &whole.tail);
            prop_assert_eq!(recovered.time_us, whole.time_us);
            prop_assert_eq!(answers(&recovered.replica), answers(&whole.replica));
            for market in catalog.markets() {
                let (one, two) = (&recovered.replica, &whole.replica);
                prop_assert_eq!(one.market_state(market.id), two.market_state(market.id));
                prop_assert_eq!(one.cursor(market.id), two.cursor(market.id));
            }
            prop_assert_eq!(recovered.replica.accounts_state(), whole.replica.accounts_state());
            let Some((_, path)) = list(&disk, &world.folders.snapshots).unwrap().pop() else {
                break;
            };
            disk.remove(&path).unwrap();
        }
    }
}

/// As if an engine had written what was not its state: every checksum is right.
#[test]
fn a_state_that_is_not_the_engines_is_damage_or_the_same_in_all_that_counts() {
    let (world, [_, _, third]) = with_three();
    let header = read::verify(&world.disk, &world.path(third)).unwrap();
    let loaded = |pieces: Vec<Vec<u8>>| {
        let (mark, definitions) = (header.mark, header.definitions.clone());
        let snapshot = Snapshot::of_pieces(pieces, mark, definitions, header.time_us);
        let disk = PowerDisk::default();
        write::write(&disk, &world.folders.snapshots, &snapshot, &files::NO_CARE).unwrap();
        let catalog = &world.exchange.catalog;
        read::load(&disk, &world.path(third), catalog, &header.definitions)
    };
    let pieces: Vec<Vec<u8>> =
        Pieces::open(&world.disk, &world.path(third)).unwrap().map(Result::unwrap).collect();
    let sum = loaded(pieces.clone()).unwrap().replica.sum();
    let mut refused = 0;
    let bytes_of = |(number, piece): (usize, &Vec<u8>)| {
        (0..piece.len()).step_by(3).map(move |byte| (number, byte))
    };
    for (number, byte) in pieces.iter().enumerate().flat_map(bytes_of) {
        let mut pieces = pieces.clone();
        pieces[number][byte] ^= 1 << (byte % 7);
        match loaded(pieces) {
            Ok(other) => assert_eq!(other.replica.sum(), sum, "piece {number}, byte {byte}"),
            Err(error) => {
                assert!(error.is_damage(), "piece {number}, byte {byte}: {error}");
                refused += 1;
            }
        }
    }
    assert!(100 < refused, "{refused} refused");
}
