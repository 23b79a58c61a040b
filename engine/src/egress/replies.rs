//! The replies thread: every frame to the gateway that sent its command, if one did. In place of a
//! frame that only says that its command had come before goes the frame that decided it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};
use metrics::{Histogram, histogram};
use protocol::{Action, Frame, GatewayId, Outcome, Sequence, keys};

use super::Broadcast;
use super::recalls::Recall;
use super::recent_frames::RecentFrames;
use crate::counters::EgressCounters;
use crate::durable::DurableBlock;
use crate::error::EngineError;
use crate::ingress::durable_cursors::DurableCursors;

/// A message to a gateway is closed to further frames at this size.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Frames gathered for each gateway, in their order.
#[derive(Debug, Default)]
pub struct Letters(BTreeMap<GatewayId, Letter>);

#[derive(Debug)]
struct Letter {
    channel: String,
    frames: Vec<u8>,
}

impl Letters {
    /// Adds one frame; calls `send` with channel and payload when that makes a message full.
    pub fn add(&mut self, frame: &Frame<'_>, send: impl FnOnce(&str, &[u8])) {
        let gateway = frame.command.origin.gateway;
        let fresh = || Letter { channel: keys::replies(gateway), frames: Vec::new() };
        let letter = self.0.entry(gateway).or_insert_with(fresh);
        letter.frames.extend_from_slice(frame.bytes());
        if MESSAGE_BYTES_MAX <= letter.frames.len() {
            send(&letter.channel, &letter.frames);
            letter.frames.clear();
        }
    }

    /// Sends what is left, a message to each gateway that has frames.
    pub fn send_rest(&mut self, mut send: impl FnMut(&str, &[u8])) {
        for letter in self.0.values_mut().filter(|letter| !letter.frames.is_empty()) {
            send(&letter.channel, &letter.frames);
            letter.frames.clear();
        }
        // A gateway id is whatever a command says: those of the past are not kept for ever.
        if GATEWAYS_MAX < self.0.len() {
            self.0.clear();
        }
    }
}

const GATEWAYS_MAX: usize = 1024;

pub struct Replies {
    pub blocks: Receiver<Arc<DurableBlock>>,
    pub broadcast: Broadcast,
    /// Told how far each command stream is durable: this thread reads every frame anyway.
    pub cursors: Arc<DurableCursors>,
    pub recent: RecentFrames,
    /// Asked for first answers that are no longer in memory. Full: the frame that says so goes out.
    pub recalls: Sender<Recall>,
    pub counters: Arc<EgressCounters>,
    /// The wall clock, for the metrics alone.
    pub now_us: fn() -> u64,
}

/// How long things took, for the metrics.
struct Times {
    /// From its reading by the ingress until a command was durable and came here.
    durable: Histogram,
    /// Until Redis had taken what was to be published.
    publish: Histogram,
}

impl Replies {
    /// Runs until the journal has ended and everything is sent.
    pub fn run(mut self) -> Result<(), EngineError> {
        let mut letters = Letters::default();
        let times = Times {
            durable: histogram!("engine_durable_seconds"),
            publish: histogram!("engine_reply_publish_seconds"),
        };
        while let Ok(block) = self.blocks.recv() {
            let mut last = block.last;
            self.add(&block, &mut letters, &times)?;
            while !self.broadcast.is_full()
                && let Ok(block) = self.blocks.try_recv()
            {
                last = block.last;
                self.add(&block, &mut letters, &times)?;
            }
            let began = Instant::now();
            let broadcast = &mut self.broadcast;
            letters.send_rest(|channel, frames| broadcast.push(channel.as_bytes(), frames));
            broadcast.flush();
            times.publish.record(began.elapsed());
            self.counters.sequence.set(last.0);
        }
        Ok(())
    }

    fn add(
        &mut self,
        block: &Arc<DurableBlock>,
        letters: &mut Letters,
        times: &Times,
    ) -> Result<(), EngineError> {
        let now_us = (self.now_us)();
        let Replies { broadcast, cursors, recent, recalls, .. } = self;
        recent.push(block);
        each_frame(&block.frames, block.before(), |frame| {
            // What fires nobody has sent: it is no command of a stream, and nobody waits for it.
            if matches!(frame.command.action, Action::Fire(_)) {
                return;
            }
            let took_us = now_us.saturating_sub(frame.command.time_us);
            times.durable.record(Duration::from_micros(took_us));
            cursors.advance(frame.command.market(), frame.header.cursor);
            let first = match frame.header.outcome {
                Outcome::Recognised { first } => {
                    metrics::counter!("engine_commands_recognised_total").increment(1);
                    match recent.get(first).filter(|found| is_answer_to(frame, found)) {
                        Some(found) => Some(found),
                        None if is_recalled(recalls, first, frame) => return,
                        None => None,
                    }
                }
                _ => None,
            };
            letters.add(first.as_ref().unwrap_or(frame), |channel, frames| {
                broadcast.push(channel.as_bytes(), frames);
            });
        })
    }
}

/// Whether somebody else takes care of the answer.
fn is_recalled(recalls: &Sender<Recall>, first: Sequence, recognised: &Frame<'_>) -> bool {
    let recognised = recognised.bytes().to_vec();
    recalls.try_send(Recall { first, recognised }).is_ok()
}

/// Whether `found` decided the command that was recognised.
pub fn is_answer_to(recognised: &Frame<'_>, found: &Frame<'_>) -> bool {
    let is_answer = recognised.command.origin == found.command.origin;
    if !is_answer {
        tracing::error!(
            recognised = recognised.header.sequence.0,
            found = found.header.sequence.0,
            "a frame names another's answer as its own: report this"
        );
    }
    is_answer
}

/// Calls `visit` for each of `frames`, which come after frame `after`.
pub fn each_frame(
    frames: &[u8],
    mut after: Sequence,
    mut visit: impl FnMut(&Frame<'_>),
) -> Result<(), EngineError> {
    for frame in Frame::each_of(frames) {
        let frame = frame.map_err(|cause| EngineError::Decode { after, cause })?;
        visit(&frame);
        after = frame.header.sequence;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::frame;

    type Sent = Vec<(String, Vec<u64>)>;

    /// What is sent of frames 1 to `last`, whose gateways `gateway` tells.
    fn sent(last: u64, gateway: impl Fn(u64) -> u32) -> Sent {
        let mut sent = Sent::new();
        let mut send = |channel: &str, frames: &[u8]| {
            let mut found = Vec::new();
            each_frame(frames, Sequence(0), |it| found.push(it.header.sequence.0)).unwrap();
            sent.push((channel.to_owned(), found));
        };
        let mut letters = Letters::default();
        for sequence in 1..=last {
            let records = frame(sequence, gateway(sequence));
            letters.add(&Frame::parse(records.as_flattened()).unwrap(), &mut send);
        }
        letters.send_rest(&mut send);
        letters.send_rest(&mut send);
        sent
    }

    #[test]
    fn frames_are_grouped_by_gateway_in_their_order() {
        let sent = sent(7, |sequence| 1 + (sequence % 3 == 0) as u32);
        let expected =
            [("replies:1".to_owned(), vec![1, 2, 4, 5, 7]), ("replies:2".to_owned(), vec![3, 6])];
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_message_is_closed_when_it_is_full() {
        let full = (MESSAGE_BYTES_MAX / 128) as u64;
        let sent = sent(2 * full + 10, |_| 1);
        let counts: Vec<_> = sent.iter().map(|(_, frames)| frames.len() as u64).collect();
        assert_eq!(counts, [full, full, 10]);
    }
}
