//! How much one address, one key and one account may ask for: token buckets, all in memory.
//!
//! The address counts before anything of a request is read, so that a flood does not reach the
//! verifier; key and account count once a signature has held, so that nobody empties another's
//! bucket. Each gateway counts for itself.

mod buckets;
mod settings;
pub mod weights;

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::DefaultClock;
use protocol::AccountId;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::SharedApp;
use crate::auth::PublicKey;
use crate::caller::address_of;
use crate::error::ApiError;

use buckets::Buckets;
pub use settings::{LimitSettings, Quota, RawLimits};

/// Full buckets are forgotten this often; a flood of addresses fills `holders_max` in between.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Networks hand an IPv6 client this many bits of its own.
const IPV6_PREFIX: u32 = 64;

/// Buckets by whom they hold for; `None` where there is no limit.
pub struct Limits {
    addresses: Option<Buckets<IpAddr, DefaultClock>>,
    keys: Option<Buckets<PublicKey, DefaultClock>>,
    accounts: Option<Buckets<AccountId, DefaultClock>>,
}

impl Limits {
    pub fn new(settings: &LimitSettings) -> Self {
        let LimitSettings { address, key, account, holders_max } = *settings;
        Limits {
            addresses: Buckets::new(address, holders_max, DefaultClock::default()),
            keys: Buckets::new(key, holders_max, DefaultClock::default()),
            accounts: Buckets::new(account, holders_max, DefaultClock::default()),
        }
    }

    /// Whether this address may go on.
    pub fn take_of_address(&self, address: IpAddr, weight: u32) -> Result<(), ApiError> {
        take("address", self.addresses.as_ref(), &holder(address), weight)
    }

    /// Whether a key whose signature held may go on, and the account it signs for.
    pub fn take_of_signer(
        &self,
        key: &PublicKey,
        account: AccountId,
        weight: u32,
    ) -> Result<(), ApiError> {
        take("key", self.keys.as_ref(), key, weight)?;
        self.take_of_account(account, weight)
    }

    /// Whether an account may go on that was recognised by anything but a key.
    pub fn take_of_account(&self, account: AccountId, weight: u32) -> Result<(), ApiError> {
        take("account", self.accounts.as_ref(), &account, weight)
    }

    /// Buckets held now, by scope.
    pub fn held(&self) -> [(&'static str, usize); 3] {
        [
            ("address", self.addresses.as_ref().map_or(0, Buckets::len)),
            ("key", self.keys.as_ref().map_or(0, Buckets::len)),
            ("account", self.accounts.as_ref().map_or(0, Buckets::len)),
        ]
    }

    /// Forgets full buckets, again and again until the process ends.
    pub async fn sweep(&self) {
        let mut ticks = interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.addresses.as_ref().inspect(|buckets| buckets.sweep());
            self.keys.as_ref().inspect(|buckets| buckets.sweep());
            self.accounts.as_ref().inspect(|buckets| buckets.sweep());
        }
    }
}

fn take<K: std::hash::Hash + Eq + Clone>(
    scope: &'static str,
    buckets: Option<&Buckets<K, DefaultClock>>,
    holder: &K,
    weight: u32,
) -> Result<(), ApiError> {
    let Some(Err(wait)) = buckets.map(|buckets| buckets.take(holder, weight)) else {
        return Ok(());
    };
    metrics::counter!("gateway_limited_total", "scope" => scope).increment(1);
    Err(ApiError::limited(scope, wait))
}

/// IPv4 in IPv6 clothes is IPv4; of IPv6 a whole network is one holder.
fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() >> (128 - IPV6_PREFIX) << (128 - IPV6_PREFIX);
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

/// Around every route: the address's bucket first, then a deadline for all of the answer. What has
/// an effect runs detached and is not cut short by it.
pub async fn guard(State(app): State<SharedApp>, request: Request, next: Next) -> Response {
    let proxies = &app.http.trusted_proxies;
    if let Some(address) = address_of(request.extensions(), request.headers(), proxies) {
        let weight = weights::of_path(request.uri().path());
        if let Err(limited) = app.limits.take_of_address(address, weight) {
            return limited.into_response();
        }
    }
    match tokio::time::timeout(app.http.request_max, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timeout().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_holder_and_ipv4_is_itself() {
        let holder = |text: &str| super::holder(text.parse().unwrap()).to_string();
        assert_eq!(holder("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(holder("2001:db8:1:2::9"), holder("2001:db8:1:2:ffff::"));
        assert_ne!(holder("2001:db8:1:2::9"), holder("2001:db8:1:3::9"));
        assert_eq!(holder("::ffff:10.0.0.1"), "10.0.0.1");
        assert_eq!(holder("10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn a_key_that_is_through_takes_nothing_of_its_account() {
        let limits = Limits::new(&LimitSettings {
            address: Quota { rate_per_s: 0, burst: 0 },
            key: Quota { rate_per_s: 1, burst: 1 },
            account: Quota { rate_per_s: 1, burst: 2 },
            holders_max: 10,
        });
        let account = AccountId::new(5).unwrap();
        limits.take_of_signer(&[1; 32], account, 1).unwrap();
        let limited = limits.take_of_signer(&[1; 32], account, 1).unwrap_err();
        assert!(limited.message.contains("key"), "{}", limited.message);
        limits.take_of_signer(&[2; 32], account, 1).unwrap();
        let limited = limits.take_of_signer(&[3; 32], account, 1).unwrap_err();
        assert!(limited.message.contains("account"), "{}", limited.message);
        for _ in 0..100 {
            limits.take_of_address([127, 0, 0, 1].into(), 10).unwrap();
        }
        assert_eq!(limits.held(), [("address", 0), ("key", 3), ("account", 1)]);
    }
}
