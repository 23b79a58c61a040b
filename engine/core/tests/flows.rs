//! The book reproduces every order flow: trade by trade against the reference book, and the
//! published digests at the end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect"
)]

use engine_core::book::Book;
use engine_core::matching::{Step, Taker, Wants, cross};
use orderflow::digest::Fnv;
use orderflow::{Digest, FLOWS, Kind, RefBook};
use protocol::{AccountId, Lots, MarketId, OrderId, Price, Side};

const EXPECTED: &str = include_str!("../../../bench/orderflow/expected.csv");

/// The real book behind the flows' own order ids.
struct FlowBook {
    book: Book,
    /// Flow id → engine id, and back by slot.
    engine_ids: Vec<Option<OrderId>>,
    flow_ids: Vec<u64>,
    digest: Digest,
    trade_hash: Fnv,
}

impl FlowBook {
    fn new() -> Self {
        FlowBook {
            book: Book::new(MarketId(1), 1 << 20),
            engine_ids: Vec::new(),
            flow_ids: Vec::new(),
            digest: Digest {
                trades: 0,
                traded_qty: 0,
                notional: 0,
                rejected: 0,
                resting_orders: 0,
                resting_qty: 0,
                levels: 0,
                trade_hash: 0,
                book_hash: 0,
            },
            trade_hash: Fnv::default(),
        }
    }

    fn apply(&mut self, command: &orderflow::Command) -> Vec<orderflow::Trade> {
        let id = command.id as usize;
        if self.engine_ids.len() <= id {
            self.engine_ids.resize(id + 1, None);
        }
        let side = match command.side {
            orderflow::Side::Buy => Side::Bid,
            orderflow::Side::Sell => Side::Ask,
        };
        let account = AccountId::new(command.account + 1).unwrap();
        let lots = Lots(command.qty);
        match command.kind {
            Kind::New => self.enter(command.id, side, account, Some(command.price), lots, true),
            Kind::Ioc => self.enter(command.id, side, account, Some(command.price), lots, false),
            Kind::Market => self.enter(command.id, side, account, None, lots, false),
            Kind::Cancel | Kind::Reduce | Kind::Move => {
                let slot = self.engine_ids[id].and_then(|order| self.book.find(order));
                let Some(slot) = slot else {
                    self.digest.rejected += 1;
                    return Vec::new();
                };
                let resting = self.book.resting(slot);
                let (side, _) = self.book.side_and_price(slot);
                if command.kind == Kind::Reduce && lots < resting.lots_left {
                    self.book.reduce(slot, lots);
                    return Vec::new();
                }
                self.book.remove(slot);
                if command.kind != Kind::Move {
                    return Vec::new();
                }
                let (account, left) = (resting.account, resting.lots_left);
                self.enter(command.id, side, account, Some(command.price), left, true)
            }
        }
    }

    fn enter(
        &mut self,
        flow_id: u64,
        side: Side,
        account: AccountId,
        limit: Option<u64>,
        lots: Lots,
        rests: bool,
    ) -> Vec<orderflow::Trade> {
        let order = self.book.allocate();
        let slot = order.slot() as usize;
        self.flow_ids.resize(self.flow_ids.len().max(slot + 1), 0);
        self.flow_ids[slot] = flow_id;
        self.engine_ids[flow_id as usize] = Some(order);
        let limit = limit.map(|ticks| Price::from_ticks(ticks).unwrap());
        let taker = Taker { side, account, limit, wants: Wants::Lots(lots), self_trade: None };
        let mut trades = Vec::new();
        let (wants, _) = cross(&mut self.book, &taker, usize::MAX, |_, step| match step {
            Step::Trade { maker, lots, .. } => trades.push(orderflow::Trade {
                maker: self.flow_ids[maker.slot as usize],
                taker: flow_id,
                price: maker.price.ticks(),
                qty: lots.0,
            }),
            Step::RemoveMaker { .. } => unreachable!("accounts may trade with themselves"),
        });
        for trade in &trades {
            self.digest.trades += 1;
            self.digest.traded_qty += trade.qty;
            self.digest.notional += trade.qty * trade.price;
            self.trade_hash.trade(trade);
        }
        match (wants, limit, rests) {
            (Wants::Lots(left), Some(price), true) if !left.is_zero() => {
                self.book.rest(order, side, price, left, account);
            }
            _ => self.book.drop_unrested(order),
        }
        trades
    }

    fn digest(mut self) -> Digest {
        let mut hash = Fnv::default();
        for side in [Side::Bid, Side::Ask] {
            for front in self.book.walk(side) {
                hash.word(self.flow_ids[front.slot as usize]);
                hash.word(front.price.ticks());
                hash.word(front.lots_left.0);
                self.digest.resting_qty += front.lots_left.0;
                self.digest.resting_orders += 1;
            }
            self.digest.levels += self.book.levels(side) as u64;
        }
        Digest { trade_hash: self.trade_hash.0, book_hash: hash.0, ..self.digest }
    }
}

#[test]
fn every_flow_ends_as_published() {
    for name in FLOWS {
        let flow = orderflow::generate(name, orderflow::DEFAULT_SEED).unwrap();
        let mut reference = RefBook::new();
        let mut real = FlowBook::new();
        for (at, command) in flow.commands.iter().enumerate() {
            let mut expected = Vec::new();
            reference.apply(command, &mut |trade| expected.push(trade));
            assert_eq!(real.apply(command), expected, "{name}, command {at}: {command:?}");
        }
        real.book.assert_consistent();
        let (found, expected) = (real.digest(), reference.digest());
        assert_eq!(found, expected, "{name}");
        let hashes = format!("{:016x},{:016x}", found.trade_hash, found.book_hash);
        let line = EXPECTED.lines().find(|line| line.starts_with(&format!("{name},1,"))).unwrap();
        assert!(line.ends_with(&hashes), "{name}: {hashes} is not as published: {line}");
    }
}
