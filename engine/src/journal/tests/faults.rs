//! A disk that fills up or does not answer: the writer says so at once, and never tries again.

use crossbeam::channel::bounded;

use super::*;
use crate::counters::JournalCounters;
use crate::disk::failing::FailingDisk;
use crate::durable::Listener;
use crate::idle::{Bell, Idle, Waiting};
use crate::journal::merge::Merge;
use crate::journal::{DurablePosition, JournalLoop};
use crate::ring::ring;

fn durable_writer(disk: &FailingDisk, folder: &Path) -> Result<Writer, JournalError> {
    let settings = settings(Arc::new(disk.clone()), folder);
    let settings = WriterSettings { durability: Durability::Fsync, ..settings };
    Writer::open(settings, listed(), read(folder).unwrap().1, JOURNAL)
}

#[test]
fn a_failed_sync_is_never_tried_again() {
    let (folder, disk) = (Folder::new(), FailingDisk::default());
    let mut writer = durable_writer(&disk, &folder.0).unwrap();
    append(&mut writer, 3);
    let syncs = || disk.faults.syncs.load(Ordering::Relaxed);
    let before = syncs();
    disk.faults.sync_fails.store(true, Ordering::Relaxed);
    let error = writer.append(Sequence(4), frame(4, 1).as_flattened()).unwrap_err();
    assert!(error.to_string().starts_with("could not sync "), "{error}");
    assert_eq!((syncs(), writer.next()), (before + 1, Sequence(4)));
    disk.faults.sync_fails.store(false, Ordering::Relaxed);
    // Whether the frame is there only the disk can tell: a fresh start reads it.
    let found = read(&folder.0).unwrap().0;
    assert!(found == up_to(3) || found == up_to(4), "{found:?}");
}

#[test]
#[should_panic(expected = "nothing is tried again")]
fn a_writer_that_failed_takes_nothing_more() {
    let (folder, disk) = (Folder::new(), FailingDisk::default());
    let mut writer = durable_writer(&disk, &folder.0).unwrap();
    disk.faults.sync_fails.store(true, Ordering::Relaxed);
    assert!(writer.append(Sequence(1), frame(1, 1).as_flattened()).is_err());
    disk.faults.sync_fails.store(false, Ordering::Relaxed);
    let tried_again = writer.append(Sequence(1), frame(1, 1).as_flattened());
    assert!(tried_again.is_ok());
}

#[test]
fn what_a_start_found_is_made_durable_before_it_goes_on() {
    let (folder, disk) = (Folder::new(), FailingDisk::default());
    write(&folder.0, 3);
    let bytes = fs::read(&folder.segments()[0]).unwrap();
    drop(durable_writer(&disk, &folder.0).unwrap());
    let count = |of: &std::sync::atomic::AtomicU64| of.load(Ordering::Relaxed);
    // The last block once more, then its file and its folder.
    assert_eq!((count(&disk.faults.writes), count(&disk.faults.syncs)), (1, 2));
    assert_eq!(fs::read(&folder.segments()[0]).unwrap(), bytes);
    disk.faults.sync_fails.store(true, Ordering::Relaxed);
    assert!(durable_writer(&disk, &folder.0).is_err());
    assert_eq!(read(&folder.0).unwrap().0, up_to(3));
}

#[test]
fn a_sync_that_fails_when_a_segment_is_full_ends_the_writer() {
    let (folder, disk) = (Folder::new(), FailingDisk::default());
    let mut writer =
        Writer::open(settings(Arc::new(disk.clone()), &folder.0), listed(), None, JOURNAL).unwrap();
    append(&mut writer, 10);
    disk.faults.sync_fails.store(true, Ordering::Relaxed);
    assert!(writer.append(Sequence(11), frame(11, 1).as_flattened()).is_err());
    assert_eq!((read(&folder.0).unwrap().0, folder.segments().len()), (up_to(10), 1));
}

#[test]
fn a_full_disk_is_met_when_a_segment_is_made_and_not_in_the_middle_of_one() {
    let (folder, disk) = (Folder::new(), FailingDisk::default());
    let mut writer = durable_writer(&disk, &folder.0).unwrap();
    disk.faults.bytes_left.store(SEGMENT_BYTES, Ordering::Relaxed);
    append(&mut writer, 10);
    let writes = disk.faults.writes.load(Ordering::Relaxed);
    let error = writer.append(Sequence(11), frame(11, 1).as_flattened()).unwrap_err();
    assert!(error.to_string().starts_with("could not reserve space for "), "{error}");
    assert_eq!(disk.faults.writes.load(Ordering::Relaxed), writes);
    disk.faults.bytes_left.store(u64::MAX, Ordering::Relaxed);
    // With room again a new start goes on as if nothing had been.
    append(&mut durable_writer(&disk, &folder.0).unwrap(), 3);
    assert_eq!(read(&folder.0).unwrap().0, up_to(13));
}

#[test]
fn a_write_that_fails_is_an_error() {
    let (folder, disk) = (Folder::new(), FailingDisk::default());
    let mut writer = durable_writer(&disk, &folder.0).unwrap();
    append(&mut writer, 1);
    disk.faults.bytes_left.store(0, Ordering::Relaxed);
    let error = writer.append(Sequence(2), frame(2, 1).as_flattened()).unwrap_err();
    assert!(error.to_string().starts_with("could not write to "), "{error}");
    assert_eq!(read(&folder.0).unwrap().0, up_to(1));
}

#[test]
fn nobody_hears_of_a_block_that_may_not_be_durable() {
    let (folder, disk) = (Folder::new(), FailingDisk::default());
    let writer = durable_writer(&disk, &folder.0).unwrap();
    let bell = Bell::new();
    let (mut outlet, inlet) = ring(64, &Bell::new(), &bell);
    let (sender, blocks) = bounded(8);
    let position = Arc::new(DurablePosition::default());
    let work = JournalLoop {
        merge: Merge::new(vec![inlet], Sequence(1)),
        writer,
        block_bytes_max: 1 << 20,
        position: Arc::clone(&position),
        listeners: vec![Listener::Every(sender)],
        counters: Arc::new(JournalCounters::default()),
    };
    let journal = std::thread::spawn(move || work.run(&Idle::on_this_thread(Waiting::Park, bell)));
    outlet.push(&frame(1, 1));
    outlet.ring_reader();
    assert_eq!(blocks.recv().unwrap().last, Sequence(1));
    disk.faults.sync_fails.store(true, Ordering::Relaxed);
    outlet.push(&frame(2, 1));
    outlet.ring_reader();
    let error = journal.join().unwrap().unwrap_err();
    assert!(error.to_string().starts_with("could not sync "), "{error}");
    assert_eq!((position.get(), blocks.try_iter().count()), (Sequence(1), 0));
}
