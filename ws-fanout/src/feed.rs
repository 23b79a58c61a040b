//! Redis pub/sub in: listens to the channels the hub wants, reconnects with back-off.
//!
//! What Redis says comes to the hub in Redis's order: the confirmation of a subscription, then all
//! that was published after it. Pub/sub forgets what is published while nobody is connected, so the
//! end of a connection is told as [`FeedEvent::Lost`]; confirmations come anew behind it.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::RedisError;
use service::pubsub::{Heard, Link};
use service::{BackOff, Condition, PubSub};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep};

use crate::error::FeedError;

#[derive(PartialEq, Eq, Debug)]
pub enum FeedEvent {
    /// Whatever is published on the channel from here on comes.
    Subscribed {
        channel: String,
    },
    Message {
        channel: String,
        payload: Vec<u8>,
    },
    /// Messages may be missing from here on, until each channel is confirmed anew.
    Lost,
}

/// Channels, each with a number that differs from one time of wanting it to the next: another one
/// asks for another confirmation.
pub type Wanted = BTreeMap<String, u64>;

/// How often a silent connection is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Feed {
    redis: PubSub,
    wanted: watch::Receiver<Wanted>,
    events: mpsc::Sender<FeedEvent>,
    ready: Condition,
}

impl Feed {
    pub fn new(
        redis_url: &str,
        wanted: watch::Receiver<Wanted>,
        events: mpsc::Sender<FeedEvent>,
        ready: Condition,
    ) -> Result<Self, RedisError> {
        Ok(Feed { redis: PubSub::new(redis_url)?, wanted, events, ready })
    }

    /// Runs until the hub has ended. Safe to drop at any time.
    pub async fn run(mut self) {
        let mut back_off = BackOff::new();
        loop {
            match self.redis.connect().await {
                Ok(link) => {
                    tracing::info!("redis connected");
                    self.ready.set(true);
                    back_off = BackOff::new();
                    let Err(error) = self.follow(link).await;
                    self.ready.set(false);
                    tracing::warn!(%error, "lost redis: what was published meanwhile is asked for");
                    metrics::counter!("fanout_feed_lost_total").increment(1);
                    if self.events.send(FeedEvent::Lost).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "could not connect to redis"),
            }
            sleep(back_off.step()).await;
        }
    }

    /// Passes on what comes until the connection ends.
    async fn follow(&mut self, mut link: Link) -> Result<std::convert::Infallible, FeedError> {
        let mut heard = Wanted::new();
        let mut pings = interval(PING_EVERY);
        self.wanted.mark_changed();
        loop {
            tokio::select! {
                event = link.next() => {
                    let event = match event? {
                        Heard::Subscribed { channel } => FeedEvent::Subscribed { channel },
                        Heard::Message { channel, payload } => {
                            FeedEvent::Message { channel, payload }
                        }
                    };
                    self.events.send(event).await.map_err(|_| FeedError::HubEnded)?;
                }
                changed = self.wanted.changed() => {
                    changed.map_err(|_| FeedError::HubEnded)?;
                    let (added, dropped) = changes(&mut heard, &self.wanted.borrow_and_update());
                    if !added.is_empty() {
                        link.connection().subscribe(&added).await?;
                    }
                    if !dropped.is_empty() {
                        link.connection().unsubscribe(&dropped).await?;
                    }
                }
                _ = pings.tick() => {
                    redis::cmd("PING").exec_async(link.connection()).await?;
                }
            }
        }
    }
}

/// Makes `heard` what is wanted; returns the channels to listen to anew, and those no more to.
fn changes(heard: &mut Wanted, wanted: &Wanted) -> (Vec<String>, Vec<String>) {
    let dropped: Vec<String> =
        heard.keys().filter(|channel| !wanted.contains_key(*channel)).cloned().collect();
    dropped.iter().for_each(|channel| {
        heard.remove(channel);
    });
    let mut added = Vec::new();
    for (channel, number) in wanted {
        if heard.get(channel) != Some(number) {
            heard.insert(channel.clone(), *number);
            added.push(channel.clone());
        }
    }
    (added, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_wanted_anew_is_subscribed_anew() {
        let wanted = |pairs: &[(&str, u64)]| -> Wanted {
            pairs.iter().map(|(channel, number)| ((*channel).to_owned(), *number)).collect()
        };
        let mut heard = wanted(&[("a", 1), ("b", 2), ("c", 3)]);
        let now = wanted(&[("a", 1), ("b", 5), ("d", 4)]);
        let (added, dropped) = changes(&mut heard, &now);
        assert_eq!((added, dropped), (vec!["b".into(), "d".into()], vec!["c".into()]));
        assert_eq!(heard, now);
    }
}
