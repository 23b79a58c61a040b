//! One connection to the database, every use of it under a deadline.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use crate::error::SinkError;
use crate::no_delay;

/// The connection is dropped after any error: what a half-done statement left behind is the
/// server's to roll back, and the next attempt starts from a clean one.
#[derive(Debug)]
pub struct Database {
    options: PgConnectOptions,
    deadline: Duration,
    connection: Option<PgConnection>,
    sends_at_once: bool,
}

impl Database {
    pub fn new(url: &str, deadline: Duration) -> Result<Self, SinkError> {
        let options = PgConnectOptions::from_str(url).map_err(SinkError::DatabaseUrl)?;
        // The server gives up when this side would, so that no statement outlives its deadline.
        let millis = deadline.as_millis().to_string();
        let options = options.application_name("db-sink").options([
            ("statement_timeout", millis.as_str()),
            ("lock_timeout", millis.as_str()),
            ("idle_in_transaction_session_timeout", millis.as_str()),
            // Late rows go into compressed chunks, however many; unknown to plain PostgreSQL.
            ("timescaledb.max_tuples_decompressed_per_dml_transaction", "0"),
        ]);
        let options = options.disable_statement_logging();
        Ok(Database { options, deadline, connection: None, sends_at_once: true })
    }

    /// Gives up waiting for a lock sooner than at the deadline.
    pub fn with_lock_wait(mut self, wait: Duration) -> Self {
        let millis = wait.as_millis().to_string();
        self.options = self.options.options([("lock_timeout", millis)]);
        self
    }

    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The open connection, or a new one.
    pub async fn connection(&mut self) -> Result<&mut PgConnection, SinkError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn connect(&mut self) -> Result<PgConnection, SinkError> {
        let connection = within(self.deadline, "be reached", self.options.connect()).await?;
        let told = no_delay::on_sockets_to(self.options.get_port());
        if let Err(error) = &told
            && self.sends_at_once
        {
            tracing::warn!(%error, "the connection waits before it sends: rows go in by INSERT");
        }
        self.sends_at_once = told.is_ok();
        Ok(connection)
    }

    /// Whether little that is sent behind much goes out at once, as the end of a `COPY` must.
    pub fn sends_at_once(&self) -> bool {
        self.sends_at_once
    }

    /// Forgets the connection, without a word to the server.
    pub fn reset(&mut self) {
        self.connection = None;
    }

    pub async fn close(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if let Err(error) = within(self.deadline, "close", connection.close()).await {
            tracing::debug!(%error, "closing the database connection");
        }
    }
}

/// `doing` completes "the database could not …".
pub async fn within<T>(
    deadline: Duration,
    doing: &'static str,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, SinkError> {
    match timeout(deadline, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(cause)) => Err(SinkError::Database { doing, cause }),
        Err(_) => {
            let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
            Err(SinkError::DatabaseDeadline { doing, deadline_ms })
        }
    }
}
