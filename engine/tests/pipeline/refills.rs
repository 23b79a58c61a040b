//! A reader that lacks frames asks for them.

use protocol::refill::{Content, PageHead, Request};
use protocol::{Frame, MarketId, Sequence, Side, keys};
use redis::Connection;

use crate::world::{Replies, SOL_USDC, World, events, flush, fund, place};

fn ask(connection: &mut Connection, id: u64, after: u64, deadline_us: u64) {
    let request = Request {
        asker: "test-1".to_owned(),
        id,
        market: SOL_USDC,
        after: Sequence(after),
        deadline_us,
    };
    let json = serde_json::to_vec(&request).unwrap();
    redis::cmd("LPUSH").arg(keys::REFILLS).arg(json).exec(connection).unwrap();
}

fn page(connection: &mut Connection) -> (PageHead, Vec<u8>) {
    let mut pop = redis::cmd("BLPOP");
    let (_, page): (String, Vec<u8>) =
        pop.arg(keys::refill("test-1")).arg(20).query(connection).unwrap();
    let end = page.iter().position(|byte| *byte == b'\n').unwrap();
    (serde_json::from_slice(&page[..end]).unwrap(), page[end + 1..].to_vec())
}

#[test]
fn pages_hold_what_the_queue_held() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    let replies = Replies::listen(&world, 100);
    for number in 0..100 {
        // Every other one is refused, and on no queue.
        let account = if number % 2 == 0 { 1 } else { 999 };
        world.send(&mut connection, place(SOL_USDC, account, Side::Bid, 1000, 1));
    }
    replies.all();
    engine.drain();
    let queue = events(&mut connection, "SOL_USDC");
    assert_eq!(queue.len(), 50);
    flush(&mut connection);

    let engine = world.engine();
    redis::cmd("LPUSH").arg(keys::REFILLS).arg("no json").exec(&mut connection).unwrap();
    ask(&mut connection, 1, 0, 1);
    ask(&mut connection, 2, 0, u64::MAX);
    let (head, frames) = page(&mut connection);
    assert_eq!((head.id, head.market, head.after), (2, SOL_USDC, Sequence(0)));
    assert_eq!(head.content, Content::UpTo(Sequence(106)));
    assert_eq!(frames, queue.concat());
    let expires: i64 =
        redis::cmd("PTTL").arg(keys::refill("test-1")).query(&mut connection).unwrap();
    assert_eq!(expires, -2, "nothing is left when the last page is taken");

    // From the middle, and while more comes.
    let after = Frame::parse(&queue[29]).unwrap().header.sequence.0;
    ask(&mut connection, 3, after, u64::MAX);
    assert_eq!(page(&mut connection).1, queue[30..].concat());
    let replies = Replies::listen(&world, 1);
    world.send(&mut connection, place(SOL_USDC, 1, Side::Bid, 1000, 1));
    replies.all();
    ask(&mut connection, 4, 106, u64::MAX);
    let (head, frames) = page(&mut connection);
    assert_eq!(head.content, Content::UpTo(Sequence(107)));
    assert_eq!(Frame::parse(&frames).unwrap().header.sequence, Sequence(107));
    let request = Request {
        asker: "test-1".to_owned(),
        id: 5,
        market: MarketId(900),
        after: Sequence(0),
        deadline_us: u64::MAX,
    };
    let json = serde_json::to_vec(&request).unwrap();
    redis::cmd("LPUSH").arg(keys::REFILLS).arg(json).exec(&mut connection).unwrap();
    assert_eq!(page(&mut connection).0.content, Content::UnknownMarket);
    engine.drain();
}
