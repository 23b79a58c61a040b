//! The administration's diary: each call is written before it does anything.

use std::net::SocketAddr;

use protocol::AccountId;
use sqlx::PgPool;

use crate::error::ApiError;

/// How much of a body is kept.
const BODY_CHARS_MAX: usize = 1_000;

#[derive(Clone, Debug)]
pub struct Audit {
    pool: PgPool,
}

/// One call under way.
#[derive(Clone, Copy, Debug)]
pub struct Entry(i64);

impl Audit {
    pub fn new(pool: PgPool) -> Self {
        Audit { pool }
    }

    /// Fails when the call cannot be written down; then it must not happen.
    pub async fn begin(
        &self,
        remote: Option<SocketAddr>,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Entry, ApiError> {
        let remote = remote.map_or_else(|| "unknown".to_owned(), |remote| remote.to_string());
        // PostgreSQL text holds no NUL.
        let body: String = String::from_utf8_lossy(body)
            .chars()
            .map(|letter| if letter == '\0' { '\u{fffd}' } else { letter })
            .take(BODY_CHARS_MAX)
            .collect();
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO admin_audit (remote, method, path, body) VALUES ($1, $2, $3, $4) \
             RETURNING id",
        )
        .bind(remote)
        .bind(method)
        .bind(path)
        .bind(body)
        .fetch_one(&self.pool)
        .await
        .map_err(|error| ApiError::database(&error))?;
        Ok(Entry(id))
    }

    /// Adds how the call ended. The call has happened, so a failure here is only logged.
    pub async fn end(&self, entry: Entry, status: u16) {
        let written = sqlx::query("UPDATE admin_audit SET status = $2 WHERE id = $1")
            .bind(entry.0)
            .bind(i32::from(status))
            .execute(&self.pool)
            .await;
        if let Err(error) = written {
            tracing::error!(%error, entry = entry.0, status, "a call has no end in the audit");
        }
    }

    /// Remembers an account that the engine has opened.
    pub async fn opened(&self, account: AccountId, label: Option<&str>) -> Result<(), ApiError> {
        sqlx::query(
            "INSERT INTO accounts (id, label) VALUES ($1, $2) \
             ON CONFLICT (id) DO UPDATE SET label = EXCLUDED.label",
        )
        .bind(i64::from(account.get()))
        .bind(label)
        .execute(&self.pool)
        .await
        .map_err(|error| ApiError::database(&error))?;
        Ok(())
    }
}
