//! Feeds the maker from Redis, sends what it asks, and survives the loss of both Redis and engine.

use std::time::Duration;

use protocol::query::Answer;
use protocol::{GatewayId, keys};
use service::clock::now_us;
use service::{BackOff, Condition, SharedCatalog};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::{LinkError, MakerError};
use crate::link::{Address, Link, Push};
use crate::maker::Maker;

const PLACE_EVERY: Duration = Duration::from_millis(10);
const HEARTBEAT_EVERY: Duration = Duration::from_millis(250);
const ASK_EVERY: Duration = Duration::from_secs(1);

/// What must hold for the market maker to be ready.
#[derive(Clone, Debug)]
pub struct Conditions {
    pub redis: Condition,
    pub engine: Condition,
    /// Every side of every market can be paid for.
    pub funds: Condition,
}

#[derive(Debug)]
pub struct Runner {
    config: Config,
    listing: SharedCatalog,
    redis_url: String,
    conditions: Conditions,
}

/// Everything that outlives a connection.
struct Session {
    maker: Maker,
    listing: SharedCatalog,
    address: Address,
    gateway: GatewayId,
    replies: String,
    conditions: Conditions,
    stop: CancellationToken,
    /// Set once told to stop.
    drain_until: Option<Instant>,
    drain_max: Duration,
}

impl Runner {
    pub fn new(
        config: Config,
        listing: SharedCatalog,
        redis_url: &str,
        conditions: Conditions,
    ) -> Self {
        Runner { config, listing, redis_url: redis_url.to_owned(), conditions }
    }

    /// Runs until told to stop and everything is cancelled, or `drain_ms_max` has passed.
    pub async fn run(self, stop: CancellationToken) -> Result<(), MakerError> {
        let life = rand::random();
        let seed = self.config.seed.unwrap_or(life);
        tracing::info!(seed, maker = %self.config.maker, "starting");
        let gateway = self.config.gateway;
        let drain_max = self.config.drain_max;
        let markets: Vec<_> = self
            .config
            .markets
            .iter()
            .map(|market| (market.spec.id, market.spec.symbol.clone()))
            .collect();
        let maker = Maker::new(self.config, life, seed);
        let address = Address::new(&self.redis_url, gateway, maker.channels(), markets.into_iter())
            .map_err(MakerError::RedisAddress)?;
        let session = Session {
            maker,
            listing: self.listing,
            address,
            gateway,
            replies: keys::replies(gateway),
            conditions: self.conditions,
            stop,
            drain_until: None,
            drain_max,
        };
        session.run().await;
        Ok(())
    }
}

impl Session {
    async fn run(mut self) {
        let mut back_off = BackOff::new();
        loop {
            match self.address.connect().await {
                Ok(link) => {
                    tracing::info!("redis connected");
                    self.conditions.redis.set(true);
                    back_off = BackOff::new();
                    match self.follow(link).await {
                        Ok(()) => return,
                        Err(error) => tracing::warn!(%error, "connection to redis lost"),
                    }
                    self.conditions.redis.set(false);
                    self.maker.connection_lost();
                }
                Err(error) => tracing::warn!(%error, "could not connect to redis"),
            }
            self.notice_stop();
            if self.drain_until.is_some_and(|until| until <= Instant::now()) {
                tracing::warn!("could not cancel its orders: redis is away");
                return;
            }
            sleep(back_off.step()).await;
        }
    }

    /// `Ok` once there is nothing left to do.
    async fn follow(&mut self, mut link: Link) -> Result<(), LinkError> {
        let mut places = ticks(PLACE_EVERY);
        let mut heartbeats = ticks(HEARTBEAT_EVERY);
        let mut questions = ticks(ASK_EVERY);
        self.maker.hear_heartbeat(link.heartbeat().await?);
        while !self.maker.is_done() {
            if let Some(known) = self.maker.epoch_wanted() {
                let epoch = link.take_epoch(self.gateway, known).await?;
                self.maker.take_epoch(epoch);
            }
            let stop = self.stop.clone();
            let is_draining = self.drain_until.is_some();
            let until = self.drain_until.unwrap_or_else(Instant::now);
            tokio::select! {
                () = stop.cancelled(), if !is_draining => self.notice_stop(),
                () = sleep_until(until), if is_draining => {
                    tracing::warn!("not every order is known to be cancelled");
                    return Ok(());
                }
                push = link.next() => self.hear(&push?),
                _ = places.tick() => {
                    let outgoing = self.maker.act(now_us());
                    link.send(&self.address, &outgoing).await?;
                }
                _ = heartbeats.tick() => {
                    self.maker.hear_heartbeat(link.heartbeat().await?);
                    self.maker.take_terms(&self.listing.get().catalog);
                    self.conditions.engine.set(self.maker.is_engine_there());
                    self.conditions.funds.set(self.maker.is_funded());
                }
                _ = questions.tick() => link.ask(&self.maker.ask(now_us())).await?,
            }
        }
        tracing::info!("every order is cancelled");
        Ok(())
    }

    fn notice_stop(&mut self) {
        if self.stop.is_cancelled() && self.drain_until.is_none() {
            self.drain_until = Some(Instant::now() + self.drain_max);
            self.maker.drain();
        }
    }

    fn hear(&mut self, push: &Push) {
        if push.channel != self.replies {
            self.maker.hear_market(&push.channel, &push.payload);
        } else if push.payload.first() == Some(&b'{') {
            match serde_json::from_slice::<Answer>(&push.payload) {
                Ok(answer) => self.maker.hear_answer(&answer),
                Err(error) => tracing::error!(%error, "an answer is not readable"),
            }
        } else if let Err(error) = self.maker.hear_replies(&push.payload) {
            tracing::error!(%error, "a reply is not readable");
        }
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
