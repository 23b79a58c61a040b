//! `[gateway.limits]` of exchange.toml.

use serde::Deserialize;

use crate::error::GatewayError;

/// As written. The defaults are those of exchange.toml, which gives the reasons.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    address_rate_per_s: u32,
    address_burst: u32,
    key_rate_per_s: u32,
    key_burst: u32,
    account_rate_per_s: u32,
    account_burst: u32,
    holders_max: usize,
}

impl Default for RawLimits {
    fn default() -> Self {
        RawLimits {
            address_rate_per_s: 10_000,
            address_burst: 20_000,
            key_rate_per_s: 2_000,
            key_burst: 4_000,
            account_rate_per_s: 4_000,
            account_burst: 8_000,
            holders_max: 100_000,
        }
    }
}

/// Tokens a second, and how many a bucket holds. Either 0: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    pub rate_per_s: u32,
    pub burst: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitSettings {
    pub address: Quota,
    pub key: Quota,
    pub account: Quota,
    /// Buckets of each kind in memory.
    pub holders_max: usize,
}

const TOKENS_MAX: u32 = 1_000_000;
const HOLDERS_MAX: usize = 10_000_000;

impl RawLimits {
    pub fn check(&self) -> Result<LimitSettings, GatewayError> {
        let quota = |key: &'static str, rate_per_s: u32, burst: u32| {
            let rule = "must be 0 to 1000000, and 0 only together with its rate or burst";
            let one_is_off = (rate_per_s == 0) != (burst == 0);
            if TOKENS_MAX < rate_per_s.max(burst) || one_is_off {
                return Err(GatewayError::Setting { key, rule });
            }
            Ok(Quota { rate_per_s, burst })
        };
        if !(1..=HOLDERS_MAX).contains(&self.holders_max) {
            let (key, rule) = ("limits.holders_max", "must be 1 to 10000000");
            return Err(GatewayError::Setting { key, rule });
        }
        Ok(LimitSettings {
            address: quota(
                "limits.address_rate_per_s, limits.address_burst",
                self.address_rate_per_s,
                self.address_burst,
            )?,
            key: quota(
                "limits.key_rate_per_s, limits.key_burst",
                self.key_rate_per_s,
                self.key_burst,
            )?,
            account: quota(
                "limits.account_rate_per_s, limits.account_burst",
                self.account_rate_per_s,
                self.account_burst,
            )?,
            holders_max: self.holders_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_off_only_as_a_whole() {
        let limits = RawLimits::default().check().unwrap();
        assert_eq!(limits.key, Quota { rate_per_s: 2_000, burst: 4_000 });
        let off = RawLimits { key_rate_per_s: 0, key_burst: 0, ..RawLimits::default() };
        assert_eq!(off.check().unwrap().key, Quota { rate_per_s: 0, burst: 0 });
        for wrong in [
            RawLimits { key_rate_per_s: 0, ..RawLimits::default() },
            RawLimits { account_burst: 0, ..RawLimits::default() },
            RawLimits { address_burst: TOKENS_MAX + 1, ..RawLimits::default() },
            RawLimits { holders_max: 0, ..RawLimits::default() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
