//! Demo funds: a fixed amount of an asset, once an account and day (UTC).
//!
//! The engine credits once per transfer id, and the id follows from account, asset and day; so
//! nothing is given twice, whatever fails. The table only tells a repetition whose first answer was
//! lost from a second visit.

use std::collections::BTreeMap;

use protocol::{AccountId, AssetId, Transfer, TransferId, Units};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::error::ApiError;
use crate::logins::unavailable;

const DAY_S: u64 = 86_400;

#[derive(Clone, Debug)]
pub struct Faucet {
    pool: PgPool,
    amounts: BTreeMap<AssetId, Units>,
}

/// What an account gets of an asset on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub account: AccountId,
    pub asset: AssetId,
    pub units: Units,
    /// Since the epoch.
    day: u64,
}

impl Grant {
    /// No text has these bytes, so no transfer of the administration has this id.
    pub fn transfer(self) -> Transfer {
        let Grant { account, asset, units, day } = self;
        let text = format!("faucet {account} {} {day}", asset.0);
        let digest = Sha256::new().chain_update([0xff]).chain_update(text).finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Transfer { account, asset, units, id: TransferId(u128::from_le_bytes(id)) }
    }
}

/// Whether a grant had been written down before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    First,
    Again,
}

impl Faucet {
    pub fn new(pool: PgPool, amounts: BTreeMap<AssetId, Units>) -> Self {
        Faucet { pool, amounts }
    }

    pub fn is_on(&self) -> bool {
        !self.amounts.is_empty()
    }

    /// `None` for an asset that is not given away.
    pub fn grant(&self, account: AccountId, asset: AssetId, now_ms: u64) -> Option<Grant> {
        let units = *self.amounts.get(&asset)?;
        Some(Grant { account, asset, units, day: now_ms / 1000 / DAY_S })
    }

    /// Writes down that a grant was credited.
    pub async fn note(&self, grant: Grant) -> Result<Visit, ApiError> {
        let written = sqlx::query(
            "INSERT INTO faucet_grants (account_id, asset_id, day) \
             VALUES ($1, $2, DATE '1970-01-01' + $3) ON CONFLICT DO NOTHING",
        )
        .bind(i64::from(grant.account.get()))
        .bind(i32::from(grant.asset.0))
        .bind(i32::try_from(grant.day).map_err(ApiError::bug)?)
        .execute(&self.pool)
        .await
        .map_err(|error| unavailable(&error))?;
        Ok(if written.rows_affected() == 0 { Visit::Again } else { Visit::First })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_account_asset_and_day_has_its_own_transfer() {
        let account = |id| AccountId::new(id).unwrap();
        let grant = |id, asset, day| {
            Grant { account: account(id), asset: AssetId(asset), units: Units(5), day }
                .transfer()
                .id
        };
        let ids = [grant(1, 2, 3), grant(1, 2, 4), grant(1, 3, 3), grant(2, 2, 3), grant(12, 2, 3)];
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(grant(1, 2, 3), grant(1, 2, 3), "repeated, it is the same");
    }
}
