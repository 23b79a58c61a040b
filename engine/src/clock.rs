//! The engine's only clock: what is decided knows no time but what the ingress has read here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::{Action, Command};

/// Microseconds since the epoch.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

const AHEAD_US_REMARKABLE: u64 = 1_000_000;

/// Wall clock that never runs backwards, not even across a restart.
#[derive(Debug)]
pub struct Clock {
    latest_us: AtomicU64,
}

impl Clock {
    /// `latest_us` is the time of the last command before this life of the engine.
    pub fn after(latest_us: u64) -> Clock {
        let ahead_us = latest_us.saturating_sub(now_us());
        if AHEAD_US_REMARKABLE < ahead_us {
            tracing::warn!(
                ahead_us,
                "the wall clock ran backwards: time stands until it is reached"
            );
        }
        Clock { latest_us: AtomicU64::new(latest_us) }
    }

    /// Now, but never before what any thread has been told already.
    pub fn stamp(&self) -> Stamp {
        let now = now_us();
        let time_us = self.latest_us.fetch_max(now, Ordering::Relaxed).max(now);
        Stamp { time_us, ahead_us: time_us - now }
    }
}

/// A moment of the engine's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub time_us: u64,
    /// How far it is ahead of a wall clock that was set back.
    ahead_us: u64,
}

impl Stamp {
    /// The bound that a sender gave an order is of the wall clock: it moves with the engine's time,
    /// or every order would come too late until the wall clock has caught up.
    pub fn put_on(self, command: &mut Command) {
        command.time_us = self.time_us;
        if let Action::Place(place) = &mut command.action
            && place.valid_until_us != 0
        {
            place.valid_until_us = place.valid_until_us.saturating_add(self.ahead_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::{
        AccountId, GatewayId, Lots, MarketId, OrderKind, Origin, Place, SelfTradePrevention, Side,
        TimeInForce,
    };

    use super::*;

    #[test]
    fn time_goes_on_from_the_last_command_when_the_wall_clock_is_behind() {
        let tomorrow = now_us() + 86_400_000_000;
        assert_eq!(Clock::after(tomorrow).stamp().time_us, tomorrow);
        let clock = Clock::after(0);
        let first = clock.stamp().time_us;
        assert!(now_us() - first < 60_000_000);
        assert!(first <= clock.stamp().time_us);
    }

    /// What is left of an order's time, by the engine's, when its sender gives it `given_us`.
    fn left_us(stamp: Stamp, given_us: i64) -> i64 {
        let sent = now_us().saturating_add_signed(given_us);
        let mut place = place();
        place.valid_until_us = sent;
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: 1 };
        let mut command = Command { origin, time_us: 0, action: Action::Place(place) };
        stamp.put_on(&mut command);
        let Action::Place(place) = command.action else { unreachable!() };
        place.valid_until_us.cast_signed() - command.time_us.cast_signed()
    }

    #[test]
    fn an_order_is_in_time_by_the_wall_clock_also_while_time_stands() {
        const HOUR_US: u64 = 3_600_000_000;
        for latest_us in [0, now_us() + HOUR_US] {
            let stamp = Clock::after(latest_us).stamp();
            let left = left_us(stamp, 60_000_000);
            assert!((30_000_000..=90_000_000).contains(&left), "{left}");
            assert!(left_us(stamp, -60_000_000) < 0, "and too late by it");
        }
    }

    #[test]
    fn an_order_without_a_bound_gets_none() {
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: 1 };
        let mut command = Command { origin, time_us: 0, action: Action::Place(place()) };
        Clock::after(u64::MAX / 2).stamp().put_on(&mut command);
        assert!(matches!(command.action, Action::Place(place) if place.valid_until_us == 0));
    }

    fn place() -> Place {
        Place {
            market: MarketId(1),
            account: AccountId::new(1).unwrap(),
            side: Side::Bid,
            kind: OrderKind::MarketByLots { lots: Lots(1) },
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            client_id: None,
            valid_until_us: 0,
        }
    }
}
