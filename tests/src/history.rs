//! What the engine has written down, frame by frame, asked of it page by page as any reader of
//! event queues may: compared with what the database made of it.
//!
//! Here it shows whether a command was carried out twice, since a frame names the command it came
//! from.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::refill::{Content, PageHead, Request};
use protocol::{Action, Frame, MarketId, Outcome, Sequence, keys};
use redis::{Connection, cmd};
use xtask::client::now_ms;

use crate::database::{Database, number};
use crate::eventually::eventually;
use crate::world::World;

const ASKER: &str = "auditor";
/// For one page; then it is asked for again.
const PAGE_WITHIN: Duration = Duration::from_secs(5);

/// What one stream has, as far as the journal reaches back.
#[derive(Default)]
struct Stream {
    /// The journal before it was removed.
    begins_after: u64,
    last: u64,
    frames: usize,
    /// Ticks and lots by trade id.
    trades: BTreeMap<i128, (i128, i128)>,
    /// Orders that were placed.
    orders: BTreeSet<u64>,
    /// Gateway, epoch and number of each command that had an effect.
    origins: BTreeSet<(u32, u32, u64)>,
    /// Orders that fired.
    fired: BTreeSet<u64>,
}

/// Call it when nobody trades and `World::settle` has returned.
pub fn check_history(world: &World) {
    let database = world.database();
    let mut reader = Reader { redis: world.redis(), asked: 0 };
    let markets = world.listing().markets.iter();
    let markets = markets.map(|market| (market.id, market.symbol.clone()));
    for (market, name) in [(0, keys::ACCOUNTS.to_owned())].into_iter().chain(markets) {
        let last = database.rows(&format!(
            "SELECT last_sequence FROM sink_position WHERE stream IN ('{name}', '{}')",
            keys::events(&name)
        ));
        let last = last.first().map_or(0, |row| row[0].parse().unwrap());
        let stream = reader.stream(MarketId(market.try_into().unwrap()), last);
        assert_eq!(stream.last, last, "the end of {name} in the journal, and in the database");
        check_stream(&database, market, &stream);
    }
}

fn check_stream(database: &Database, market: i64, stream: &Stream) {
    let behind = format!("market_id = {market} AND {} < sequence", stream.begins_after);
    let trades = format!("SELECT trade_id, price_ticks, lots FROM trades WHERE {behind}");
    let trades: BTreeMap<i128, (i128, i128)> = database
        .rows(&trades)
        .iter()
        .map(|row| (number(&row[0]), (number(&row[1]), number(&row[2]))))
        .collect();
    assert!(trades == stream.trades, "trades of market {market}: journal and database differ");
    let orders = format!("SELECT order_id FROM order_events WHERE is_placement AND {behind}");
    let orders: BTreeSet<u64> =
        database.rows(&orders).iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(orders == stream.orders, "orders of market {market}: journal and database differ");
}

struct Reader {
    redis: Connection,
    asked: u64,
}

impl Reader {
    /// Everything up to `last`.
    fn stream(&mut self, market: MarketId, last: u64) -> Stream {
        let mut stream = Stream::default();
        let mut after = Sequence(0);
        while after.0 < last {
            let (head, frames) = eventually("a page of the journal", || self.page(market, after));
            match head.content {
                Content::UpTo(sequence) => {
                    assert!(after < sequence, "a page that leads nowhere: {head:?}");
                    stream.add(&frames);
                    after = sequence;
                }
                Content::BeginsAfter(sequence) => {
                    assert_eq!(stream.frames, 0, "a hole in the journal: {head:?}");
                    stream.begins_after = sequence.0;
                    after = sequence;
                }
                Content::UnknownMarket => panic!("{head:?}"),
            }
        }
        stream
    }

    fn page(&mut self, market: MarketId, after: Sequence) -> Result<(PageHead, Vec<u8>), String> {
        self.asked += 1;
        let within_ms = u64::try_from(PAGE_WITHIN.as_millis()).unwrap();
        let request = Request {
            asker: ASKER.to_owned(),
            id: self.asked,
            market,
            after,
            deadline_us: (now_ms() + within_ms) * 1000,
        };
        let request = serde_json::to_string(&request).unwrap();
        let said = |error: redis::RedisError| error.to_string();
        let () =
            cmd("LPUSH").arg(keys::REFILLS).arg(request).query(&mut self.redis).map_err(said)?;
        let mut pop = cmd("BLPOP");
        pop.arg(keys::refill(ASKER)).arg(PAGE_WITHIN.as_secs());
        let page: Option<(String, Vec<u8>)> = pop.query(&mut self.redis).map_err(said)?;
        let (_, page) = page.ok_or("no page came")?;
        let end = page.iter().position(|byte| *byte == b'\n').ok_or("a page without a head")?;
        let head: PageHead =
            serde_json::from_slice(&page[..end]).map_err(|error| error.to_string())?;
        // One that was asked for before, and came late.
        if head.id != self.asked {
            return Err(format!("an answer to another question: {head:?}"));
        }
        Ok((head, page[end + 1..].to_vec()))
    }
}

impl Stream {
    /// A command, by the name that its sender gave it; what fires, which nobody sent, by its order.
    fn happens_once(&mut self, frame: &Frame<'_>) {
        let origin = frame.command.origin;
        let first = match &frame.command.action {
            Action::Fire(waiting) => self.fired.insert(waiting.order.get()),
            _ => self.origins.insert((origin.gateway.0, origin.epoch, origin.sequence)),
        };
        assert!(first, "carried out twice: {:?}", frame.command);
    }

    fn add(&mut self, frames: &[u8]) {
        for frame in Frame::each_of(frames) {
            let frame = frame.unwrap();
            let header = &frame.header;
            let previous = header.previous.map_or(0, |sequence| sequence.0);
            if 0 < self.frames || self.begins_after == 0 {
                assert_eq!(previous, self.last, "the frame before {:?}", header.sequence);
            }
            assert!(frame.is_effective(), "{header:?}");
            self.happens_once(&frame);
            for trade in frame.trades() {
                let what = (i128::from(trade.price.ticks()), i128::from(trade.lots.0));
                let before = self.trades.insert(i128::from(trade.id.0), what);
                assert_eq!(before, None, "trade {:?} twice", trade.id);
            }
            // Its outcome tells an order once more when it fires, or is amended.
            let places = matches!(frame.command.action, Action::Place(_) | Action::PlaceTrigger(_));
            if let Some(order) = placed(&header.outcome).filter(|_| places) {
                assert!(self.orders.insert(order), "order {order} was placed twice");
            }
            self.last = header.sequence.0;
            self.frames += 1;
        }
    }
}

fn placed(outcome: &Outcome) -> Option<u64> {
    outcome.order().map(protocol::OrderId::get)
}
