//! The files alone: what is written is read, what is damaged is seen, what is not finished is not
//! there, what is old goes.

use super::power::Crash;
use super::*;
use crate::disk::failing::FailingDisk;
use crate::journal::tests::Folder;
use crate::snapshot::format::Damage;
use crate::snapshot::write::{Care, write};
use std::sync::atomic::Ordering;

pub const NO_CARE: Care<'static> =
    Care { free_bytes_min: 0, unsynced_journal: None, goes_on: &|| true };

#[test]
fn every_flipped_bit_and_every_other_length_is_seen() {
    let mut world = World::new(1);
    world.blocks(2);
    let sequence = world.keep(&mut world.keeper());
    let path = world.path(sequence);
    assert_eq!(read::verify(&world.disk, &path).unwrap(), world.snapshot().header);
    let bytes = world.disk.read(&path).unwrap();
    for byte in 0..bytes.len() {
        let bit = (byte % 8) as u8;
        world.disk.flip(&path, byte, bit);
        let error = read::verify(&world.disk, &path).unwrap_err();
        assert!(error.is_damage(), "byte {byte}: {error}");
        world.disk.flip(&path, byte, bit);
    }
    for length in (0..bytes.len()).step_by(7).chain([bytes.len() + 1]) {
        let mut file = world.disk.create(&path, length as u64).unwrap();
        file.write_at(0, &[&bytes[..length.min(bytes.len())]]).unwrap();
        assert!(read::verify(&world.disk, &path).is_err(), "{length} bytes");
    }
}

#[test]
fn a_snapshot_under_another_ones_name_is_damage() {
    let mut world = World::new(1);
    world.blocks(1);
    let sequence = world.keep(&mut world.keeper());
    let other = world.path(Sequence(sequence.0 + 1));
    world.disk.rename(&world.path(sequence), &other).unwrap();
    let error = read::verify(&world.disk, &other).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged { damage: Damage::Name { .. }, .. }), "{error}");
}

#[test]
fn a_crash_at_any_call_leaves_whole_snapshots_alone() {
    let mut world = World::new(1);
    world.blocks(3);
    let mut keeper = world.keeper();
    let first = world.keep(&mut keeper);
    world.blocks(3);
    let before = world.disk.calls();
    let second = {
        let disk = world.disk.copy();
        write(&disk, &world.folders.snapshots, &world.snapshot(), &NO_CARE).unwrap();
        disk.calls() - before
    };
    assert!(5 < second, "{second} calls");
    for calls in 0..=second {
        let disk = world.disk.copy();
        disk.end_after(calls);
        let written = write(&disk, &world.folders.snapshots, &world.snapshot(), &NO_CARE);
        assert_eq!(written.is_ok(), calls == second, "after {calls} calls");
        for crash in [Crash::LosesIt, Crash::KeepsIt] {
            let left = disk.after(crash);
            for (_, path) in list(&left, &world.folders.snapshots).unwrap() {
                read::verify(&left, &path).unwrap();
            }
            let recovered = world.recover_on(&left).unwrap();
            world.assert_is_here(&recovered);
            assert!(recovered.unusable.is_empty());
            if written.is_ok() {
                assert_eq!(recovered.snapshot, world.replica.position());
            } else {
                assert!([first, world.replica.position()].contains(&recovered.snapshot));
            }
            remove_unfinished(&left, &world.folders.snapshots).unwrap();
            let files = left.list(&world.folders.snapshots).unwrap();
            assert_eq!(files.len(), list(&left, &world.folders.snapshots).unwrap().len());
        }
    }
}

#[test]
fn three_are_kept_and_a_damaged_one_is_none_of_them() {
    let mut world = World::new(1);
    let mut keeper = world.keeper();
    let mut taken = Vec::new();
    for _ in 0..4 {
        world.blocks(1);
        taken.push(world.keep(&mut keeper).0);
    }
    assert_eq!(world.snapshots(), taken[1..]);
    world.damage(Sequence(taken[3]));
    // The next life finds out.
    let mut keeper = world.keeper();
    keeper.take_stock().unwrap();
    for _ in 0..2 {
        world.blocks(1);
        taken.push(world.keep(&mut keeper).0);
    }
    assert_eq!(world.snapshots(), taken[2..]);
    world.blocks(1);
    taken.push(world.keep(&mut keeper).0);
    assert_eq!(world.snapshots(), taken[4..]);
}

#[test]
fn a_full_disk_leaves_nothing_behind_and_room_for_the_journal() {
    let mut world = World::new(1);
    world.blocks(2);
    let (disk, folder) = (FailingDisk::default(), Folder::new());
    let snapshot = world.snapshot();
    let room = |bytes: u64| disk.faults.bytes_left.store(bytes, Ordering::Relaxed);
    // Enough to reserve and not to write, as where space cannot be reserved.
    for bytes in [0, snapshot.bytes() - 1, snapshot.bytes(), 2 * snapshot.bytes() - 1] {
        room(bytes);
        let error = write(&disk, &folder.0, &snapshot, &NO_CARE).unwrap_err();
        assert!(
            matches!(error, SnapshotError::Full { .. } | SnapshotError::Io { .. }),
            "{bytes} bytes: {error}"
        );
        assert!(disk.list(&folder.0).unwrap().is_empty());
    }
    room(u64::MAX - 1);
    let care = Care { free_bytes_min: u64::MAX - 1, ..NO_CARE };
    let error = write(&disk, &folder.0, &snapshot, &care).unwrap_err();
    assert!(matches!(error, SnapshotError::Full { .. }), "{error}");
    write(&disk, &folder.0, &snapshot, &NO_CARE).unwrap();
    assert_eq!(list(&disk, &folder.0).unwrap().len(), 1);
}

#[test]
fn a_drive_that_does_not_sync_gives_no_snapshot_a_name() {
    let mut world = World::new(1);
    world.blocks(2);
    let (disk, folder) = (FailingDisk::default(), Folder::new());
    disk.faults.sync_fails.store(true, Ordering::Relaxed);
    write(&disk, &folder.0, &world.snapshot(), &NO_CARE).unwrap_err();
    assert!(disk.list(&folder.0).unwrap().is_empty());
}

#[test]
fn a_drain_does_not_wait_for_a_snapshot() {
    let mut world = World::new(1);
    world.blocks(2);
    let care = Care { goes_on: &|| false, ..NO_CARE };
    let error = write(&world.disk, &world.folders.snapshots, &world.snapshot(), &care);
    assert!(matches!(error, Err(SnapshotError::NoTime { .. })));
    assert!(world.disk.list(&world.folders.snapshots).unwrap().is_empty());
}

#[test]
fn a_journal_that_is_not_synced_block_by_block_is_synced_before_its_snapshot() {
    let mut world = World::new(1);
    world.blocks(2);
    let plain = world.disk.copy();
    let calls = plain.calls();
    write(&plain, &world.folders.snapshots, &world.snapshot(), &NO_CARE).unwrap();
    let synced = world.disk.copy();
    let care = Care { unsynced_journal: Some(&world.folders.journal), ..NO_CARE };
    write(&synced, &world.folders.snapshots, &world.snapshot(), &care).unwrap();
    assert_eq!(synced.calls() - calls, plain.calls() - calls + 1);
}
