//! What the public sees of applied frames: the stream frames of every market.
//!
//! Trades, depth and book ticker follow the frame they come from; tickers and klines follow a clock
//! that ticks a few times a second. Nothing here reads a clock itself.
//!
//! Under backlog ([`Pace::Joined`]) the level changes of a block become one depth frame, because a
//! frame and a checksum for each would hold up whoever waits behind them. Trades and changes of the
//! best prices are never joined.

use engine_core::replica::{
    Applied, Candle, DAY_MINUTES, LevelChange, MarketReplica, Replica, WindowFigures,
};
use protocol::book_checksum::book_checksum;
use protocol::query::Ticker;
use protocol::stream_json::{self, BookTicker, Depth, Kline};
use protocol::{AssetSpec, Frame, Interval, Lots, MarketId, MarketSpec, Price, Side, keys};

use crate::durable::Publication;
use crate::recent_trades::public_trade;

const SECOND_US: u64 = 1_000_000;
/// A candle is closed this long after its end: trades stamped before the end may still be under way
/// through the journal. The contract allows a second.
const CLOSE_AFTER_US: u64 = 400_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// A depth frame for every change.
    Realtime,
    /// A depth frame for every block.
    Joined,
}

#[derive(Debug)]
pub struct MarketData {
    /// By the number of their ids.
    feeds: Vec<Option<Feed>>,
    next_ticker_us: u64,
}

#[derive(Debug)]
struct Feed {
    /// Level changes not yet published.
    pending: Pending,
    klines: [KlineFeed; Interval::ALL.len()],
}

#[derive(Debug, Default)]
struct Pending {
    changes: Vec<LevelChange>,
    /// Zero while there is none.
    first_update: u64,
    last_update: u64,
    time_us: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct KlineFeed {
    /// Trades came since the last frame.
    is_stale: bool,
    sent_us: u64,
    /// Start of the latest candle whose closing frame is out.
    closed_s: Option<i64>,
}

impl MarketData {
    /// Goes on from where `replica` stands; what ended before `now_us` is not told again.
    pub fn new(replica: &Replica, now_us: u64) -> Self {
        let mut data = MarketData { feeds: Vec::new(), next_ticker_us: now_us };
        replica.markets().for_each(|market| data.add(market, now_us));
        data
    }

    /// One more market, as it stands.
    pub fn add(&mut self, market: &MarketReplica, now_us: u64) {
        let place = place(market.spec().id);
        if self.feeds.len() <= place {
            self.feeds.resize_with(place + 1, || None);
        }
        let klines = Interval::ALL.map(|interval| {
            let ended = market.candle(interval).filter(|candle| end_us(candle) <= now_us);
            KlineFeed { closed_s: ended.map(|candle| candle.start_s), ..KlineFeed::default() }
        });
        self.feeds[place] = Some(Feed { pending: Pending::default(), klines });
    }

    /// Adds what one frame shows to `out`. `market` is the frame's, after it was applied.
    pub fn frame(
        &mut self,
        known: &MarketReplica,
        frame: &Frame<'_>,
        applied: &Applied,
        pace: Pace,
        now_us: u64,
        out: &mut Vec<Publication>,
    ) {
        let market = known.spec();
        let Some(feed) = self.feeds.get_mut(place(market.id)).and_then(Option::as_mut) else {
            return;
        };
        if let Some(taker) = frame.header.outcome.order() {
            let trades_before = out.len();
            out.extend(frame.trades().map(|trade| {
                let trade = public_trade(&trade, taker, applied.time_us);
                let json = stream_json::trade(market, now_us, &trade);
                publication(keys::trade(&market.symbol), json)
            }));
            if trades_before < out.len() {
                feed.close_ended(market, applied, now_us, out);
                feed.klines.iter_mut().for_each(|kline| kline.is_stale = true);
            }
        }
        if !applied.levels.is_empty() {
            feed.pending.add(applied);
            if pace == Pace::Realtime {
                feed.publish_depth(known, now_us, out);
            }
            if applied.best_before != applied.best_after {
                out.push(book_ticker_publication(market, applied, now_us));
            }
        }
    }

    /// Adds what was held back under [`Pace::Joined`].
    pub fn end_of_block(&mut self, replica: &Replica, now_us: u64, out: &mut Vec<Publication>) {
        for (feed, market) in with_markets(&mut self.feeds, replica) {
            if !feed.pending.changes.is_empty() {
                feed.publish_depth(market, now_us, out);
            }
        }
    }

    /// Adds what the time asks for: tickers, klines and their closing frames.
    pub fn tick(&mut self, replica: &Replica, now_us: u64, out: &mut Vec<Publication>) {
        for (feed, market) in with_markets(&mut self.feeds, replica) {
            for (kline, interval) in feed.klines.iter_mut().zip(Interval::ALL) {
                if let Some(candle) = market.candle(interval) {
                    out.extend(kline.due(market.spec(), interval, candle, now_us));
                }
            }
        }
        // The clock may have been set back: more than a second ahead is no second.
        let is_ahead = now_us + SECOND_US < self.next_ticker_us;
        if self.next_ticker_us <= now_us || is_ahead {
            let tickers = replica.markets().filter_map(|market| {
                let quote = replica.catalog().asset(market.spec().quote)?;
                Some(ticker_publication(market, quote, now_us))
            });
            out.extend(tickers);
            let next = self.next_ticker_us + SECOND_US;
            let is_on_time = !is_ahead && now_us < next;
            self.next_ticker_us = if is_on_time { next } else { now_us + SECOND_US };
        }
    }
}

impl Feed {
    /// `known` stands where the last of the pending changes left it.
    fn publish_depth(&mut self, known: &MarketReplica, now_us: u64, out: &mut Vec<Publication>) {
        let depth = self.pending.take(known, now_us);
        out.push(publication(keys::depth(&known.spec().symbol), depth));
    }

    fn close_ended(
        &mut self,
        market: &MarketSpec,
        applied: &Applied,
        now_us: u64,
        out: &mut Vec<Publication>,
    ) {
        for (interval, candle) in &applied.ended {
            let kline = &mut self.klines[*interval as usize];
            out.extend(kline.close(market, *interval, candle, now_us));
        }
    }
}

impl Pending {
    fn add(&mut self, applied: &Applied) {
        if self.changes.is_empty() {
            self.first_update = applied.update_id;
        }
        (self.last_update, self.time_us) = (applied.update_id, applied.time_us);
        self.changes.extend_from_slice(&applied.levels);
    }

    fn take(&mut self, known: &MarketReplica, now_us: u64) -> String {
        if self.first_update < self.last_update {
            // Stable: of one level's changes the latest stays behind the others.
            self.changes.sort_by_key(|change| (change.side as u8, change.price));
        }
        let (mut bids, mut asks): (Vec<(Price, Lots)>, Vec<_>) = (Vec::new(), Vec::new());
        for change in self.changes.drain(..) {
            let levels = match change.side {
                Side::Bid => &mut bids,
                Side::Ask => &mut asks,
            };
            match levels.last_mut() {
                Some(last) if last.0 == change.price => last.1 = change.lots,
                _ => levels.push((change.price, change.lots)),
            }
        }
        let depth = Depth {
            time_us: self.time_us,
            first_update: self.first_update,
            last_update: self.last_update,
            bids: &bids,
            asks: &asks,
            checksum: checksum(known),
        };
        stream_json::depth(known.spec(), now_us, &depth)
    }
}

impl KlineFeed {
    /// The frame a candle is due by the time, if any.
    fn due(
        &mut self,
        market: &MarketSpec,
        interval: Interval,
        candle: &Candle,
        now_us: u64,
    ) -> Option<Publication> {
        if end_us(candle) + CLOSE_AFTER_US <= now_us {
            return self.close(market, interval, candle, now_us);
        }
        if !self.is_stale || now_us.abs_diff(self.sent_us) < SECOND_US {
            return None;
        }
        (self.is_stale, self.sent_us) = (false, now_us);
        Some(kline_publication(market, interval, candle, now_us, false))
    }

    /// The closing frame, unless it is out and nothing came since.
    fn close(
        &mut self,
        market: &MarketSpec,
        interval: Interval,
        candle: &Candle,
        now_us: u64,
    ) -> Option<Publication> {
        if self.closed_s == Some(candle.start_s) && !self.is_stale {
            return None;
        }
        (self.closed_s, self.is_stale) = (Some(candle.start_s), false);
        Some(kline_publication(market, interval, candle, now_us, true))
    }
}

/// Of the book as it stands.
pub fn checksum(market: &MarketReplica) -> u32 {
    let side = |side| market.levels().best_first(side);
    book_checksum(market.spec(), side(Side::Ask), side(Side::Bid))
}

/// Rolling figures as queries and streams tell them.
pub fn ticker(market: MarketId, figures: &WindowFigures) -> Ticker {
    let WindowFigures { first, last, high, low, lots, quote, trades } = *figures;
    Ticker { market, first, last, high, low, lots, quote, trades }
}

/// The best prices as the frame left them.
fn book_ticker_publication(market: &MarketSpec, applied: &Applied, now_us: u64) -> Publication {
    let Applied { time_us, best_after: best, update_id: update, .. } = *applied;
    let ticker = BookTicker { time_us, bid: best.bid, ask: best.ask, update };
    let json = stream_json::book_ticker(market, now_us, &ticker);
    publication(keys::book_ticker(&market.symbol), json)
}

fn ticker_publication(market: &MarketReplica, quote: &AssetSpec, now_us: u64) -> Publication {
    let spec = market.spec();
    let day = ticker(spec.id, &market.figures(now_us, DAY_MINUTES));
    publication(keys::ticker(&spec.symbol), stream_json::ticker(spec, quote, now_us, &day))
}

fn kline_publication(
    market: &MarketSpec,
    interval: Interval,
    candle: &Candle,
    now_us: u64,
    is_closed: bool,
) -> Publication {
    let Candle { start_s, end_s, open, close, high, low, lots, trades } = *candle;
    let kline = Kline { interval, start_s, end_s, open, close, high, low, lots, trades, is_closed };
    let json = stream_json::kline(market, now_us, &kline);
    publication(keys::kline(interval, &market.symbol), json)
}

fn publication(channel: String, json: String) -> Publication {
    Publication { channel, payload: json.into_bytes() }
}

fn with_markets<'a>(
    feeds: &'a mut [Option<Feed>],
    replica: &'a Replica,
) -> impl Iterator<Item = (&'a mut Feed, &'a MarketReplica)> {
    let ids = (0..).map(MarketId);
    feeds.iter_mut().zip(ids).filter_map(|(feed, id)| Some((feed.as_mut()?, replica.market(id)?)))
}

fn place(market: MarketId) -> usize {
    usize::from(market.0)
}

fn end_us(candle: &Candle) -> u64 {
    u64::try_from(candle.end_s).unwrap_or_default().saturating_mul(SECOND_US)
}

#[cfg(test)]
mod tests;
