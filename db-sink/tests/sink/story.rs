//! Frames as the engine would emit them, and what must come of them in the database.

use std::ops::Range;

use db_sink::feed::Entry;
use db_sink::klines::{self, Candle, CandleKey, Candles};
use db_sink::tables::Rows;
use protocol::{
    AccountId, Action, AssetId, BookState, Command, Event, Frame, FrameHeader, FrameWriter,
    GatewayId, Lots, MarketSpec, OrderId, OrderKind, Origin, Outcome, Place, Price,
    SelfTradePrevention, Sequence, Side, StateDigest, StreamCursor, TimeInForce, Trade, TradeId,
    Transfer, TransferId, Units,
};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use sqlx::{PgConnection, Row};

/// Tells one stream's frames one after the other.
pub struct Story {
    /// `None` for the stream of accounts.
    pub market: Option<MarketSpec>,
    previous: Option<Sequence>,
    time_us: u64,
    trades: u64,
    orders: u32,
    pub frames: Vec<(Sequence, Vec<u8>)>,
}

impl Story {
    pub fn of(market: Option<MarketSpec>) -> Story {
        let time_us = 1_798_675_190_000_000;
        Story { market, previous: None, time_us, trades: 0, orders: 0, frames: Vec::new() }
    }

    /// `frames` frames of one to three trades each, their prices, times and sequences told by
    /// `seed`.
    pub fn trading(market: &MarketSpec, frames: usize, mut seed: u64) -> Story {
        let mut story = Story::of(Some(market.clone()));
        for _ in 0..frames {
            // An LCG (Knuth's MMIX constants) is random enough for prices.
            let mut random = |below: u64| {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) % below
            };
            // Dense, with a pause of up to two hours now and then.
            let pause_us = if random(50) == 0 { 7_200_000_000 } else { 500_000 };
            story.time_us += random(pause_us);
            let step = 1 + random(3);
            let trades: Vec<_> =
                (0..=random(3)).map(|_| (9_000 + random(2_000), 1 + random(500))).collect();
            story.take(step, &trades);
        }
        story
    }

    fn order(&mut self) -> OrderId {
        self.orders += 1;
        OrderId::from_parts(self.market_id(), self.orders % OrderId::SLOTS_MAX, 1).unwrap()
    }

    pub fn market_id(&self) -> protocol::MarketId {
        self.market.as_ref().map_or(protocol::MarketId::ACCOUNTS, |market| market.id)
    }

    /// A bid that takes asks of (ticks, lots) and is filled. `step` is how many commands of the
    /// whole exchange lie between this one and the one before.
    pub fn take(&mut self, step: u64, asks: &[(u64, u64)]) {
        let order = self.order();
        let mut events = Vec::new();
        for &(ticks, lots) in asks {
            self.trades += 1;
            events.push(Event::Trade(Trade {
                id: TradeId(self.trades),
                maker_account: AccountId::new(1).unwrap(),
                maker_order: self.order(),
                taker_side: Side::Bid,
                price: Price::from_ticks(ticks).unwrap(),
                lots: Lots(lots),
                maker_fee: Units(8),
                taker_fee: Units(10),
                maker_lots_left: Lots::ZERO,
            }));
        }
        let place = Place {
            market: self.market_id(),
            account: AccountId::new(2).unwrap(),
            side: Side::Bid,
            kind: OrderKind::MarketByLots { lots: Lots(asks.iter().map(|ask| ask.1).sum()) },
            time_in_force: TimeInForce::ImmediateOrCancel,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            client_id: None,
            valid_until_us: 0,
        };
        self.tell(step, Action::Place(place), Outcome::Filled { order }, &events);
    }

    pub fn deposit(&mut self, step: u64, units: u64) {
        let transfer = Transfer {
            account: AccountId::new(2).unwrap(),
            asset: AssetId(1),
            units: Units(units),
            id: TransferId(u128::from(units)),
        };
        self.tell(step, Action::Deposit(transfer), Outcome::Transferred, &[]);
    }

    /// A frame that changes nothing the database stores.
    pub fn set_book_state(&mut self, step: u64, state: BookState) {
        let action = Action::SetBookState { market: self.market_id(), state };
        self.tell(step, action, Outcome::BookStateSet, &[]);
    }

    fn tell(&mut self, step: u64, action: Action, outcome: Outcome, events: &[Event]) {
        let sequence = Sequence(self.previous.map_or(0, |previous| previous.0) + step);
        let header = FrameHeader {
            sequence,
            previous: self.previous,
            cursor: StreamCursor { milliseconds: sequence.0, counter: 0 },
            outcome,
            held: Units(0),
            digest: StateDigest::from_bits(sequence.0).unwrap(),
        };
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: sequence.0 };
        let mut writer = FrameWriter::new(events.len());
        events.iter().for_each(|event| writer.push(event));
        let bytes = writer.finish(&header, &Command { origin, time_us: self.time_us, action });
        self.frames.push((sequence, bytes.concat()));
        self.previous = Some(sequence);
    }

    pub fn rows(&self) -> Rows {
        let mut rows = Rows::default();
        for (_, bytes) in &self.frames {
            rows.append(&Frame::parse(bytes).unwrap(), self.market.as_ref()).unwrap();
        }
        rows
    }

    /// Its frames in `range` as the feed hands them on; `stream` is its place in `Streams`.
    pub fn entries(&self, stream: usize, range: Range<usize>) -> impl Iterator<Item = Entry> {
        self.frames[range].iter().map(move |(sequence, bytes)| Entry {
            stream,
            id: StreamCursor { milliseconds: sequence.0, counter: 0 },
            frame: bytes.clone(),
        })
    }

    pub fn last(&self) -> u64 {
        self.frames.last().map_or(0, |(sequence, _)| sequence.0)
    }
}

/// How many rows each table holds, in the order of `Rows`' fields.
pub async fn counts(connection: &mut PgConnection) -> [i64; 5] {
    let mut counts = [0; 5];
    let tables = ["trades", "fills", "order_events", "balance_changes", "transfers"];
    for (count, table) in counts.iter_mut().zip(tables) {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        *count = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap();
    }
    counts
}

pub fn expected_counts(stories: &[&Story]) -> [i64; 5] {
    let mut counts = [0; 5];
    for rows in stories.iter().map(|story| story.rows()) {
        let lengths = [
            rows.trades.len(),
            rows.fills.len(),
            rows.order_events.len(),
            rows.balance_changes.len(),
            rows.transfers.len(),
        ];
        for (count, length) in counts.iter_mut().zip(lengths) {
            *count += length as i64;
        }
    }
    counts
}

/// The rows and the candles are those of the stories, each once.
pub async fn assert_stored(connection: &mut PgConnection, stories: &[&Story]) {
    assert_eq!(counts(connection).await, expected_counts(stories));
    let mut expected = Candles::new();
    for story in stories {
        expected.extend(klines::candles(&story.rows().trades));
    }
    assert_eq!(candles(connection).await, expected);
    let sums = "SELECT coalesce(sum(price_ticks * lots), 0)::bigint FROM trades";
    let found: i64 = sqlx::query_scalar(sums).fetch_one(connection).await.unwrap();
    let trades = stories.iter().flat_map(|story| story.rows().trades);
    assert_eq!(found, trades.map(|trade| trade.price_ticks * trade.lots).sum::<i64>());
}

async fn candles(connection: &mut PgConnection) -> Candles {
    let rows = sqlx::query(
        "SELECT market_id, resolution, extract(epoch FROM open_time)::bigint, first_trade_id,
            last_trade_id, open_ticks, high_ticks, low_ticks, close_ticks, lots, quote_units,
            trades
         FROM klines",
    );
    let sum = |value: Decimal| value.to_i128().unwrap();
    let rows = rows.fetch_all(connection).await.unwrap();
    let candle = |row: &sqlx::postgres::PgRow| {
        let key =
            CandleKey { market_id: row.get(0), resolution: row.get(1), open_time_s: row.get(2) };
        let candle = Candle {
            first_trade_id: row.get(3),
            last_trade_id: row.get(4),
            open_ticks: row.get(5),
            high_ticks: row.get(6),
            low_ticks: row.get(7),
            close_ticks: row.get(8),
            lots: sum(row.get(9)),
            quote_units: sum(row.get(10)),
            trades: row.get(11),
        };
        (key, candle)
    };
    rows.iter().map(candle).collect()
}

/// 0 for a stream nobody has claimed yet.
pub async fn position(connection: &mut PgConnection, stream: &str) -> i64 {
    sqlx::query_scalar("SELECT last_sequence FROM sink_position WHERE stream = $1")
        .bind(stream)
        .fetch_optional(connection)
        .await
        .unwrap()
        .unwrap_or(0)
}
