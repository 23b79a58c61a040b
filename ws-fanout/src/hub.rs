//! Who hears what: owns every membership and every source, and knows what is to be sent to whom.
//!
//! What it is told is in order, so what each worker gets is. Sources decide what is to be done; the
//! hub finds them, carries it out, and makes a message once for each form of its name that somebody
//! hears. It waits for nothing: what is to be sent and asked is left in [`Hub::out`] and
//! [`Hub::asks`] for who drives it (`upstream.rs`).

use std::collections::HashMap;

use protocol::feed::{About, Head, Heads};
use protocol::query::{AnswerBody, Ask};
use protocol::{GatewayId, MarketId, MarketSpec, Sequence, keys};
use service::SharedCatalog;
use service::clock::now_us;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::access::Access;
use crate::audience::{Audiences, Outbox};
use crate::close_reason::CloseReason;
use crate::conflate;
use crate::feed::{FeedEvent, Wanted};
use crate::links::ToUpstream;
use crate::questions::Questions;
use crate::sources::{self, Act, Life, Moment, Source, SourceName};
use crate::stream_name::{Form, Kind, PrivateName, StreamName, Topic, Window};
use crate::wire::text_message;

/// Every frame of Redis begins like this, followed by the channel's name.
const FRAME_START: &str = "{\"stream\":\"";

/// Which engine speaks, and how far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EngineState {
    /// `None` before it has been heard of.
    pub life: Option<u64>,
    pub sequence: Sequence,
    /// Counts the lives of the engine and the connections to Redis: with each either may have
    /// forgotten something.
    pub doubts: u64,
}

/// A source, and the how-manieth there was: one of the same name may follow it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker(SourceName, u64);

/// A question of a source, on its way.
#[derive(Debug)]
pub struct Asked {
    pub by: Asker,
    pub attempt: u64,
    pub ask: Ask,
    pub min_sequence: Sequence,
}

struct Entry {
    number: u64,
    source: Box<dyn Source>,
    channel: String,
    /// As it was when it was first wanted: what frames are made with never changes.
    market: Option<MarketSpec>,
    /// Those made from it that somebody wants. **Invariant:** not empty.
    streams: Vec<StreamName>,
}

pub struct Hub {
    listing: SharedCatalog,
    replies_channel: String,
    access_channel: String,
    questions: Questions,
    access: Access,
    wanted: watch::Sender<Wanted>,
    wanted_last: u64,
    engine: watch::Sender<EngineState>,
    /// As of the last heads on this connection.
    heads: HashMap<MarketId, Head>,
    audiences: Audiences,
    entries: HashMap<SourceName, Entry>,
    channels: HashMap<String, SourceName>,
    /// Of windowed topics that somebody has joined.
    windows: HashMap<Topic, conflate::Window>,
    elapsed_ms: u64,
    acts: Vec<Act>,
    /// What is to be sent, in order.
    pub out: Outbox,
    /// What is to be asked.
    pub asks: Vec<Asked>,
}

impl Hub {
    pub fn new(
        listing: SharedCatalog,
        asker: GatewayId,
        questions: Questions,
        access: Access,
        wanted: watch::Sender<Wanted>,
        engine: watch::Sender<EngineState>,
    ) -> Hub {
        let (replies_channel, access_channel) = (keys::replies(asker), keys::access(asker));
        let always = [keys::HEADS.to_owned(), replies_channel.clone(), access_channel.clone()];
        wanted.send_modify(|wanted| wanted.extend(always.map(|channel| (channel, 0))));
        Hub {
            listing,
            replies_channel,
            access_channel,
            questions,
            access,
            wanted,
            wanted_last: 0,
            engine,
            heads: HashMap::new(),
            audiences: Audiences::default(),
            entries: HashMap::new(),
            channels: HashMap::new(),
            windows: HashMap::new(),
            elapsed_ms: 0,
            acts: Vec::new(),
            out: Outbox::new(),
            asks: Vec::new(),
        }
    }

    pub fn obey(&mut self, command: ToUpstream) {
        match command {
            ToUpstream::Join { worker, stream, token } => {
                let name = SourceName::of(stream);
                if !self.want(name) {
                    tracing::error!(?stream, "a stream of a market that is not listed");
                    return;
                }
                self.audiences.join(worker, stream, token);
                let Some(entry) = self.entries.get_mut(&name) else { return };
                if !entry.streams.contains(&stream) {
                    entry.streams.push(stream);
                }
                if entry.source.is_ready() {
                    self.begin(name);
                }
            }
            ToUpstream::Leave { worker, stream, token } => {
                if self.audiences.leave(worker, stream, token) {
                    self.forget_unwanted(SourceName::of(stream));
                }
            }
        }
    }

    pub fn hear(&mut self, event: FeedEvent, now: Instant) {
        match event {
            FeedEvent::Subscribed { channel } => {
                if let Some(name) = self.channels.get(&channel).copied() {
                    self.with(name, now, |source, at, acts| source.confirmed(at, acts));
                }
            }
            FeedEvent::Message { channel, payload } => {
                if let Some(name) = self.channels.get(&channel).copied() {
                    metrics::counter!("fanout_frames_in_total").increment(1);
                    metrics::counter!("fanout_bytes_in_total").increment(payload.len() as u64);
                    self.with(name, now, |source, at, acts| source.message(payload, at, acts));
                } else if channel == self.replies_channel {
                    self.questions.hear(&payload);
                } else if channel == self.access_channel {
                    self.access.hear(&payload);
                } else if channel == keys::HEADS {
                    self.hear_heads(&payload, now);
                }
            }
            FeedEvent::Lost => {
                self.heads.clear();
                self.engine.send_modify(|engine| engine.doubts += 1);
                self.with_all(now, |source, at, acts| source.lost(at, acts));
            }
        }
    }

    pub fn answered(
        &mut self,
        Asker(name, number): Asker,
        attempt: u64,
        answer: Option<AnswerBody>,
        now: Instant,
    ) {
        if self.entries.get(&name).is_none_or(|entry| entry.number != number) {
            return;
        }
        self.with(name, now, |source, at, acts| source.answered(attempt, answer, at, acts));
    }

    /// To be called every [`Window::Ms200`].
    pub fn tick(&mut self, now: Instant) {
        self.with_all(now, |source, at, acts| source.tick(at, acts));
        self.elapsed_ms += Window::Ms200.milliseconds();
        self.flush_windows();
    }

    fn hear_heads(&mut self, payload: &[u8], now: Instant) {
        let heads: Heads = match serde_json::from_slice(payload) {
            Ok(heads) => heads,
            Err(error) => {
                tracing::error!(%error, "the engine's heads cannot be read");
                return;
            }
        };
        let before = self.engine.borrow().life;
        let is_another = before.is_some_and(|before| before != heads.life);
        self.engine.send_modify(|engine| {
            engine.life = Some(heads.life);
            engine.sequence = heads.sequence;
            engine.doubts += u64::from(is_another);
        });
        if is_another {
            tracing::info!(life = heads.life, "another life of the engine");
        }
        self.heads = heads.markets.into_iter().map(|head| (head.market, head)).collect();
        let life = if is_another { Life::Another { life: heads.life } } else { Life::Same };
        self.with_all(now, |source, at, acts| source.heads(life, at, acts));
    }

    fn with_all(
        &mut self,
        now: Instant,
        tell: impl Fn(&mut dyn Source, Moment<'_>, &mut Vec<Act>),
    ) {
        let names: Vec<SourceName> = self.entries.keys().copied().collect();
        for name in names {
            self.with(name, now, &tell);
        }
    }

    /// Tells a source something and carries out what it wants done.
    fn with(
        &mut self,
        name: SourceName,
        now: Instant,
        tell: impl FnOnce(&mut dyn Source, Moment<'_>, &mut Vec<Act>),
    ) {
        let Some(entry) = self.entries.get_mut(&name) else { return };
        let at = Moment {
            now,
            now_us: now_us(),
            market: entry.market.as_ref(),
            head: name.market().and_then(|market| self.heads.get(&market).copied()),
        };
        let mut acts = std::mem::take(&mut self.acts);
        tell(entry.source.as_mut(), at, &mut acts);
        let asker = Asker(name, entry.number);
        for act in acts.drain(..) {
            self.carry_out(asker, act);
        }
        self.acts = acts;
    }

    fn carry_out(&mut self, by: Asker, act: Act) {
        let Asker(name, _) = by;
        match act {
            Act::Ask { attempt, ask } => {
                let min_sequence = self.engine.borrow().sequence;
                self.asks.push(Asked { by, attempt, ask, min_sequence });
            }
            Act::Begin => self.begin(name),
            Act::Frame(frame) => self.pass_on(name, &frame),
            Act::Depth { frame, update } => {
                self.pass_on(name, &frame);
                for window in Window::ALL {
                    if let Some(window) = self.windows.get_mut(&windowed(window, name)) {
                        window.add(&update);
                    }
                }
            }
            Act::Private { about, data } => self.tell_account(name, about, &data),
            Act::Break => self.break_off(name),
        }
    }

    fn begin(&mut self, name: SourceName) {
        let Some(entry) = self.entries.get(&name) else { return };
        for stream in &entry.streams {
            self.audiences.begin(*stream, &mut self.out);
            if let StreamName::Public { topic, .. } = *stream
                && matches!(topic.kind, Kind::DepthWindow(_))
            {
                // Its first frame begins behind what its source has told.
                self.windows.entry(topic).or_default();
            }
        }
    }

    fn pass_on(&mut self, name: SourceName, frame: &str) {
        let (Some(entry), SourceName::Public(topic)) = (self.entries.get(&name), name) else {
            return;
        };
        let Some(separator) = separator_of(frame, &entry.channel) else {
            tracing::error!(channel = entry.channel, "a frame is not what its channel promises");
            metrics::counter!("fanout_malformed_frames_total").increment(1);
            return self.break_off(name);
        };
        for form in [Form::At, Form::Dotted] {
            let stream = StreamName::Public { topic, form };
            if !self.audiences.is_heard(stream) {
                continue;
            }
            let message = match form {
                Form::At => text_message(&[frame]),
                Form::Dotted => text_message(&[&frame[..separator], ".", &frame[separator + 1..]]),
            };
            self.audiences.tell(stream, &message, &mut self.out);
        }
    }

    fn flush_windows(&mut self) {
        let (known, now_us) = (self.listing.get(), now_us());
        for (topic, window) in &mut self.windows {
            let (Kind::DepthWindow(every), Some(market)) =
                (topic.kind, known.catalog.market(topic.market))
            else {
                continue;
            };
            if !self.elapsed_ms.is_multiple_of(every.milliseconds()) {
                continue;
            }
            let Some(frame) = window.flush(market, now_us) else { continue };
            let rest = &frame[FRAME_START.len() + keys::depth(&market.symbol).len()..];
            for form in [Form::At, Form::Dotted] {
                let stream = StreamName::Public { topic: *topic, form };
                if let Some(name) = stream.text(&known.catalog)
                    && self.audiences.is_heard(stream)
                {
                    let message = text_message(&[FRAME_START, &name, rest]);
                    self.audiences.tell(stream, &message, &mut self.out);
                }
            }
        }
    }

    fn tell_account(&mut self, name: SourceName, about: About, data: &str) {
        let Some(entry) = self.entries.get(&name) else { return };
        let known = self.listing.get();
        for stream in &entry.streams {
            if let StreamName::Private { name, .. } = *stream
                && tells_of(name, about)
                && let Some(text) = stream.text(&known.catalog)
            {
                let message = text_message(&[FRAME_START, &text, "\",\"data\":", data, "}"]);
                self.audiences.tell(*stream, &message, &mut self.out);
            }
        }
    }

    fn break_off(&mut self, name: SourceName) {
        let Some(entry) = self.entries.get(&name) else { return };
        let before = self.out.len();
        for stream in &entry.streams {
            self.audiences.break_off(*stream, CloseReason::Gap, &mut self.out);
        }
        if before < self.out.len() {
            metrics::counter!("fanout_breaks_total", "stream" => name.kind()).increment(1);
        }
        self.forget_unwanted(name);
    }

    /// Makes the source if there is none; `false` when its market is not listed.
    fn want(&mut self, name: SourceName) -> bool {
        if self.entries.contains_key(&name) {
            return true;
        }
        let known = self.listing.get();
        let Some(channel) = name.channel(&known.catalog) else { return false };
        let market = name.market().and_then(|market| known.catalog.market(market)).cloned();
        let source = sources::new(name);
        self.channels.insert(channel.clone(), name);
        self.wanted_last += 1;
        let number = self.wanted_last;
        self.wanted.send_modify(|wanted| {
            wanted.insert(channel.clone(), number);
        });
        self.entries.insert(name, Entry { number, source, channel, market, streams: Vec::new() });
        true
    }

    /// After somebody left.
    fn forget_unwanted(&mut self, name: SourceName) {
        let audiences = &self.audiences;
        self.windows.retain(|topic, _| {
            let stream = |form| StreamName::Public { topic: *topic, form };
            [Form::At, Form::Dotted].into_iter().any(|form| audiences.is_heard(stream(form)))
        });
        let Some(entry) = self.entries.get_mut(&name) else { return };
        entry.streams.retain(|stream| self.audiences.is_wanted(*stream));
        if entry.streams.is_empty() {
            self.channels.remove(&entry.channel);
            self.wanted.send_modify(|wanted| {
                wanted.remove(&entry.channel);
            });
            self.entries.remove(&name);
        }
    }
}

/// The windowed topic made from a source of depth.
fn windowed(window: Window, source: SourceName) -> Topic {
    let market = source.market().unwrap_or(MarketId::ACCOUNTS);
    Topic { kind: Kind::DepthWindow(window), market }
}

fn tells_of(name: PrivateName, about: About) -> bool {
    match (name, about) {
        (PrivateName::Orders(None), About::Order(_)) | (PrivateName::Balances, About::Balance) => {
            true
        }
        (PrivateName::Orders(Some(market)), About::Order(of)) => market == of,
        _ => false,
    }
}

/// Where the `@` of the stream's name is, if `frame` is one of the channel `name`.
fn separator_of(frame: &str, name: &str) -> Option<usize> {
    let rest = frame.strip_prefix(FRAME_START)?.strip_prefix(name)?;
    rest.starts_with('"').then_some(())?;
    name.find('@').map(|at| FRAME_START.len() + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_another_stream_is_not_passed_on() {
        let frame = r#"{"stream":"kline.1m@SOL_USDC","data":{"s":"a@b"}}"#;
        let separator = separator_of(frame, "kline.1m@SOL_USDC").unwrap();
        assert_eq!(&frame[separator..separator + 4], "@SOL");
        assert_eq!(separator_of(r#"{"stream":"trade@SOL_BTC","data":{}}"#, "trade@SOL"), None);
        assert_eq!(separator_of(r#"{"data":{},"stream":"trade@SOL"}"#, "trade@SOL"), None);
        assert_eq!(separator_of("", "trade@SOL"), None);
    }

    #[test]
    fn an_update_is_told_to_those_it_is_about() {
        let (here, there) = (About::Order(MarketId(1)), About::Order(MarketId(2)));
        let of_market = PrivateName::Orders(Some(MarketId(1)));
        assert!(tells_of(PrivateName::Orders(None), here) && tells_of(of_market, here));
        assert!(!tells_of(of_market, there) && !tells_of(of_market, About::Balance));
        assert!(tells_of(PrivateName::Balances, About::Balance));
        assert!(!tells_of(PrivateName::Balances, here));
    }
}
