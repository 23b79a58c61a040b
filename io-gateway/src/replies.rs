//! What comes back from the engine: frames that decide on commands, answers to queries.

use protocol::query::Answer;
use protocol::{Closed, Command, Event, Frame, Outcome, Sequence, Trade, Withdrawn};

use crate::link::EngineLink;
use crate::outstanding::Met;

/// Begins the JSON text of an answer; a frame begins otherwise.
const JSON_OBJECT: u8 = b'{';

/// What the engine decided on one command of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    pub sequence: Sequence,
    pub command: Command,
    pub outcome: Outcome,
    /// The command's own trades, in order.
    pub trades: Vec<Trade>,
    /// Orders that left the book without trading.
    pub closed: Vec<Closed>,
    /// Orders that waited for a trigger, and do so no more or otherwise.
    pub withdrawn: Vec<Withdrawn>,
}

impl From<&Frame<'_>> for Decision {
    fn from(frame: &Frame<'_>) -> Self {
        let mut decision = Decision {
            sequence: frame.header.sequence,
            command: frame.command,
            outcome: frame.header.outcome,
            trades: Vec::new(),
            closed: Vec::new(),
            withdrawn: Vec::new(),
        };
        for event in frame.events() {
            match event {
                Event::Trade(trade) => decision.trades.push(trade),
                Event::Closed(closed) => decision.closed.push(closed),
                Event::Withdrawn(withdrawn) => decision.withdrawn.push(withdrawn),
            }
        }
        decision
    }
}

/// Hands one message to whoever in this life of the process waits for it.
pub(crate) fn dispatch(link: &EngineLink, payload: &[u8]) {
    if payload.first() == Some(&JSON_OBJECT) {
        return match serde_json::from_slice::<Answer>(payload) {
            Ok(answer) if answer.life != link.life() => unmatched("life"),
            Ok(answer) => {
                if !link.answers.resolve(answer.id, answer) {
                    unmatched("answer");
                }
            }
            Err(error) => {
                tracing::error!(%error, "an answer of the engine cannot be read");
                unmatched("unreadable");
            }
        };
    }
    for frame in Frame::each_of(payload) {
        match frame {
            Ok(frame) => decided(link, &frame),
            Err(error) => {
                let bytes = payload.len();
                tracing::error!(%error, bytes, "a frame of the engine cannot be read");
                unmatched("unreadable");
            }
        }
    }
}

fn decided(link: &EngineLink, frame: &Frame<'_>) {
    // Even a frame of an earlier life is a write that a client of ours may want to read.
    if frame.is_effective() {
        link.note_seen(frame.header.sequence);
    }
    link.note_reached(frame.command.market(), frame.header.cursor);
    let origin = frame.command.origin;
    if origin.gateway != link.gateway() {
        return unmatched("gateway");
    }
    match link.outstanding.resolve(Decision::from(frame)) {
        Met::Waiter => (),
        Met::Nobody => unmatched("decision"),
        Met::OtherCommand => {
            let (epoch, number) = (origin.epoch, origin.sequence);
            tracing::error!(epoch, number, "the engine knows another command by our name");
            link.epochs.doubt("its names are used by another");
            unmatched("command");
        }
    }
}

fn unmatched(kind: &'static str) {
    metrics::counter!("gateway_replies_unmatched_total", "kind" => kind).increment(1);
}
