//! Who hears what: the hub, one task that owns every subscription and passes frames on.
//!
//! One task and no lock: a frame costs a lookup and, for each listener, one push of a shared
//! pointer into its outbox, which never waits. What the hub hears is in order, so what each
//! listener gets is.
//!
//! A gap in a channel closes whoever hears a gapless stream made from it. A lost feed closes
//! whoever hears any gapless stream, because pub/sub does not say what was missed.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::ws::Utf8Bytes;
use protocol::MarketId;
use protocol::catalog_json::Known;
use service::SharedCatalog;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::conflate::{DepthFrame, Joined};
use crate::continuity::{Continuity, Span, Verdict, depth_span, trade_span};
use crate::feed::FeedEvent;
use crate::outbox::{CloseReason, Outbox};
use crate::stream_name::{Form, Kind, StreamName, Topic, Window};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketId(pub u64);

#[derive(Debug)]
pub enum HubCommand {
    Subscribe { socket: SocketId, outbox: Outbox, streams: Vec<StreamName> },
    Unsubscribe { socket: SocketId, streams: Vec<StreamName> },
}

/// Every frame of Redis begins like this, followed by the channel's name.
const FRAME_START: &str = "{\"stream\":\"";
/// Events and commands taken at a time.
const BATCH_MAX: usize = 256;

/// The listeners of one topic, by the form of the name they use.
#[derive(Debug, Default)]
struct Audience {
    dotted: HashMap<SocketId, Outbox>,
    at: HashMap<SocketId, Outbox>,
    /// Of a windowed topic.
    joined: Joined,
}

impl Audience {
    fn of(&mut self, form: Form) -> &mut HashMap<SocketId, Outbox> {
        match form {
            Form::Dotted => &mut self.dotted,
            Form::At => &mut self.at,
        }
    }

    fn is_empty(&self) -> bool {
        self.dotted.is_empty() && self.at.is_empty()
    }

    /// `frame` carries the `@` name, whose `@` is at `separator`.
    fn tell(&mut self, frame: &Utf8Bytes, separator: usize) {
        let mut told = 0;
        let mut tell = |listeners: &mut HashMap<SocketId, Outbox>, frame: &Utf8Bytes| {
            told += listeners.len() as u64;
            listeners.retain(|_, outbox| outbox.offer(frame));
        };
        if !self.at.is_empty() {
            tell(&mut self.at, frame);
        }
        if !self.dotted.is_empty() {
            tell(&mut self.dotted, &dotted(frame, separator));
        }
        metrics::counter!("fanout_frames_out_total").increment(told);
        metrics::counter!("fanout_bytes_out_total").increment(told * frame.as_str().len() as u64);
    }

    fn close(&self, reason: CloseReason) {
        for outbox in self.dotted.values().chain(self.at.values()) {
            outbox.close(reason);
        }
    }
}

/// The same frame under its dotted name.
fn dotted(frame: &Utf8Bytes, separator: usize) -> Utf8Bytes {
    let mut text = frame.as_str().to_owned();
    text.replace_range(separator..=separator, ".");
    text.into()
}

/// Where the `@` of the stream's name is, if `frame` is one of the channel `name`.
fn separator_of(frame: &str, name: &str) -> Option<usize> {
    let rest = frame.strip_prefix(FRAME_START)?.strip_prefix(name)?;
    rest.starts_with('"').then_some(())?;
    name.find('@').map(|at| FRAME_START.len() + at)
}

#[derive(Debug)]
pub struct Hub {
    listing: SharedCatalog,
    /// As of the last look.
    known: Arc<Known>,
    /// The topic each channel carries.
    channels: HashMap<String, Topic>,
    /// **Invariant:** no audience is empty between two turns of the loop but by closed outboxes.
    topics: HashMap<Topic, Audience>,
    /// Of gapless sources that are listened to.
    continuity: HashMap<Topic, Continuity>,
    wanted: watch::Sender<BTreeSet<String>>,
}

impl Hub {
    pub fn new(listing: SharedCatalog, wanted: watch::Sender<BTreeSet<String>>) -> Self {
        let known = listing.get();
        let (channels, topics, continuity) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut hub = Hub { listing, known, channels, topics, continuity, wanted };
        hub.list_channels();
        hub
    }

    /// Looks at what is listed. A socket that asked for a stream has seen its market listed, so the
    /// hub that then looks sees it too.
    fn look_at_listing(&mut self) {
        let now = self.listing.get();
        if !Arc::ptr_eq(&now, &self.known) {
            self.known = now;
            self.list_channels();
        }
    }

    fn list_channels(&mut self) {
        for market in self.known.catalog.markets() {
            for topic in Topic::sources(market.id) {
                self.channels.insert(topic.at_name(&market.symbol), topic);
            }
        }
    }

    /// Ends when both channels are closed by their senders.
    pub async fn run(
        mut self,
        mut commands: mpsc::Receiver<HubCommand>,
        mut events: mpsc::Receiver<FeedEvent>,
    ) {
        let mut ticks = interval(Duration::from_millis(Window::Ms200.milliseconds()));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut elapsed_ms = 0;
        let mut command_batch = Vec::with_capacity(BATCH_MAX);
        let mut event_batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                taken = commands.recv_many(&mut command_batch, BATCH_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    command_batch.drain(..).for_each(|command| self.obey(command));
                }
                taken = events.recv_many(&mut event_batch, BATCH_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    event_batch.drain(..).for_each(|event| self.hear(event));
                }
                _ = ticks.tick() => {
                    elapsed_ms += Window::Ms200.milliseconds();
                    self.flush_windows(elapsed_ms);
                }
            }
        }
    }

    fn obey(&mut self, command: HubCommand) {
        match command {
            HubCommand::Subscribe { socket, outbox, streams } => {
                for stream in streams {
                    let audience = self.topics.entry(stream.topic).or_default();
                    audience.of(stream.form).insert(socket, outbox.clone());
                    self.want(stream.topic);
                }
            }
            HubCommand::Unsubscribe { socket, streams } => {
                for stream in streams {
                    if let Some(audience) = self.topics.get_mut(&stream.topic) {
                        audience.of(stream.form).remove(&socket);
                        if audience.is_empty() {
                            self.forget(stream.topic);
                        }
                    }
                }
            }
        }
    }

    fn hear(&mut self, event: FeedEvent) {
        match event {
            FeedEvent::Frame { channel, payload } => self.pass_on(&channel, payload),
            FeedEvent::Lost => {
                self.continuity.clear();
                self.close_gapless(|_| true);
            }
        }
    }

    fn pass_on(&mut self, channel: &str, payload: Vec<u8>) {
        metrics::counter!("fanout_frames_in_total").increment(1);
        metrics::counter!("fanout_bytes_in_total").increment(payload.len() as u64);
        let Some(&source) = self.channels.get(channel) else { return };
        if source.is_gapless() && !self.continuity.contains_key(&source) {
            // On its way since before the last listener left.
            return;
        }
        let Ok(frame) = Utf8Bytes::try_from(payload) else {
            return self.refuse_malformed(source, channel);
        };
        let Some(separator) = separator_of(&frame, channel) else {
            return self.refuse_malformed(source, channel);
        };
        let verdict = match source.kind {
            Kind::Trade => self.check(source, trade_span(&frame)),
            Kind::Depth => self.check(source, depth_span(&frame)),
            _ => Some(Verdict::InOrder),
        };
        match verdict {
            None => return self.refuse_malformed(source, channel),
            Some(Verdict::Repeat) => {
                metrics::counter!("fanout_repeats_total").increment(1);
                return;
            }
            Some(Verdict::Gap { expected }) => {
                tracing::warn!(channel, expected, "gap: closing its listeners");
                metrics::counter!("fanout_gaps_total").increment(1);
                return self.interrupt(source);
            }
            Some(Verdict::InOrder) => (),
        }
        if let Some(audience) = self.topics.get_mut(&source) {
            audience.tell(&frame, separator);
        }
        if source.kind == Kind::Depth {
            self.join(source.market, &frame, channel);
        }
    }

    /// `None` for a frame without ids.
    fn check(&mut self, source: Topic, span: Result<Span, serde_json::Error>) -> Option<Verdict> {
        Some(self.continuity.entry(source).or_default().check(span.ok()?))
    }

    /// Adds a realtime depth frame to the windows that somebody hears.
    fn join(&mut self, market: MarketId, frame: &str, channel: &str) {
        let topic = |window| Topic { kind: Kind::DepthWindow(window), market };
        if !Window::ALL.iter().any(|window| self.topics.contains_key(&topic(*window))) {
            return;
        }
        let Ok(DepthFrame { data }) = serde_json::from_str(frame) else {
            return self.refuse_malformed(Topic { kind: Kind::Depth, market }, channel);
        };
        for window in Window::ALL {
            if let Some(audience) = self.topics.get_mut(&topic(window)) {
                audience.joined.add(&data);
            }
        }
    }

    fn flush_windows(&mut self, elapsed_ms: u64) {
        let now_us = now_us();
        for (topic, audience) in &mut self.topics {
            let Kind::DepthWindow(window) = topic.kind else { continue };
            let Some(market) = self.known.catalog.market(topic.market) else { continue };
            if !elapsed_ms.is_multiple_of(window.milliseconds()) {
                continue;
            }
            let name = topic.at_name(&market.symbol);
            let Some(frame) = audience.joined.flush(&name, &market.symbol, now_us) else {
                continue;
            };
            if let Some(separator) = separator_of(&frame, &name) {
                audience.tell(&frame.into(), separator);
            }
        }
    }

    fn refuse_malformed(&mut self, source: Topic, channel: &str) {
        tracing::error!(channel, "a frame is not what its channel promises");
        metrics::counter!("fanout_malformed_frames_total").increment(1);
        self.interrupt(source);
    }

    /// After a frame of `source` was missed or unreadable.
    fn interrupt(&mut self, source: Topic) {
        self.close_gapless(|topic| topic.source() == source);
    }

    fn close_gapless(&mut self, of: impl Fn(Topic) -> bool) {
        let closed: Vec<Topic> =
            self.topics.keys().copied().filter(|topic| topic.is_gapless() && of(*topic)).collect();
        for topic in closed {
            if let Some(audience) = self.topics.get(&topic) {
                audience.close(CloseReason::Gap);
            }
            self.forget(topic);
        }
    }

    fn want(&mut self, topic: Topic) {
        self.look_at_listing();
        let source = topic.source();
        if source.is_gapless() {
            self.continuity.entry(source).or_default();
        }
        if let Some(channel) = self.channel(source) {
            self.wanted.send_if_modified(|wanted| wanted.insert(channel));
        }
    }

    /// Nobody hears `topic` any more.
    fn forget(&mut self, topic: Topic) {
        self.topics.remove(&topic);
        let source = topic.source();
        if self.topics.keys().any(|other| other.source() == source) {
            return;
        }
        self.continuity.remove(&source);
        if let Some(channel) = self.channel(source) {
            self.wanted.send_if_modified(|wanted| wanted.remove(&channel));
        }
    }

    fn channel(&self, source: Topic) -> Option<String> {
        let market = self.known.catalog.market(source.market)?;
        Some(source.at_name(&market.symbol))
    }
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dotted_frame_differs_in_one_byte_of_the_name() {
        let name = "kline.1m@SOL_USDC";
        let frame = r#"{"stream":"kline.1m@SOL_USDC","data":{"s":"a@b"}}"#;
        let separator = separator_of(frame, name).unwrap();
        let patched = dotted(&Utf8Bytes::from(frame), separator);
        assert_eq!(patched.as_str(), r#"{"stream":"kline.1m.SOL_USDC","data":{"s":"a@b"}}"#);
    }

    #[test]
    fn a_frame_of_another_stream_is_not_passed_on() {
        assert_eq!(separator_of(r#"{"stream":"trade@SOL_BTC","data":{}}"#, "trade@SOL"), None);
        assert_eq!(separator_of(r#"{"data":{},"stream":"trade@SOL"}"#, "trade@SOL"), None);
        assert_eq!(separator_of("", "trade@SOL"), None);
    }
}
