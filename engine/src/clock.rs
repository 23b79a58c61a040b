//! The engine's only clock: what is decided knows no time but what the ingress has read here.

use std::sync::atomic::{AtomicU64, Ordering};

use protocol::{Action, Command, TriggerPlace};
pub use service::clock::now_us;

const US_PER_MS: u64 = 1000;
/// Of a bound in six bytes, in milliseconds.
const MS_MAX: u64 = (1 << 48) - 1;
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
        match &mut command.action {
            Action::Place(place) => self.move_bound(&mut place.valid_until_us),
            // Their records have room for milliseconds: decided by what will be written.
            Action::PlaceTrigger(TriggerPlace { place, .. }) => {
                self.move_bound(&mut place.valid_until_us);
                round_up(&mut place.valid_until_us);
            }
            Action::Amend(amend) => {
                self.move_bound(&mut amend.valid_until_us);
                round_up(&mut amend.valid_until_us);
            }
            _ => (),
        }
    }

    fn move_bound(self, valid_until_us: &mut u64) {
        if *valid_until_us != 0 {
            *valid_until_us = valid_until_us.saturating_add(self.ahead_us);
        }
    }
}

/// To a whole millisecond, at most the latest that a record can say.
fn round_up(valid_until_us: &mut u64) {
    let milliseconds = valid_until_us.div_ceil(US_PER_MS).min(MS_MAX);
    *valid_until_us = milliseconds * US_PER_MS;
}

#[cfg(test)]
mod tests {
    use protocol::{
        AccountId, Amend, ClientId, GatewayId, Lots, MarketId, OrderKind, Origin, Place,
        SelfTradePrevention, Side, Target, TimeInForce, Trigger, TriggerBy, fixture,
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

    #[test]
    fn a_bound_in_milliseconds_is_the_one_that_its_record_says() {
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: 1 };
        let trigger = Trigger { price: fixture::price(5), by: TriggerBy::Unsaid };
        for (ahead_us, until) in [(0, 0), (0, 1_000_000), (7, 1_000_000), (1, u64::MAX - 5)] {
            let stamp = Stamp { time_us: 9, ahead_us };
            let place = Place { valid_until_us: until, ..place() };
            let amend = Amend {
                market: MarketId(1),
                account: AccountId::new(1).unwrap(),
                target: Target::Client(ClientId(1)),
                price: None,
                lots: Some(Lots(1)),
                valid_until_us: until,
            };
            let actions =
                [Action::PlaceTrigger(TriggerPlace { place, trigger }), Action::Amend(amend)];
            for action in actions {
                let mut command = Command { origin, time_us: 0, action };
                stamp.put_on(&mut command);
                assert_eq!(Command::decode(&command.encode()), Ok(command), "{until}");
            }
        }
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
