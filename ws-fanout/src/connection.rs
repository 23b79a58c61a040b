//! One socket: what its client asks, what its outbox holds, its pings and its end.

use std::collections::HashSet;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::{SinkExt, StreamExt};
use service::SharedCatalog;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::ConnectionConfig;
use crate::outbox::{CloseReason, Outbox};
use crate::requests::{self, Request, RequestError};
use crate::stream_name::StreamName;
use crate::topics::{HubCommand, SocketId};

/// Frames written before the socket is flushed.
const BATCH_MAX: usize = 64;

/// What all connections share.
#[derive(Clone, Debug)]
pub struct Shared {
    pub config: ConnectionConfig,
    pub listing: SharedCatalog,
    pub hub: mpsc::Sender<HubCommand>,
    pub stop: CancellationToken,
    /// How long the Close of a shutdown may take.
    pub drain_max: Duration,
}

enum End {
    /// By us.
    Close(CloseReason),
    /// By the client, or the network.
    Gone,
}

pub struct Connection {
    id: SocketId,
    socket: WebSocket,
    shared: Shared,
    outbox: Outbox,
    frames: mpsc::Receiver<Utf8Bytes>,
    streams: HashSet<StreamName>,
    pong_at: Instant,
    allowance: Allowance,
}

impl Connection {
    pub fn new(id: SocketId, socket: WebSocket, shared: Shared) -> Self {
        let config = shared.config;
        let (outbox, frames) = Outbox::new(config.outbox_frames_max, config.outbox_bytes_max);
        let allowance = Allowance::new(config.requests_per_s_max, Instant::now());
        let (streams, pong_at) = (HashSet::new(), Instant::now());
        Connection { id, socket, shared, outbox, frames, streams, pong_at, allowance }
    }

    pub async fn run(mut self) {
        let end = match self.serve().await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        let streams: Vec<StreamName> = self.streams.drain().collect();
        if !streams.is_empty() {
            let leave = HubCommand::Unsubscribe { socket: self.id, streams };
            if self.shared.hub.send(leave).await.is_err() {
                tracing::debug!("the hub ended before its connections");
            }
        }
        let (reason, patience) = match end {
            End::Gone => (None, self.shared.config.close_max),
            End::Close(CloseReason::Shutdown) => {
                (Some(CloseReason::Shutdown), self.shared.drain_max)
            }
            End::Close(reason) => (Some(reason), self.shared.config.close_max),
        };
        if timeout(patience, farewell(&mut self.socket, reason)).await.is_err() {
            tracing::debug!(socket = self.id.0, "a client did not answer its Close");
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        let every = self.shared.config.ping_every;
        let mut pings = interval_at(Instant::now() + every, every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            tokio::select! {
                () = self.shared.stop.cancelled() => {
                    return Err(End::Close(CloseReason::Shutdown));
                }
                reason = self.outbox.closed() => return Err(End::Close(reason)),
                message = self.socket.next() => self.take(message).await?,
                _ = self.frames.recv_many(&mut batch, BATCH_MAX) => {
                    let bytes = batch.iter().map(|frame: &Utf8Bytes| frame.as_str().len()).sum();
                    self.write(batch.drain(..).map(Message::Text)).await?;
                    self.outbox.release(bytes);
                }
                _ = pings.tick() => {
                    if self.shared.config.pong_max <= self.pong_at.elapsed() {
                        return Err(End::Close(CloseReason::NoPong));
                    }
                    self.write([Message::Ping(Bytes::new())].into_iter()).await?;
                }
            }
        }
    }

    async fn take(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        match message {
            None => Err(End::Gone),
            Some(Err(error)) => Err(end_of(&error)),
            Some(Ok(Message::Text(text))) => self.obey(&text).await,
            Some(Ok(Message::Binary(_))) => self.tell(RequestError::Parse).await,
            Some(Ok(Message::Pong(_))) => {
                self.pong_at = Instant::now();
                Ok(())
            }
            // The library answers pings. Its reply goes out with the next flush, so flush.
            Some(Ok(Message::Ping(_))) => self.write(std::iter::empty()).await,
            Some(Ok(Message::Close(_))) => Err(End::Gone),
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), End> {
        if !self.allowance.take(Instant::now()) {
            return Err(End::Close(CloseReason::TooManyRequests));
        }
        let command = match requests::parse(text, &self.shared.listing.get().catalog) {
            Err(error) => return self.tell(error).await,
            Ok(Request::Subscribe(mut streams)) => {
                streams.retain(|stream| self.streams.insert(*stream));
                if self.shared.config.streams_max < self.streams.len() {
                    return Err(End::Close(CloseReason::TooManyStreams));
                }
                let outbox = self.outbox.clone();
                HubCommand::Subscribe { socket: self.id, outbox, streams }
            }
            Ok(Request::Unsubscribe(mut streams)) => {
                streams.retain(|stream| self.streams.remove(stream));
                HubCommand::Unsubscribe { socket: self.id, streams }
            }
        };
        // The hub never waits for a connection, so this wait is short.
        self.shared.hub.send(command).await.map_err(|_| End::Close(CloseReason::Shutdown))
    }

    async fn tell(&mut self, error: RequestError) -> Result<(), End> {
        let frame = Message::Text(Utf8Bytes::from_static(error.frame()));
        self.write([frame].into_iter()).await
    }

    /// Gives up as soon as the socket is closed by the hub or the process is told to stop.
    async fn write(&mut self, messages: impl Iterator<Item = Message>) -> Result<(), End> {
        let socket = &mut self.socket;
        let write = async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        };
        tokio::select! {
            // Waiting longer than for a pong, on a client that takes nothing, is pointless.
            written = timeout(self.shared.config.pong_max, write) => match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(End::Gone),
                Err(_) => Err(End::Close(CloseReason::NoPong)),
            },
            reason = self.outbox.closed() => Err(End::Close(reason)),
            () = self.shared.stop.cancelled() => Err(End::Close(CloseReason::Shutdown)),
        }
    }
}

/// Sends Close if there is a reason, then reads until the client has closed too.
async fn farewell(socket: &mut WebSocket, reason: Option<CloseReason>) {
    if let Some(reason) = reason {
        let frame = CloseFrame { code: reason.code(), reason: Utf8Bytes::from(reason.text()) };
        if socket.send(Message::Close(Some(frame))).await.is_err() {
            return;
        }
    }
    while let Some(Ok(_)) = socket.next().await {}
}

/// A message above the bound is answered with a code of its own.
fn end_of(error: &axum::Error) -> End {
    if error.to_string().contains("too long") || error.to_string().contains("too big") {
        return End::Close(CloseReason::MessageTooBig);
    }
    End::Gone
}

/// Requests left in the running second.
struct Allowance {
    per_s: u32,
    left: u32,
    since: Instant,
}

impl Allowance {
    fn new(per_s: u32, now: Instant) -> Self {
        Allowance { per_s, left: per_s, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        if Duration::from_secs(1) <= now.duration_since(self.since) {
            (self.left, self.since) = (self.per_s, now);
        }
        let enough = 0 < self.left;
        self.left = self.left.saturating_sub(1);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_renewed_every_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(2, start);
        assert!(allowance.take(start) && allowance.take(start) && !allowance.take(start));
        assert!(allowance.take(start + Duration::from_secs(1)));
    }
}
