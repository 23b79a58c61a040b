//! Whatever is lost, doubled, delayed or cut off between the engine and here: who hears depth has
//! at every moment a book that the engine had, and in the end the one it has.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use protocol::feed::Head;
use protocol::fixture::{market, price};
use protocol::query;
use protocol::{Lots, MarketId, MarketSpec, Price, TradeId};
use tokio::time::{Duration, Instant};

use super::*;
use crate::continuity::Span;

#[derive(Clone, Debug)]
enum Step {
    Change {
        is_bid: bool,
        ticks: u64,
        lots: u64,
        is_lost: bool,
    },
    /// The last frame comes once more.
    Repeat,
    Heads,
    NewLife,
    /// The replica answers what it is asked, or it is too late.
    Answer {
        comes: bool,
    },
    Deliver {
        count: usize,
    },
    Cut,
    Connect,
    Join,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (any::<bool>(), 95u64..110, 0u64..4, prop::bool::weighted(0.2));
    let step = prop_oneof![
        8 => change.prop_map(|(is_bid, ticks, lots, is_lost)| {
            Step::Change { is_bid, ticks, lots, is_lost }
        }),
        1 => Just(Step::Repeat),
        1 => Just(Step::Heads),
        1 => Just(Step::NewLife),
        3 => any::<bool>().prop_map(|comes| Step::Answer { comes }),
        6 => (1usize..8).prop_map(|count| Step::Deliver { count }),
        1 => Just(Step::Cut),
        2 => Just(Step::Connect),
        1 => Just(Step::Join),
    ];
    prop::collection::vec(step, 1..120)
}

enum Said {
    Frame(String),
    Answer(u64, Option<AnswerBody>),
    Heads(Life, Head),
}

/// Engine, Redis and one who listens.
struct Model {
    market: MarketSpec,
    source: Depth,
    now: Instant,
    /// Of each update id.
    books: Vec<query::Depth>,
    /// By each update but the first.
    touched: Vec<(bool, Price)>,
    last_frame: Option<String>,
    /// What is on its way.
    said: VecDeque<Said>,
    asked: Vec<(u64, u64)>,
    life: u64,
    head: Option<Head>,
    /// The last update that was told.
    told: Option<u64>,
    clients: Vec<Client>,
}

/// Keeps a book as the contract says, from a snapshot of any moment.
struct Client {
    levels: BTreeMap<(bool, Price), Lots>,
    last: u64,
}

impl Client {
    fn of(book: &query::Depth) -> Client {
        let side = |is_bid, levels: &[(Price, Lots)]| -> Vec<_> {
            levels.iter().map(|(price, lots)| ((is_bid, *price), *lots)).collect()
        };
        let levels = [side(false, &book.asks), side(true, &book.bids)].concat();
        Client { levels: levels.into_iter().collect(), last: book.update_id }
    }

    fn apply(&mut self, update: &DepthUpdate) {
        if update.span.last <= self.last {
            return;
        }
        assert!(update.span.first <= self.last + 1, "{update:?} behind {}", self.last);
        for (is_bid, changes) in [(false, &update.asks), (true, &update.bids)] {
            for (price, lots) in changes {
                if lots.is_zero() {
                    self.levels.remove(&(is_bid, *price));
                } else {
                    self.levels.insert((is_bid, *price), *lots);
                }
            }
        }
        self.last = update.span.last;
    }

    fn assert_is(&self, book: &query::Depth) {
        assert_eq!((&self.levels, self.last), (&Client::of(book).levels, book.update_id));
    }
}

impl Model {
    fn new() -> Model {
        let empty = query::Depth { bids: Vec::new(), asks: Vec::new(), update_id: 0, time_us: 0 };
        Model {
            market: market(),
            source: Depth::default(),
            now: Instant::now(),
            books: vec![empty],
            touched: Vec::new(),
            last_frame: None,
            said: VecDeque::new(),
            asked: Vec::new(),
            life: 1,
            head: None,
            told: None,
            clients: Vec::new(),
        }
    }

    fn book(&self) -> &query::Depth {
        self.books.last().unwrap()
    }

    fn tell(&mut self, tell: impl FnOnce(&mut Depth, Moment<'_>, &mut Vec<Act>)) {
        let (market, mut acts) = (self.market.clone(), Vec::new());
        let at = Moment { now: self.now, now_us: 0, market: Some(&market), head: self.head };
        tell(&mut self.source, at, &mut acts);
        for act in acts {
            match act {
                Act::Ask { attempt, ask: Ask::DepthSince { after, .. } } => {
                    self.asked.push((attempt, after));
                }
                Act::Begin => (),
                Act::Depth { frame, update } => {
                    assert_eq!(DepthUpdate::read(&frame, &market).unwrap(), update);
                    if let Some(told) = self.told.replace(update.span.last) {
                        assert_eq!(update.span.first, told + 1);
                    }
                    let book = &self.books[update.span.last as usize];
                    assert_eq!(update.checksum, checksum(book));
                    for client in &mut self.clients {
                        client.apply(&update);
                        if client.last == update.span.last {
                            client.assert_is(book);
                        }
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Change { is_bid, ticks, lots, is_lost } => {
                let frame = self.change(is_bid, ticks, lots);
                self.last_frame = Some(frame.clone());
                if !is_lost {
                    self.said.push_back(Said::Frame(frame));
                }
            }
            Step::Repeat => self.said.extend(self.last_frame.clone().map(Said::Frame)),
            Step::Heads => self.say_heads(Life::Same),
            Step::NewLife => {
                self.life += 1;
                self.say_heads(Life::Another { life: self.life });
            }
            Step::Answer { comes } => {
                for (attempt, after) in std::mem::take(&mut self.asked) {
                    let body = comes.then(|| AnswerBody::DepthSince(self.since(after)));
                    self.said.push_back(Said::Answer(attempt, body));
                }
            }
            Step::Deliver { count } => self.deliver(count),
            Step::Cut => {
                // The answers were lost, which is noticed after a while.
                let cut = std::mem::take(&mut self.said);
                self.head = None;
                self.tell(|source, at, acts| source.lost(at, acts));
                self.said.extend(cut.into_iter().filter_map(|said| match said {
                    Said::Answer(attempt, _) => Some(Said::Answer(attempt, None)),
                    _ => None,
                }));
            }
            Step::Connect => self.tell(|source, at, acts| source.confirmed(at, acts)),
            Step::Join => {
                // The snapshot may be ahead of what was told, by however much.
                if self.source.stand.is_some() {
                    self.clients.push(Client::of(self.book()));
                }
            }
        }
    }

    /// Every price that any update behind that one touched.
    fn since(&self, after: u64) -> DepthSince {
        let book = self.book();
        let is_whole = after <= book.update_id;
        let (mut asks, mut bids) = (BTreeMap::new(), BTreeMap::new());
        let touched = self.touched.iter().skip(usize::try_from(after).unwrap());
        for (is_bid, price) in touched.filter(|_| is_whole) {
            let (side, now) =
                if *is_bid { (&mut bids, &book.bids) } else { (&mut asks, &book.asks) };
            let found = now.iter().find(|(at, _)| at == price);
            side.insert(*price, found.map_or(Lots(0), |(_, lots)| *lots));
        }
        DepthSince {
            bids: bids.into_iter().rev().collect(),
            asks: asks.into_iter().collect(),
            update_id: book.update_id,
            time_us: book.time_us,
            checksum: checksum(book),
            is_whole,
        }
    }

    fn say_heads(&mut self, life: Life) {
        let update_id = self.book().update_id;
        let head = Head { market: MarketId(1), update_id, trade: TradeId(0) };
        self.said.push_back(Said::Heads(life, head));
    }

    fn deliver(&mut self, count: usize) {
        for _ in 0..count {
            match self.said.pop_front() {
                None => return,
                Some(Said::Frame(frame)) => {
                    self.tell(|source, at, acts| source.message(frame.into_bytes(), at, acts));
                }
                Some(Said::Answer(attempt, body)) => {
                    self.tell(|source, at, acts| source.answered(attempt, body, at, acts));
                }
                Some(Said::Heads(life, head)) => {
                    self.head = Some(head);
                    self.tell(|source, at, acts| source.heads(life, at, acts));
                }
            }
        }
    }

    fn change(&mut self, is_bid: bool, ticks: u64, lots: u64) -> String {
        let mut book = self.book().clone();
        let side = if is_bid { &mut book.bids } else { &mut book.asks };
        side.retain(|(at, _)| at.ticks() != ticks);
        if lots != 0 {
            side.push((price(ticks), Lots(lots)));
        }
        side.sort();
        if is_bid {
            side.reverse();
        }
        book.update_id += 1;
        book.time_us += 1;
        let changed = vec![(price(ticks), Lots(lots))];
        let (asks, bids) = if is_bid { (vec![], changed) } else { (changed, vec![]) };
        let span = Span { first: book.update_id, last: book.update_id, time_us: book.time_us };
        let update = DepthUpdate { span, checksum: checksum(&book), asks, bids };
        self.books.push(book);
        self.touched.push((is_bid, price(ticks)));
        update.write(&self.market, 0)
    }

    /// Everything works again.
    fn settle(&mut self) {
        if !self.source.is_heard {
            self.step(Step::Connect);
        }
        for _ in 0..8 {
            self.step(Step::Heads);
            self.tell(|source, at, acts| source.tick(at, acts));
            self.step(Step::Answer { comes: true });
            self.deliver(usize::MAX);
        }
    }
}

fn checksum(book: &query::Depth) -> u32 {
    let (asks, bids) = (book.asks.iter().copied(), book.bids.iter().copied());
    protocol::book_checksum::book_checksum(&market(), asks, bids)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn who_listens_ends_with_the_engines_book(steps in steps()) {
        let mut model = Model::new();
        model.step(Step::Connect);
        steps.into_iter().for_each(|step| model.step(step));
        model.settle();
        prop_assert!(model.source.is_ready());
        let stand = model.source.stand.unwrap();
        let book = model.book();
        prop_assert_eq!((stand.reached.id, stand.checksum), (book.update_id, checksum(book)));
        model.clients.iter().for_each(|client| client.assert_is(book));
    }
}

#[test]
fn a_book_that_stands_still_for_too_long_breaks() {
    let mut model = Model::new();
    model.step(Step::Connect);
    model.settle();
    model.step(Step::Change { is_bid: true, ticks: 100, lots: 1, is_lost: true });
    model.step(Step::Heads);
    model.deliver(1);
    model.now += Duration::from_secs(59);
    model.tell(|source, at, acts| source.tick(at, acts));
    model.now += Duration::from_secs(1);
    let market = model.market.clone();
    let at = Moment { now: model.now, now_us: 0, market: Some(&market), head: model.head };
    let mut acts = Vec::new();
    model.source.tick(at, &mut acts);
    assert!(matches!(acts.first(), Some(Act::Break)), "{acts:?}");
    model.settle();
    assert!(model.source.is_ready(), "who joins then begins anew");
}

#[test]
fn a_counter_that_fell_back_or_tells_of_another_book_breaks() {
    for (update_id, checksum) in [(2, 0), (3, 1)] {
        let mut model = Model::new();
        model.step(Step::Connect);
        model.settle();
        (0..3).for_each(|_| {
            model.step(Step::Change { is_bid: true, ticks: 100, lots: 1, is_lost: false });
        });
        model.deliver(3);
        model.step(Step::NewLife);
        model.deliver(1);
        let (attempt, after) = model.asked.pop().unwrap();
        let found =
            DepthSince { update_id, checksum, is_whole: after <= update_id, ..model.since(after) };
        let market = model.market.clone();
        let at = Moment { now: model.now, now_us: 0, market: Some(&market), head: model.head };
        let mut acts = Vec::new();
        model.source.answered(attempt, Some(AnswerBody::DepthSince(found)), at, &mut acts);
        assert!(matches!(acts[..], [Act::Break, Act::Begin]), "{acts:?}");
    }
}
