//! API keys: PostgreSQL owns them, a copy in memory answers.
//!
//! The copy is filled at start, follows changes, and is asked first; so trading goes on when the
//! database is away, and only keys never seen before have to wait for it.
//!
//! Invariant: while the database answers, a key that was revoked anywhere signs nothing after
//! [`FOLLOW_EVERY`] and one query over a connection of its own, together less than a second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::VerifyingKey;
use protocol::AccountId;
use sqlx::{PgPool, Row};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::auth::{self, Effect, PublicKey};
use crate::error::{ApiError, Code};

const FOLLOW_EVERY: Duration = Duration::from_millis(250);
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
    pub limits: KeyLimits,
}

/// What a key may do less than its account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    pub read_only: bool,
    /// None: it may be used from any.
    pub allowed_addresses: Arc<[IpAddr]>,
}

impl KeyLimits {
    pub fn check(&self, effect: Effect, address: Option<IpAddr>) -> Result<(), ApiError> {
        if self.read_only && effect == Effect::Changes {
            return Err(ApiError::new(Code::Forbidden, "This API key may only read"));
        }
        let is_allowed = self.allowed_addresses.is_empty()
            || address.is_some_and(|address| self.allowed_addresses.contains(&address));
        if is_allowed {
            return Ok(());
        }
        Err(ApiError::new(Code::Forbidden, "This API key may not be used from this address"))
    }
}

#[derive(Debug)]
pub struct KeyCache {
    pub(crate) pool: PgPool,
    /// For following alone.
    following: PgPool,
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
    pub fn new(pool: PgPool, following: PgPool) -> Self {
        let keys = RwLock::default();
        KeyCache { pool, following, keys, lookups: Semaphore::new(LOOKUPS_MAX) }
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
            "SELECT public_key, account_id, disabled_at, changed_at, read_only, \
             allowed_addresses FROM api_keys WHERE public_key = $1",
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

    pub(crate) fn forget(&self, public_key: &PublicKey) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).remove(public_key);
    }

    pub fn len(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Registers a key for an account the engine has. The same again changes nothing, its limits
    /// neither; a key of another account, or one that was disabled, is refused.
    pub async fn register(
        &self,
        public_key: PublicKey,
        account: AccountId,
        label: Option<&str>,
    ) -> Result<(), ApiError> {
        auth::verifying_key(&public_key)?;
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
            "SELECT public_key, account_id, disabled_at, changed_at, read_only, \
             allowed_addresses FROM api_keys WHERE public_key = $1",
        )
        .bind(&public_key[..])
        .fetch_one(&mut *transaction)
        .await
        .map_err(|error| ApiError::database(&error))?;
        transaction.commit().await.map_err(|error| ApiError::database(&error))?;
        let key = read(&row).and_then(|row| row.key).filter(|key| key.account == account);
        self.insert(public_key, key.ok_or_else(key_taken)?);
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
                "SELECT public_key, account_id, disabled_at, changed_at, read_only, \
                 allowed_addresses FROM api_keys WHERE (changed_at, public_key) > ($1, $2) \
                 ORDER BY changed_at, public_key LIMIT $3",
            )
            .bind(newest.max(DateTime::<Utc>::UNIX_EPOCH))
            .bind(&last_key)
            .bind(PAGE_ROWS_MAX)
            .fetch_all(&self.following)
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

/// For a key that is registered already, and not as it is asked for.
pub(crate) fn key_taken() -> ApiError {
    let message = "publicKey: is disabled, has other limits or belongs to another account";
    ApiError::new(Code::PreconditionFailed, message)
}

/// `None` for a row that only a hand could have written.
fn read(row: &sqlx::postgres::PgRow) -> Option<KeyRow> {
    let public_key: PublicKey = row.try_get::<Vec<u8>, _>(0).ok()?.try_into().ok()?;
    let account = u32::try_from(row.try_get::<i64, _>(1).ok()?).ok().and_then(AccountId::new)?;
    let disabled_at: Option<DateTime<Utc>> = row.try_get(2).ok()?;
    let verifying = VerifyingKey::from_bytes(&public_key).ok()?;
    let addresses: Vec<String> = row.try_get(5).ok()?;
    let addresses: Result<Arc<[IpAddr]>, _> = addresses.iter().map(|it| it.parse()).collect();
    let limits = KeyLimits { read_only: row.try_get(4).ok()?, allowed_addresses: addresses.ok()? };
    let key = disabled_at.is_none().then_some(ApiKey { account, verifying, limits });
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
        let cache = KeyCache::new(pool.clone(), pool);
        let verifying = SigningKey::from_bytes(&[7; 32]).verifying_key();
        let (account, limits) = (AccountId::new(3).unwrap(), KeyLimits::default());
        let key = ApiKey { account, verifying, limits };
        cache.insert(verifying.to_bytes(), key.clone());
        assert_eq!(cache.get(&verifying.to_bytes()).await, Ok(key));
        let unknown = cache.get(&[9; 32]).await.unwrap_err();
        assert_eq!((unknown.code, unknown.status.as_u16()), (Code::Maintenance, 503));
    }

    #[test]
    fn a_limited_key_does_less_and_only_from_its_addresses() {
        let here: IpAddr = "10.0.0.1".parse().unwrap();
        let there: IpAddr = "10.0.0.2".parse().unwrap();
        let free = KeyLimits::default();
        assert!(free.check(Effect::Changes, None).is_ok());
        let reads = KeyLimits { read_only: true, ..KeyLimits::default() };
        assert!(reads.check(Effect::Reads, Some(here)).is_ok());
        assert_eq!(reads.check(Effect::Changes, Some(here)).unwrap_err().code, Code::Forbidden);
        let home = KeyLimits { read_only: false, allowed_addresses: [here].into() };
        assert!(home.check(Effect::Changes, Some(here)).is_ok());
        for elsewhere in [Some(there), None] {
            assert_eq!(home.check(Effect::Reads, elsewhere).unwrap_err().code, Code::Forbidden);
        }
    }
}
