//! How the history is read: the statements of one answer see one state of the database, and all of
//! them together take no longer than one may.

use std::future::Future;

use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::error::ApiError;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// One state of the database, until it is dropped.
pub struct Snapshot {
    transaction: Transaction<'static, Postgres>,
}

impl Snapshot {
    pub async fn of(pool: &PgPool) -> Result<Self, ApiError> {
        let transaction = pool.begin_with(BEGIN).await;
        Ok(Snapshot { transaction: transaction.map_err(|error| ApiError::database(&error))? })
    }

    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Hands the connection back.
    pub async fn end(self) -> Result<(), ApiError> {
        self.transaction.commit().await.map_err(|error| ApiError::database(&error))
    }
}

/// What `read` answers within the time that a connection of `pool` may be waited for, which is
/// that of a statement too. Given up, its statement ends by the server's own clock.
pub async fn in_time<T>(
    pool: &PgPool,
    read: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, ApiError> {
    match tokio::time::timeout(pool.options().get_acquire_timeout(), read).await {
        Ok(read) => read.map_err(|error| ApiError::database(&error)),
        Err(_) => Err(ApiError::too_long()),
    }
}
