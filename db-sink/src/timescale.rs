//! Turns the tables into hypertables where TimescaleDB is to be had, and has old chunks compressed.
//! No migration, because those run once and the extension may come later, also to tables with rows.
//!
//! Every step looks first whether there is anything to do, so a start that changes nothing writes
//! nothing. Retention is no policy of TimescaleDB's but the sink's own job, on both kinds of tables
//! (`retention.rs`).

pub mod hypertables;
pub mod compression;

use sqlx::PgConnection;

use crate::config::{Timescale, TimescaleMode};
use crate::error::SinkError;

/// Any number no other advisory lock of this database uses.
const LOCK: i64 = 0x53_49_4e_4b_54_53;

/// TimescaleDB that this step knows, as major and minor version.
const VERSION_LEAST: (u32, u32) = (2, 23);

/// Idempotent. Waits for another process that is at it.
pub async fn turn_on(connection: &mut PgConnection, wanted: Timescale) -> Result<(), SinkError> {
    if wanted.mode == TimescaleMode::Off {
        return Ok(());
    }
    let missing = missing(connection).await.map_err(failed("looking for the extension"))?;
    match (missing, wanted.mode) {
        (None, _) => (),
        (Some(reason), TimescaleMode::Require) => {
            return Err(SinkError::TimescaleMissing { reason });
        }
        (Some(reason), _) => {
            tracing::info!(reason, "plain PostgreSQL: the tables stay as they are");
            return Ok(());
        }
    }
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(LOCK)
        .execute(&mut *connection)
        .await
        .map_err(failed("the lock"))?;
    let turned = shape(connection, wanted).await;
    // A failed session is closed by the caller, which unlocks as well.
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(LOCK)
        .execute(&mut *connection)
        .await
        .map_err(failed("the lock"))?;
    turned
}

/// Why TimescaleDB cannot be used. The preloaded libraries are looked at first: creating the
/// extension without them is fatal to the session. A server may have the library in every session
/// by other means; then its settings are known.
async fn missing(connection: &mut PgConnection) -> Result<Option<&'static str>, sqlx::Error> {
    let (preloaded, is_loaded): (String, bool) = sqlx::query_as(
        "SELECT current_setting('shared_preload_libraries'),
            current_setting('timescaledb.license', true) IS NOT NULL",
    )
    .fetch_one(&mut *connection)
    .await?;
    let version: Option<String> = sqlx::query_scalar(
        "SELECT coalesce(installed_version, default_version)
         FROM pg_available_extensions WHERE name = 'timescaledb'",
    )
    .fetch_optional(connection)
    .await?;
    let is_preloaded = preloaded.split(',').any(|name| name.trim() == "timescaledb");
    Ok(match version {
        None => Some("the extension timescaledb is not installed"),
        Some(_) if !is_preloaded && !is_loaded => {
            Some("timescaledb is not in shared_preload_libraries")
        }
        Some(version) if !is_known(&version) => Some("TimescaleDB is older than 2.23"),
        Some(_) => None,
    })
}

/// `version` as in `2.28.1` or `2.23.0-dev`.
fn is_known(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>());
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => VERSION_LEAST <= (major, minor),
        _ => false,
    }
}

/// The step itself, for a server that is known to have TimescaleDB, under the lock.
async fn shape(connection: &mut PgConnection, wanted: Timescale) -> Result<(), SinkError> {
    sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS timescaledb")
        .execute(&mut *connection)
        .await
        .map_err(failed("the extension"))?;
    for hypertable in &hypertables::ALL {
        hypertables::make(connection, hypertable).await.map_err(failed(hypertable.table))?;
    }
    let license: String = sqlx::query_scalar("SELECT current_setting('timescaledb.license')")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("its licence"))?;
    if license == "apache" {
        tracing::info!(license, "hypertables only: this licence has no compression");
        return Ok(());
    }
    for hypertable in &hypertables::ALL {
        compression::apply(connection, hypertable, wanted.compress_after_days)
            .await
            .map_err(failed(hypertable.table))?;
    }
    Ok(())
}

fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> SinkError {
    move |cause| SinkError::Timescale { what, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for known in ["2.23.0", "2.23.0-dev", "2.28.1", "2.100.0", "3.0.0"] {
            assert!(is_known(known), "{known}");
        }
        for unknown in ["2.9.3", "2.22.1", "1.30.0", "", "2", "latest"] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }
}
