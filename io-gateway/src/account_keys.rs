//! The keys of an account, as its owner lists, adds and revokes them.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use protocol::AccountId;
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::auth::{self, PublicKey};
use crate::error::{ApiError, Code};
use crate::keys::{ApiKey, KeyCache, KeyLimits, key_taken};
use crate::logins::unavailable;

/// Keys of one account that may sign at a time.
const KEYS_MAX: i64 = 50;

/// A key with what its owner knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountKey {
    pub public_key: PublicKey,
    pub label: Option<String>,
    pub limits: KeyLimits,
    pub created_at: DateTime<Utc>,
}

impl KeyCache {
    /// Those that may sign, the oldest first.
    pub async fn of_account(&self, account: AccountId) -> Result<Vec<AccountKey>, ApiError> {
        let rows = sqlx::query(
            "SELECT public_key, label, read_only, allowed_addresses, created_at FROM api_keys \
             WHERE account_id = $1 AND disabled_at IS NULL ORDER BY created_at, public_key",
        )
        .bind(i64::from(account.get()))
        .fetch_all(&self.pool)
        .await
        .map_err(|error| unavailable(&error))?;
        rows.iter().map(read).collect()
    }

    /// Adds a key with its limits; the same again changes nothing. Errors: PreconditionFailed when
    /// the account has [`KEYS_MAX`], or the key is registered in another way.
    pub async fn add(
        &self,
        account: AccountId,
        public_key: PublicKey,
        label: &str,
        limits: KeyLimits,
    ) -> Result<AccountKey, ApiError> {
        let verifying = auth::verifying_key(&public_key)?;
        let id = i64::from(account.get());
        let addresses: Vec<String> =
            limits.allowed_addresses.iter().map(IpAddr::to_string).collect();
        let mut transaction = self.pool.begin().await.map_err(|error| unavailable(&error))?;
        // Two at a time must not both be the last that fits.
        sqlx::query("SELECT id FROM accounts WHERE id = $1 FOR UPDATE")
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(|error| unavailable(&error))?;
        let active: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM api_keys \
             WHERE account_id = $1 AND disabled_at IS NULL AND public_key <> $2",
        )
        .bind(id)
        .bind(&public_key[..])
        .fetch_one(&mut *transaction)
        .await
        .map_err(|error| unavailable(&error))?;
        if KEYS_MAX <= active {
            let message = format!("The account has {KEYS_MAX} keys; revoke one first");
            return Err(ApiError::new(Code::PreconditionFailed, message));
        }
        sqlx::query(
            "INSERT INTO api_keys (public_key, account_id, label, read_only, allowed_addresses) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (public_key) DO NOTHING",
        )
        .bind(&public_key[..])
        .bind(id)
        .bind(label)
        .bind(limits.read_only)
        .bind(&addresses)
        .execute(&mut *transaction)
        .await
        .map_err(|error| unavailable(&error))?;
        let row = sqlx::query(
            "SELECT public_key, label, read_only, allowed_addresses, created_at FROM api_keys \
             WHERE public_key = $1 AND account_id = $2 AND disabled_at IS NULL",
        )
        .bind(&public_key[..])
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(|error| unavailable(&error))?;
        transaction.commit().await.map_err(|error| unavailable(&error))?;
        let key = row.as_ref().map(read).transpose()?.filter(|key| key.limits == limits);
        let key = key.ok_or_else(key_taken)?;
        self.insert(public_key, ApiKey { account, verifying, limits });
        Ok(key)
    }

    /// The key signs nothing any more, here at once and on every other gateway within a second.
    pub async fn revoke(&self, account: AccountId, public_key: PublicKey) -> Result<(), ApiError> {
        let revoked = sqlx::query(
            "UPDATE api_keys SET disabled_at = now(), changed_at = now() \
             WHERE public_key = $1 AND account_id = $2 AND disabled_at IS NULL",
        )
        .bind(&public_key[..])
        .bind(i64::from(account.get()))
        .execute(&self.pool)
        .await
        .map_err(|error| unavailable(&error))?;
        if revoked.rows_affected() == 0 {
            return Err(ApiError::not_found());
        }
        self.forget(&public_key);
        Ok(())
    }
}

fn read(row: &PgRow) -> Result<AccountKey, ApiError> {
    let public_key: Vec<u8> = row.try_get(0).map_err(ApiError::bug)?;
    let addresses: Vec<String> = row.try_get(3).map_err(ApiError::bug)?;
    let addresses: Result<_, _> = addresses.iter().map(|text| text.parse::<IpAddr>()).collect();
    Ok(AccountKey {
        public_key: public_key.try_into().map_err(|_| ApiError::bug("a key of no 32 bytes"))?,
        label: row.try_get(1).map_err(ApiError::bug)?,
        limits: KeyLimits {
            read_only: row.try_get(2).map_err(ApiError::bug)?,
            allowed_addresses: addresses.map_err(ApiError::bug)?,
        },
        created_at: row.try_get(4).map_err(ApiError::bug)?,
    })
}
