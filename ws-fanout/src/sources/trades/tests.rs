//! Whatever is lost, doubled, delayed or cut off between the engine and here: who hears trades
//! hears them one by one, and breaks off only where the replica has forgotten some.

use std::collections::VecDeque;

use proptest::prelude::*;
use protocol::feed::Head;
use protocol::fixture::{market, price};
use protocol::{Lots, MarketId, MarketSpec, OrderId, Side};
use tokio::time::Instant;

use super::*;

/// Trades the replica remembers, and gives in one answer.
const REMEMBERED: usize = 12;
const ANSWERED: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Trade {
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
    let step = prop_oneof![
        8 => prop::bool::weighted(0.2).prop_map(|is_lost| Step::Trade { is_lost }),
        1 => Just(Step::Repeat),
        2 => Just(Step::Heads),
        1 => Just(Step::NewLife),
        4 => any::<bool>().prop_map(|comes| Step::Answer { comes }),
        8 => (1usize..8).prop_map(|count| Step::Deliver { count }),
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
    source: Trades,
    now: Instant,
    trades: Vec<PublicTrade>,
    /// What is on its way.
    said: VecDeque<Said>,
    asked: Vec<(u64, u64)>,
    life: u64,
    head: Option<Head>,
    /// The last trade that who listens has heard.
    client: Option<u64>,
}

impl Model {
    fn new() -> Model {
        Model {
            market: market(),
            source: Trades::default(),
            now: Instant::now(),
            trades: Vec::new(),
            said: VecDeque::new(),
            asked: Vec::new(),
            life: 1,
            head: None,
            client: None,
        }
    }

    fn last(&self) -> u64 {
        self.trades.len() as u64
    }

    fn remembered(&self) -> &[PublicTrade] {
        &self.trades[self.trades.len().saturating_sub(REMEMBERED)..]
    }

    fn tell(&mut self, tell: impl FnOnce(&mut Trades, Moment<'_>, &mut Vec<Act>)) {
        let (market, mut acts) = (self.market.clone(), Vec::new());
        let at = Moment { now: self.now, now_us: 0, market: Some(&market), head: self.head };
        let before = self.source.reached;
        tell(&mut self.source, at, &mut acts);
        for act in acts {
            match act {
                Act::Ask { attempt, ask: Ask::Trades { after, .. } } => {
                    self.asked.push((attempt, after.0));
                }
                Act::Begin => (),
                Act::Frame(frame) => {
                    let id = trade_span(&frame).unwrap().first;
                    if let Some(client) = &mut self.client {
                        assert_eq!(id, *client + 1);
                        *client = id;
                    }
                }
                Act::Break => {
                    let first = self.remembered().first().map_or(0, |trade| trade.id.0);
                    let reached = before.unwrap().id;
                    assert!(reached + 1 < first, "{reached} could have been made up for");
                    self.client = None;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Trade { is_lost } => {
                self.trades.push(trade(self.last() + 1));
                if !is_lost {
                    self.repeat();
                }
            }
            Step::Repeat => self.repeat(),
            Step::Heads => self.say_heads(Life::Same),
            Step::NewLife => {
                self.life += 1;
                self.say_heads(Life::Another { life: self.life });
            }
            Step::Answer { comes } => {
                for (attempt, after) in std::mem::take(&mut self.asked) {
                    let behind = self.remembered().iter().filter(|it| after < it.id.0).copied();
                    let body = comes.then(|| AnswerBody::Trades(behind.take(ANSWERED).collect()));
                    self.said.push_back(Said::Answer(attempt, body));
                }
            }
            Step::Deliver { count } => self.deliver(count),
            Step::Cut => {
                let cut = std::mem::take(&mut self.said);
                self.head = None;
                self.tell(|source, at, acts| source.lost(at, acts));
                // The answers were lost, which is noticed after a while.
                self.said.extend(cut.into_iter().filter_map(|said| match said {
                    Said::Answer(attempt, _) => Some(Said::Answer(attempt, None)),
                    _ => None,
                }));
            }
            Step::Connect => self.tell(|source, at, acts| source.confirmed(at, acts)),
            Step::Join => {
                if self.source.is_ready() && self.client.is_none() {
                    self.client = self.source.reached.map(|reached| reached.id);
                }
            }
        }
    }

    fn repeat(&mut self) {
        let frame = self.trades.last().map(|trade| stream_json::trade(&self.market, 0, trade));
        self.said.extend(frame.map(Said::Frame));
    }

    fn say_heads(&mut self, life: Life) {
        let head = Head { market: MarketId(1), update_id: 0, trade: TradeId(self.last()) };
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

    /// Everything works again.
    fn settle(&mut self) {
        if !self.source.is_heard {
            self.step(Step::Connect);
        }
        for _ in 0..16 {
            self.step(Step::Heads);
            self.tell(|source, at, acts| source.tick(at, acts));
            self.step(Step::Answer { comes: true });
            self.deliver(usize::MAX);
        }
    }
}

fn trade(id: u64) -> PublicTrade {
    PublicTrade {
        id: TradeId(id),
        time_us: id,
        price: price(100),
        lots: Lots(id),
        taker_side: Side::Bid,
        taker_order: OrderId::from_parts(MarketId(1), 1, 1).unwrap(),
        maker_order: OrderId::from_parts(MarketId(1), 2, 1).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn who_listens_hears_every_trade_to_the_last(steps in steps()) {
        let mut model = Model::new();
        model.step(Step::Connect);
        steps.into_iter().for_each(|step| model.step(step));
        model.settle();
        prop_assert!(model.source.is_ready());
        if let Some(client) = model.client {
            prop_assert_eq!(client, model.last());
        }
    }
}

#[test]
fn a_counter_that_fell_back_breaks() {
    let mut model = Model::new();
    (0..5).for_each(|_| model.step(Step::Trade { is_lost: true }));
    model.step(Step::Connect);
    model.settle();
    let market = model.market.clone();
    let at = Moment { now: model.now, now_us: 0, market: Some(&market), head: model.head };
    let mut acts = Vec::new();
    let next = stream_json::trade(&market, 0, &trade(6)).into_bytes();
    model.source.message(next, at, &mut acts);
    let fallen = stream_json::trade(&market, 0, &PublicTrade { time_us: 100, ..trade(1) });
    model.source.message(fallen.into_bytes(), at, &mut acts);
    assert!(matches!(acts[..], [Act::Frame(_), Act::Break, Act::Ask { .. }]), "{acts:?}");
}
