//! API keys: PostgreSQL owns them, a copy in memory answers.
//!
//! The copy is filled at start, follows changes every second, and is asked first; so trading goes
//! on when the database is away, and only keys never seen before have to wait for it.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::VerifyingKey;
use protocol::AccountId;
use sqlx::{PgPool, Row};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::auth::{self, PublicKey};
use crate::error::{ApiError, Code};

const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Rows of one page while following.
const PAGE_ROWS_MAX: i64 = 5_000;
/// A transaction may become visible this long after the time it wrote.
const OVERLAP: TimeDelta = TimeDelta::seconds(5);
/// Look-ups of unknown keys at a time: a flood of them must not take every connection.
const LOOKUPS_MAX: usize = 3;
/// How long one more look-up waits for its turn before it is turned away.
const LOOKUP_WAIT_MAX: Duration = Duration::from_secs(1);

/// A key that may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    pub account: AccountId,
    pub verifying: VerifyingKey,
}

#[derive(Debug)]
pub struct KeyCache {
    pool: PgPool,
    keys: RwLock<HashMap<PublicKey, ApiKey>>,
    lookups: Semaphore,
}

/// One row as the database has it.
struct KeyRow {
    public_key: PublicKey,
    /// `None` when the key is disabled.
    key: Option<ApiKey>,
    changed_at: DateTime<Utc>,
}

impl KeyCache {
    pub fn new(pool: PgPool) -> Self {
        let keys = RwLock::default();
        KeyCache { pool, keys, lookups: Semaphore::new(LOOKUPS_MAX) }
    }

    /// The account that signs with `public_key`.
    pub async fn get(&self, public_key: &PublicKey) -> Result<ApiKey, ApiError> {
        if let Some(key) = self.cached(public_key) {
            return Ok(key);
        }
        let Ok(Ok(_permit)) = timeout(LOOKUP_WAIT_MAX, self.lookups.acquire()).await else {
            return Err(ApiError::maintenance("This key cannot be looked up now"));
        };
        metrics::counter!("gateway_key_lookups_total").increment(1);
        let row = sqlx::query(
            "SELECT public_key, account_id, disabled_at, changed_at FROM api_keys \
             WHERE public_key = $1",
        )
        .bind(&public_key[..])
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| {
            ApiError::maintenance("This key cannot be looked up now").because(error)
        })?;
        let row = row.as_ref().and_then(read);
        let key = row.and_then(|row| row.key).ok_or_else(auth::unknown_key)?;
        self.insert(*public_key, key.clone());
        Ok(key)
    }

    fn cached(&self, public_key: &PublicKey) -> Option<ApiKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(public_key).cloned()
    }

    pub fn insert(&self, public_key: PublicKey, key: ApiKey) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(public_key, key);
    }

    pub fn len(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Registers a key for an account the engine has. The same again changes nothing; a key of
    /// another account, or one that was disabled, is refused.
    pub async fn register(
        &self,
        public_key: PublicKey,
        account: AccountId,
        label: Option<&str>,
    ) -> Result<(), ApiError> {
        let verifying = VerifyingKey::from_bytes(&public_key)
            .ok()
            .filter(|key| !key.is_weak())
            .ok_or_else(|| ApiError::field("publicKey", "is no ED25519 public key"))?;
        let id = i64::from(account.get());
        let mut transaction =
            self.pool.begin().await.map_err(|error| ApiError::database(&error))?;
        // The engine has the account even if the gateway ended before it could write so.
        sqlx::query("INSERT INTO accounts (id) VALUES ($1) ON CONFLICT (id) DO NOTHING")
            .bind(id)
            .execute(&mut *transaction)
            .await
            .map_err(|error| ApiError::database(&error))?;
        sqlx::query(
            "INSERT INTO api_keys (public_key, account_id, label) VALUES ($1, $2, $3) \
             ON CONFLICT (public_key) DO NOTHING",
        )
        .bind(&public_key[..])
        .bind(id)
        .bind(label)
        .execute(&mut *transaction)
        .await
        .map_err(|error| ApiError::database(&error))?;
        let row = sqlx::query(
            "SELECT public_key, account_id, disabled_at, changed_at FROM api_keys \
             WHERE public_key = $1",
        )
        .bind(&public_key[..])
        .fetch_one(&mut *transaction)
        .await
        .map_err(|error| ApiError::database(&error))?;
        transaction.commit().await.map_err(|error| ApiError::database(&error))?;
        let key = ApiKey { account, verifying };
        if read(&row).and_then(|row| row.key).as_ref() != Some(&key) {
            let message = "publicKey: is disabled or belongs to another account";
            return Err(ApiError::new(Code::PreconditionFailed, message));
        }
        self.insert(public_key, key);
        Ok(())
    }

    /// Keeps the copy as the database is, until the process ends. `database` tells readiness.
    pub async fn follow(&self, database: impl Fn(bool)) {
        let mut ticks = interval(FOLLOW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut since = DateTime::<Utc>::MIN_UTC;
        let mut reachable = false;
        loop {
            ticks.tick().await;
            match self.follow_once(since).await {
                Ok(newest) => {
                    since = newest;
                    if !reachable {
                        tracing::info!(keys = self.len(), "API keys are as in the database");
                    }
                    reachable = true;
                }
                Err(error) => {
                    if reachable {
                        tracing::warn!(%error, "the database is away, keys are from memory");
                    }
                    reachable = false;
                }
            }
            database(reachable);
        }
    }

    /// Applies every change since `since`; returns where to go on.
    async fn follow_once(&self, since: DateTime<Utc>) -> Result<DateTime<Utc>, sqlx::Error> {
        let overlapped = since.checked_sub_signed(OVERLAP).unwrap_or(since);
        let (mut newest, mut last_key) = (overlapped, Vec::new());
        loop {
            let rows = sqlx::query(
                "SELECT public_key, account_id, disabled_at, changed_at FROM api_keys \
                 WHERE (changed_at, public_key) > ($1, $2) \
                 ORDER BY changed_at, public_key LIMIT $3",
            )
            .bind(newest.max(DateTime::<Utc>::UNIX_EPOCH))
            .bind(&last_key)
            .bind(PAGE_ROWS_MAX)
            .fetch_all(&self.pool)
            .await?;
            for row in rows.iter().filter_map(read) {
                newest = row.changed_at;
                last_key = row.public_key.to_vec();
                self.apply(row);
            }
            if rows.len() < PAGE_ROWS_MAX as usize {
                return Ok(newest.max(since));
            }
        }
    }

    fn apply(&self, row: KeyRow) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        match row.key {
            Some(key) => keys.insert(row.public_key, key),
            None => keys.remove(&row.public_key),
        };
    }
}

/// `None` for a row that only a hand could have written.
fn read(row: &sqlx::postgres::PgRow) -> Option<KeyRow> {
    let public_key: PublicKey = row.try_get::<Vec<u8>, _>(0).ok()?.try_into().ok()?;
    let account = u32::try_from(row.try_get::<i64, _>(1).ok()?).ok().and_then(AccountId::new)?;
    let disabled_at: Option<DateTime<Utc>> = row.try_get(2).ok()?;
    let verifying = VerifyingKey::from_bytes(&public_key).ok()?;
    let key = disabled_at.is_none().then_some(ApiKey { account, verifying });
    Some(KeyRow { public_key, key, changed_at: row.try_get(3).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;
    use sqlx::postgres::PgPoolOptions;

    #[tokio::test]
    async fn a_known_key_needs_no_database_and_an_unknown_one_waits_for_it() {
        let pool = PgPoolOptions::new()
            .acquire_timeout(Duration::from_millis(200))
            .connect_lazy("postgres://nobody@127.0.0.1:1/nothing")
            .unwrap();
        let cache = KeyCache::new(pool);
        let verifying = SigningKey::from_bytes(&[7; 32]).verifying_key();
        let key = ApiKey { account: AccountId::new(3).unwrap(), verifying };
        cache.insert(verifying.to_bytes(), key.clone());
        assert_eq!(cache.get(&verifying.to_bytes()).await, Ok(key));
        let unknown = cache.get(&[9; 32]).await.unwrap_err();
        assert_eq!((unknown.code, unknown.status.as_u16()), (Code::Maintenance, 503));
    }
}
