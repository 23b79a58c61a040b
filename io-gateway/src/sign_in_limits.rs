//! How often an address, and anybody for an e-mail address, may try a password or sign up.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::http::StatusCode;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::error::{ApiError, Code};
use crate::logins::Email;

/// Attempts between two sweeps of what is remembered of others.
const SWEEP_EVERY: u32 = 1_024;

/// How many attempts are taken; as many may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInRates {
    /// A minute, sign-ups too.
    pub per_address: NonZeroU32,
    pub per_email: NonZeroU32,
    /// An hour. The engine has room for so many accounts and no more, so this is the lowest.
    pub sign_ups_per_address: NonZeroU32,
}

#[derive(Debug)]
pub struct SignInLimits {
    addresses: DefaultKeyedRateLimiter<Option<IpAddr>>,
    emails: DefaultKeyedRateLimiter<Email>,
    sign_ups: DefaultKeyedRateLimiter<Option<IpAddr>>,
    attempts: AtomicU32,
}

impl SignInLimits {
    pub fn new(rates: SignInRates) -> Self {
        SignInLimits {
            addresses: RateLimiter::keyed(Quota::per_minute(rates.per_address)),
            emails: RateLimiter::keyed(Quota::per_minute(rates.per_email)),
            sign_ups: RateLimiter::keyed(Quota::per_hour(rates.sign_ups_per_address)),
            attempts: AtomicU32::new(0),
        }
    }

    /// Counts one attempt. An address over its limit costs the e-mail address nothing.
    pub fn admit(&self, address: Option<IpAddr>, email: &Email) -> Result<(), ApiError> {
        if self.attempts.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            self.addresses.retain_recent();
            self.emails.retain_recent();
            self.sign_ups.retain_recent();
        }
        let within = self.addresses.check_key(&address.map(network)).is_ok()
            && self.emails.check_key(email).is_ok();
        if within { Ok(()) } else { Err(limited()) }
    }

    /// Counts one account that is about to be opened.
    pub fn admit_sign_up(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        self.sign_ups.check_key(&address.map(network)).map_err(|_| limited())
    }
}

fn limited() -> ApiError {
    metrics::counter!("gateway_sign_ins_limited_total").increment(1);
    ApiError::new(Code::TooManyRequests, "Too many attempts, try again later")
        .with_status(StatusCode::TOO_MANY_REQUESTS)
}

/// One subscriber has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_and_each_email_has_its_own_limit() {
        let rate = |rate| NonZeroU32::new(rate).unwrap();
        let limits = SignInLimits::new(SignInRates {
            per_address: rate(4),
            per_email: rate(3),
            sign_ups_per_address: rate(2),
        });
        let attempt = |address: &str, email: &str| {
            limits.admit(Some(address.parse().unwrap()), &Email::parse(email).unwrap())
        };
        for _ in 0..3 {
            attempt("10.0.0.1", "ann@example.org").unwrap();
        }
        let error = attempt("10.0.0.2", "Ann@example.org").unwrap_err();
        assert_eq!((error.code, error.status.as_u16()), (Code::TooManyRequests, 429));
        attempt("10.0.0.1", "bob@example.org").unwrap();
        assert!(attempt("10.0.0.1", "bob@example.org").is_err(), "this address had its four");
        attempt("10.0.0.2", "bob@example.org").unwrap();
        for last in 0..4 {
            attempt(&format!("2001:db8::{last}"), &format!("c{last}@example.org")).unwrap();
        }
        assert!(attempt("2001:db8::5", "d@example.org").is_err(), "one network, one limit");
        let sign_up = |address: &str| limits.admit_sign_up(Some(address.parse().unwrap()));
        assert!(sign_up("10.0.0.1").is_ok() && sign_up("10.0.0.1").is_ok());
        assert!(sign_up("10.0.0.1").is_err() && sign_up("10.0.0.2").is_ok());
    }
}
