//! Pages over a journal on a real disk.

use protocol::fixture;
use protocol::frame::{FrameHeader, FrameWriter};
use protocol::{
    AccountId, Action, Command, GatewayId, Origin, Outcome, StateDigest, StreamCursor, Units,
};

use super::*;
use crate::disk::RealDisk;
use crate::journal::definitions::Definitions;
use crate::journal::segment::JournalId;
use crate::journal::tests::Folder;
use crate::journal::writer::{Durability, Writer, WriterSettings};
use crate::openings::ListedMarkets;

const FRAMES: u64 = 20_000;

fn frame(sequence: u64) -> Vec<u8> {
    // The market has every third frame, the accounts the others.
    let market = MarketId(1);
    let account = AccountId::new(1).unwrap();
    let action = if sequence.is_multiple_of(3) {
        Action::cancel_all(market, account)
    } else {
        Action::CreateAccount
    };
    let header = FrameHeader {
        sequence: Sequence(sequence),
        previous: None,
        cursor: StreamCursor::START,
        outcome: Outcome::Cancelled,
        held: Units::ZERO,
        digest: StateDigest::default(),
    };
    let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence };
    let command = Command { origin, time_us: 0, action };
    FrameWriter::new(1).finish(&header, &command).as_flattened().to_vec()
}

fn desks(folder: &Folder) -> Desks {
    let settings = WriterSettings {
        disk: Arc::new(RealDisk),
        directory: folder.0.clone(),
        durability: Durability::Write,
        segment_bytes: 1 << 19,
    };
    let definitions = Definitions::parse("asset 1 USDC decimals 6");
    let mut writer = Writer::open(settings, definitions, None, JournalId([1; 16])).unwrap();
    for first in (1..=FRAMES).step_by(100) {
        let frames: Vec<u8> = (first..first + 100).flat_map(frame).collect();
        writer.append(Sequence(first + 99), &frames).unwrap();
    }
    let position = Arc::new(DurablePosition::at(Some(Sequence(FRAMES))));
    let archive = Archive { disk: Arc::new(RealDisk), directory: folder.0.clone(), position };
    Desks::new(archive, Arc::new(ListedMarkets::of(&fixture::catalog())))
}

fn request(asker: &str, market: MarketId, after: u64) -> Request {
    Request { asker: asker.to_owned(), id: 7, market, after: Sequence(after), deadline_us: 0 }
}

/// Head and the sequences in a page.
fn ask(desks: &mut Desks, request: &Request) -> (PageHead, Vec<u64>) {
    let page = desks.page(request).unwrap();
    let end = page.iter().position(|byte| *byte == b'\n').unwrap();
    let head = serde_json::from_slice(&page[..end]).unwrap();
    let frames = Frame::each_of(&page[end + 1..]).map(|it| it.unwrap().header.sequence.0);
    (head, frames.collect())
}

#[test]
fn pages_follow_each_other_until_the_journal_ends() {
    let folder = Folder::new();
    let mut desks = desks(&folder);
    for market in [MarketId::ACCOUNTS, MarketId(1)] {
        let (mut after, mut found, mut pages) = (10, Vec::new(), 0);
        while after < FRAMES {
            let (head, frames) = ask(&mut desks, &request("sink", market, after));
            assert_eq!((head.id, head.market, head.after), (7, market, Sequence(after)));
            let Content::UpTo(up_to) = head.content else { panic!("{head:?}") };
            assert!(after < up_to.0 && frames.len() * 128 <= PAGE_BYTES + 128);
            after = up_to.0;
            found.extend(frames);
            pages += 1;
        }
        let is_here = |sequence: &u64| sequence.is_multiple_of(3) == (market == MarketId(1));
        assert_eq!(found, (11..=FRAMES).filter(is_here).collect::<Vec<_>>());
        assert_eq!(pages, if market == MarketId(1) { 1 } else { 2 });
    }
    // Nothing is left, also for one who knows more than there is.
    for after in [FRAMES, FRAMES + 5] {
        let (head, frames) = ask(&mut desks, &request("sink", MarketId(1), after));
        assert_eq!((head.content, frames.len()), (Content::UpTo(Sequence(after)), 0));
    }
}

#[test]
fn many_askers_are_served_by_few_desks() {
    let folder = Folder::new();
    let mut desks = desks(&folder);
    for asker in 0..3 * DESKS_MAX {
        let (head, frames) = ask(&mut desks, &request(&asker.to_string(), MarketId(1), 19_000));
        assert_eq!(head.content, Content::UpTo(Sequence(FRAMES)));
        assert_eq!(frames.first(), Some(&19_002));
        assert!(desks.desks.len() <= DESKS_MAX);
    }
}

#[test]
fn what_is_not_there_is_said() {
    let folder = Folder::new();
    let mut desks = desks(&folder);
    let (head, _) = ask(&mut desks, &request("sink", MarketId(99), 0));
    assert_eq!(head.content, Content::UnknownMarket);
    let segments = crate::journal::segment::list(&RealDisk, &folder.0).unwrap();
    std::fs::remove_file(&segments[0].1).unwrap();
    let (head, frames) = ask(&mut desks, &request("sink", MarketId(1), 0));
    let begins = Sequence(segments[1].0.0 - 1);
    assert_eq!((head.content, frames.len()), (Content::BeginsAfter(begins), 0));
    let (_, frames) = ask(&mut desks, &request("sink", MarketId(1), begins.0));
    assert!(frames.first().is_some_and(|first| begins.0 < *first && *first <= begins.0 + 3));
}

#[test]
fn an_asker_is_named_by_plain_letters() {
    assert!(is_name("sink-1.a_b:2"));
    assert!(!is_name("") && !is_name("a b") && !is_name("{x}") && !is_name(&"a".repeat(65)));
}
