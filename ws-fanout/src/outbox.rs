//! What waits to be written to one socket: bounded in frames and in bytes, filled without waiting.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::ws::{Utf8Bytes, close_code};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Why the server ends a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// It reads more slowly than its streams speak.
    Lagging,
    /// A frame of a stream it hears is missing.
    Gap,
    TooManyStreams,
    TooManyRequests,
    NoPong,
    MessageTooBig,
    Shutdown,
}

impl CloseReason {
    pub const fn code(self) -> u16 {
        match self {
            CloseReason::Lagging
            | CloseReason::TooManyStreams
            | CloseReason::TooManyRequests
            | CloseReason::NoPong => close_code::POLICY,
            CloseReason::Gap => close_code::AGAIN,
            CloseReason::MessageTooBig => close_code::SIZE,
            CloseReason::Shutdown => close_code::AWAY,
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            CloseReason::Lagging => "reading too slowly",
            CloseReason::Gap => "stream interrupted, subscribe again",
            CloseReason::TooManyStreams => "too many streams",
            CloseReason::TooManyRequests => "too many requests",
            CloseReason::NoPong => "no pong",
            CloseReason::MessageTooBig => "message too big",
            CloseReason::Shutdown => "going away",
        }
    }
}

#[derive(Debug)]
struct State {
    bytes: AtomicUsize,
    bytes_max: usize,
    reason: OnceLock<CloseReason>,
    closing: CancellationToken,
}

/// The filling end, cheap to copy; the draining end is the receiver made with it.
#[derive(Clone, Debug)]
pub struct Outbox {
    frames: mpsc::Sender<Utf8Bytes>,
    state: Arc<State>,
}

impl Outbox {
    pub fn new(frames_max: usize, bytes_max: usize) -> (Outbox, mpsc::Receiver<Utf8Bytes>) {
        let (frames, receiver) = mpsc::channel(frames_max);
        let state = State {
            bytes: AtomicUsize::new(0),
            bytes_max,
            reason: OnceLock::new(),
            closing: CancellationToken::new(),
        };
        (Outbox { frames, state: Arc::new(state) }, receiver)
    }

    /// Puts a frame in, or closes the socket when it does not fit. `false`: no frame will ever fit
    /// again.
    pub fn offer(&self, frame: &Utf8Bytes) -> bool {
        if self.state.closing.is_cancelled() {
            return false;
        }
        let length = frame.as_str().len();
        // Relaxed: a counter alone; the frames themselves travel through the channel.
        let held = self.state.bytes.fetch_add(length, Ordering::Relaxed);
        let fits = held.saturating_add(length) <= self.state.bytes_max;
        if fits && self.frames.try_send(frame.clone()).is_ok() {
            return true;
        }
        self.close(CloseReason::Lagging);
        false
    }

    /// To be called once `bytes` of frames taken from the receiver are written.
    pub fn release(&self, bytes: usize) {
        self.state.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Ends the socket; the first reason stands.
    pub fn close(&self, reason: CloseReason) {
        if self.state.reason.set(reason).is_ok() && reason == CloseReason::Lagging {
            metrics::counter!("fanout_closed_lagging_total").increment(1);
        }
        self.state.closing.cancel();
    }

    /// Cancel safe: waits for a flag.
    pub async fn closed(&self) -> CloseReason {
        self.state.closing.cancelled().await;
        self.state.reason.get().copied().unwrap_or(CloseReason::Shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_outbox_closes_its_socket_and_takes_no_more() {
        let (outbox, mut receiver) = Outbox::new(2, 1000);
        let frame = Utf8Bytes::from("x");
        assert!(outbox.offer(&frame) && outbox.offer(&frame));
        assert!(!outbox.offer(&frame));
        assert_eq!(outbox.closed().await, CloseReason::Lagging);
        assert!(receiver.recv().await.is_some());
        assert!(!outbox.offer(&frame));
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_given_back_once_written() {
        let (outbox, mut receiver) = Outbox::new(100, 10);
        let frame = Utf8Bytes::from("12345");
        assert!(outbox.offer(&frame) && outbox.offer(&frame));
        outbox.release(receiver.recv().await.unwrap().as_str().len());
        assert!(outbox.offer(&frame));
        assert!(!outbox.offer(&frame));
        outbox.close(CloseReason::Gap);
        assert_eq!(outbox.closed().await, CloseReason::Lagging);
    }
}
