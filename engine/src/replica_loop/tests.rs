//! The loop as its neighbours meet it: blocks and questions in, publications out.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam::channel::bounded;
use protocol::feed::Heads;
use protocol::query::{Answer, AnswerBody, Ask, Balance, Depth, Listening, PublicTrade, Window};
use protocol::{
    Action, ClientId, GatewayId, Lots, MarketId, OrderId, Side, Target, TradeId, Units,
};

use super::fixture::{BASE, MARKET, QUOTE, TestExchange, account, limit, price};
use super::snapshots::Distances;
use super::*;
use crate::disk::RealDisk;
use crate::durable::DurableBlock;
use crate::journal::DurablePosition;
use crate::journal::block::Link;
use crate::journal::definitions::Definitions;
use crate::journal::follow::Follower;
use crate::journal::reader::Mark;
use crate::journal::segment::JournalId;
use crate::snapshot::Snapshot;

const NOW_US: u64 = 60_000_500;
const LIFE: u64 = 77;
const PATIENCE: Duration = Duration::from_secs(10);

struct Running {
    exchange: TestExchange,
    blocks: Sender<Arc<DurableBlock>>,
    queries: Sender<Query>,
    messages: Receiver<Message>,
    snapshots: Receiver<Snapshot>,
    conservation: Condition,
    thread: JoinHandle<Result<Replica, ReplicaLoopError>>,
}

impl Running {
    fn start(waiting_max: usize) -> Self {
        let (exchange, funding) = TestExchange::funded();
        let (blocks, blocks_in) = bounded(8);
        let (queries, queries_in) = bounded(8);
        let (messages_out, messages) = bounded(1000);
        let (ready, ready_in) = bounded(1);
        let (keeper, snapshots) = bounded(1);
        ready.send(Sequence(0)).unwrap();
        let replica = Replica::new(exchange.catalog.clone());
        // Its folder is never looked at: no block is missed.
        let follower = Follower::new(Arc::new(RealDisk), PathBuf::new());
        let channels = ReplicaChannels {
            feed: Feed::new(blocks_in, follower, Arc::new(DurablePosition::at(None))),
            queries: queries_in,
            messages: messages_out,
            snapshots: Snapshots::new(
                Distances {
                    frames: 8,
                    frames_at_the_end_min: 1,
                    busy_max: Duration::from_millis(1),
                },
                Definitions::default(),
                Mark { journal: JournalId([7; 16]), sequence: Sequence(0), link: Link::default() },
                Sequence(0),
                (ready_in, keeper),
            ),
            openings: Openings::nowhere(),
        };
        let conservation = Condition::default();
        let settings = ReplicaSettings {
            now_us: || NOW_US,
            waiting_max,
            life: LIFE,
            recent: Recent::default(),
            time_us: 0,
            conservation: conservation.clone(),
            parts: None,
        };
        let thread = thread::spawn(move || run(replica, channels, settings));
        blocks.send(Arc::new(funding)).unwrap();
        Running { exchange, blocks, queries, messages, snapshots, conservation, thread }
    }

    fn carry_out(&mut self, actions: &[Action]) -> DurableBlock {
        let block = self.exchange.block(actions);
        let copy = DurableBlock { frames: block.frames.clone(), ..block };
        self.blocks.send(Arc::new(block)).unwrap();
        copy
    }

    fn ask(&self, id: u64, min_sequence: u64, ask: Ask) {
        let query = Query {
            id,
            gateway: GatewayId(5),
            life: 9,
            min_sequence: Sequence(min_sequence),
            deadline_us: NOW_US,
            ask,
        };
        self.queries.send(query).unwrap();
    }

    fn publication(&self) -> Publication {
        match self.messages.recv_timeout(PATIENCE).unwrap() {
            Message::Publish(publication) => publication,
            Message::Set { .. } => self.publication(),
            Message::Command { key, .. } => panic!("a command to {key}"),
        }
    }

    /// The next answer; market data is passed over.
    fn answer(&self) -> Answer {
        loop {
            let publication = self.publication();
            if publication.channel == "replies:5" {
                return serde_json::from_slice(&publication.payload).unwrap();
            }
        }
    }

    fn answer_to(&self, ask: Ask) -> AnswerBody {
        self.ask(1, self.exchange.last().0, ask);
        self.answer().body
    }
}

#[test]
fn a_question_waits_for_the_sequence_it_names() {
    let mut running = Running::start(10);
    let balances = |id, sequence| (id, sequence, Ask::Balances { account: account(1) });
    let (id, sequence, ask) = balances(1, 7);
    running.ask(id, sequence, ask);
    let (id, sequence, ask) = balances(2, 6);
    running.ask(id, sequence, ask);
    let answer = running.answer();
    assert_eq!((answer.id, answer.life, answer.sequence), (2, 9, Sequence(6)));
    running.carry_out(&[limit(1, Side::Bid, 50, 2)]);
    let answer = running.answer();
    assert_eq!((answer.id, answer.sequence), (1, Sequence(7)));
    let balance = |asset, available, locked| Balance {
        asset,
        available: Units(available),
        locked: Units(locked),
    };
    let expected = vec![balance(QUOTE, 999_000, 1_000), balance(BASE, 1_000_000, 0)];
    assert_eq!(answer.body, AnswerBody::Balances(expected));
}

#[test]
fn every_question_has_its_answer() {
    let mut running = Running::start(10);
    running.carry_out(&[limit(1, Side::Bid, 50, 2), limit(1, Side::Bid, 49, 3)]);
    let block = running.carry_out(&[limit(1, Side::Ask, 60, 4)]);
    let ask = TestExchange::order(&block);
    let order = |id, target| Ask::Order { account: account(id), market: MARKET, target };
    let AnswerBody::Order(Some(open)) = running.answer_to(order(1, Target::Order(ask))) else {
        panic!("the order rests")
    };
    let open = open.resting().unwrap();
    assert_eq!((open.order, open.side, open.lots_left), (ask, Side::Ask, Lots(4)));
    let foreign = OrderId::from_parts(MarketId(2), ask.slot(), ask.generation()).unwrap();
    for absent in [
        order(2, Target::Order(ask)),
        order(1, Target::Order(foreign)),
        order(1, Target::Client(ClientId(0))),
    ] {
        assert_eq!(running.answer_to(absent), AnswerBody::Order(None));
    }
    let open_orders = |id, market| Ask::OpenOrders { account: account(id), market };
    let AnswerBody::OpenOrders(orders) = running.answer_to(open_orders(1, None)) else {
        panic!("open orders were asked for")
    };
    let prices: Vec<_> = orders.iter().map(|open| open.resting().unwrap().price.ticks()).collect();
    assert_eq!(prices, [50, 49, 60]);
    let none = AnswerBody::OpenOrders(Vec::new());
    assert_eq!(running.answer_to(open_orders(2, Some(MARKET))), none);
    let depth = Depth {
        bids: vec![(price(50), Lots(2))],
        asks: vec![(price(60), Lots(4))],
        update_id: 3,
        time_us: running.exchange.time_us,
    };
    let asked = running.answer_to(Ask::Depth { market: MARKET, levels: 1 });
    assert_eq!(asked, AnswerBody::Depth(depth));
    let week = Ask::Tickers { market: None, window: Window::Week };
    let AnswerBody::Tickers(tickers) = running.answer_to(week) else {
        panic!("tickers were asked for")
    };
    assert_eq!((tickers.len(), tickers[0].last), (1, None));
    for (id, exists) in [(2, true), (3, false)] {
        let asked = running.answer_to(Ask::Account { account: account(id) });
        assert_eq!(asked, AnswerBody::Account { exists });
    }
    for unknown in [
        Ask::Depth { market: MarketId(7), levels: 5 },
        Ask::Tickers { market: Some(MarketId(7)), window: Window::Day },
        open_orders(1, Some(MarketId(7))),
    ] {
        assert_eq!(running.answer_to(unknown), AnswerBody::UnknownMarket);
    }
}

#[test]
fn a_question_past_its_deadline_or_beyond_the_bound_is_dropped() {
    let mut running = Running::start(1);
    let exists = || Ask::Account { account: account(1) };
    running.ask(1, 7, exists());
    running.ask(2, 7, exists());
    let late = Query {
        id: 3,
        gateway: GatewayId(5),
        life: 9,
        min_sequence: Sequence(0),
        deadline_us: NOW_US - 1,
        ask: exists(),
    };
    running.queries.send(late).unwrap();
    running.ask(4, 6, exists());
    assert_eq!(running.answer().id, 4);
    running.carry_out(&[limit(1, Side::Bid, 50, 2)]);
    assert_eq!(running.answer().id, 1);
    running.ask(5, 7, exists());
    assert_eq!(running.answer().id, 5);
}

#[test]
fn the_loop_ends_when_its_blocks_end_and_gives_the_replica_back() {
    let running = Running::start(1);
    drop(running.queries);
    drop(running.blocks);
    let replica = running.thread.join().unwrap().unwrap();
    assert_eq!(replica.last_sequence(), Some(Sequence(6)));
}

#[test]
fn a_missed_block_that_the_journal_does_not_have_ends_the_loop() {
    let mut running = Running::start(1);
    running.exchange.block(&[limit(1, Side::Bid, 50, 2)]);
    running.carry_out(&[limit(1, Side::Bid, 49, 2)]);
    let error = running.thread.join().unwrap().unwrap_err();
    assert!(matches!(error, ReplicaLoopError::Missed(_)), "{error}");
}

#[test]
fn the_loop_ends_when_nobody_takes_publications() {
    let running = Running::start(1);
    drop(running.messages);
    let waited = running.thread.join().unwrap();
    assert!(waited.is_ok());
}

#[test]
fn a_contradiction_ends_the_loop_with_its_frame() {
    let mut running = Running::start(1);
    running.exchange.block(&[limit(1, Side::Bid, 50, 2)]);
    let block = running.exchange.block(&[limit(1, Side::Bid, 49, 2)]);
    running.blocks.send(Arc::new(DurableBlock { first: Sequence(7), ..block })).unwrap();
    let error = running.thread.join().unwrap().unwrap_err();
    let ReplicaLoopError::Inconsistent(error) = error else { panic!("{error}") };
    assert_eq!(error.sequence, Sequence(8));
    let mut running = Running::start(1);
    let block = running.exchange.block(&[limit(1, Side::Bid, 50, 2)]);
    let frames = block.frames[..100].to_vec();
    running.blocks.send(Arc::new(DurableBlock { frames, ..block })).unwrap();
    let error = running.thread.join().unwrap().unwrap_err();
    assert!(matches!(error, ReplicaLoopError::Decode { after: Sequence(6), .. }), "{error}");
}

#[test]
fn market_data_is_out_before_the_answer_that_contains_it() {
    let mut running = Running::start(1);
    running.ask(1, 7, Ask::Depth { market: MARKET, levels: 5 });
    running.carry_out(&[limit(1, Side::Bid, 50, 2)]);
    let mut channels = Vec::new();
    while channels.last().is_none_or(|channel| channel != "replies:5") {
        channels.push(running.publication().channel);
    }
    channels.retain(|channel| channel != "ticker@B_Q" && channel != "heads");
    assert_eq!(channels, ["depth@B_Q", "bookTicker@B_Q", "replies:5"]);
}

/// Channel and payload of what account 1 is told next, or of the next answer.
fn private(running: &Running) -> (String, serde_json::Value) {
    loop {
        let Publication { channel, payload } = running.publication();
        if channel == "account@1" || channel == "replies:5" {
            return (channel, serde_json::from_slice(&payload).unwrap());
        }
    }
}

#[test]
fn who_listens_is_told_all_that_comes_behind_the_answer() {
    let mut running = Running::start(1);
    running.carry_out(&[limit(1, Side::Bid, 48, 1)]);
    let listen = || Ask::Listen { account: account(1) };
    let listening = |number| AnswerBody::Listening(Listening { life: LIFE, number });
    assert_eq!(running.answer_to(listen()), listening(0));
    running.carry_out(&[limit(1, Side::Bid, 49, 1), limit(2, Side::Bid, 49, 1)]);
    running.carry_out(&[limit(1, Side::Bid, 50, 1)]);
    for number in [1, 2] {
        let (channel, message) = private(&running);
        assert_eq!(channel, "account@1");
        assert_eq!((&message["life"], &message["number"]), (&LIFE.into(), &number.into()));
        assert_eq!(message["updates"][0]["data"]["e"], "orderAccepted");
    }
    assert_eq!(running.answer_to(listen()), listening(2));
    let nobody = Ask::Listen { account: account(8) };
    assert_eq!(running.answer_to(nobody), listening(0), "the account may be made later");
}

#[test]
fn trades_that_were_missed_are_told_again() {
    let mut running = Running::start(1);
    let hit = limit(2, Side::Bid, 60, 1);
    let block = running.carry_out(&[limit(1, Side::Ask, 60, 3)]);
    let maker_order = TestExchange::order(&block);
    let block = running.carry_out(&[hit, hit]);
    let taker_order = TestExchange::order(&block);
    let trades = |after| Ask::Trades { market: MARKET, after: TradeId(after) };
    let second = PublicTrade {
        id: TradeId(2),
        time_us: running.exchange.time_us,
        price: price(60),
        lots: Lots(1),
        taker_side: Side::Bid,
        taker_order,
        maker_order,
    };
    assert_eq!(running.answer_to(trades(1)), AnswerBody::Trades(vec![second]));
    assert_eq!(running.answer_to(trades(2)), AnswerBody::Trades(Vec::new()));
    let unknown = Ask::Trades { market: MarketId(7), after: TradeId(0) };
    assert_eq!(running.answer_to(unknown), AnswerBody::UnknownMarket);
}

#[test]
fn a_life_begins_with_heads() {
    let mut running = Running::start(1);
    let first = loop {
        let publication = running.publication();
        if publication.channel == "heads" {
            break serde_json::from_slice::<Heads>(&publication.payload).unwrap();
        }
        assert!(publication.channel.starts_with("ticker@"), "{}", publication.channel);
    };
    assert_eq!((first.life, first.markets.len()), (LIFE, 1));
    running.carry_out(&[limit(1, Side::Bid, 50, 2)]);
    assert_eq!(running.publication().channel, "depth@B_Q");
}

#[test]
fn a_snapshot_is_made_at_its_distance_and_at_the_end() {
    let mut running = Running::start(1);
    running.carry_out(&[limit(1, Side::Bid, 50, 2)]);
    running.carry_out(&[limit(1, Side::Bid, 49, 2), limit(1, Side::Bid, 48, 2)]);
    let snapshot = running.snapshots.recv_timeout(PATIENCE).unwrap();
    assert_eq!(snapshot.sequence(), Sequence(9));
    // The writer is not ready again: at the end nobody waits for it for long.
    running.carry_out(&[limit(1, Side::Bid, 47, 2)]);
    drop(running.blocks);
    let replica = running.thread.join().unwrap().unwrap();
    assert_eq!(replica.position(), Sequence(10));
    assert!(running.snapshots.try_recv().is_err());
    assert!(running.conservation.holds());

    let running = Running::start(1);
    drop(running.blocks);
    assert_eq!(running.snapshots.recv_timeout(PATIENCE).unwrap().sequence(), Sequence(6));
}
