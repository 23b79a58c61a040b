//! Turns the tables into hypertables where TimescaleDB is to be had: chunks, and later compression
//! and retention. No migration, because those run once and the extension may come later.

use sqlx::PgConnection;

use crate::config::Timescale;
use crate::error::SinkError;

/// Any number no other advisory lock of this database uses.
const LOCK: i64 = 0x53_49_4e_4b_54_53;

/// Tables, and the length of a chunk.
const HYPERTABLES: [(&str, &str, &str); 5] = [
    ("trades", "ts", "1 day"),
    ("fills", "ts", "1 day"),
    ("order_events", "ts", "1 day"),
    ("balance_changes", "ts", "1 day"),
    ("klines", "open_time", "30 days"),
];

/// Idempotent. Waits for another process that is at it.
pub async fn turn_on(connection: &mut PgConnection, mode: Timescale) -> Result<(), SinkError> {
    let failed = |what| move |cause| SinkError::Timescale { what, cause };
    if mode == Timescale::Off {
        return Ok(());
    }
    let missing = missing(connection).await.map_err(failed("looking for the extension"))?;
    match (missing, mode) {
        (None, _) => (),
        (Some(reason), Timescale::Require) => return Err(SinkError::TimescaleMissing { reason }),
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
    let turned = make_hypertables(connection).await;
    // A failed session is closed by the caller, which unlocks as well.
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(LOCK)
        .execute(&mut *connection)
        .await
        .map_err(failed("the lock"))?;
    turned
}

/// Why TimescaleDB cannot be used. The preloaded libraries are looked at first: creating the
/// extension without them is fatal to the session.
async fn missing(connection: &mut PgConnection) -> Result<Option<&'static str>, sqlx::Error> {
    let preloaded: String =
        sqlx::query_scalar("SHOW shared_preload_libraries").fetch_one(&mut *connection).await?;
    let is_available: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')",
    )
    .fetch_one(connection)
    .await?;
    let is_preloaded = preloaded.split(',').any(|name| name.trim() == "timescaledb");
    Ok(match (is_available, is_preloaded) {
        (false, _) => Some("the extension timescaledb is not installed"),
        (true, false) => Some("timescaledb is not in shared_preload_libraries"),
        (true, true) => None,
    })
}

/// The step itself, for a server that is known to have TimescaleDB, under a lock of the caller's.
pub async fn make_hypertables(connection: &mut PgConnection) -> Result<(), SinkError> {
    let failed = |what| move |cause| SinkError::Timescale { what, cause };
    sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS timescaledb")
        .execute(&mut *connection)
        .await
        .map_err(failed("the extension"))?;
    for (table, time, chunk) in HYPERTABLES {
        let is_hypertable: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM timescaledb_information.hypertables
                WHERE hypertable_schema = current_schema() AND hypertable_name = $1)",
        )
        .bind(table)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed(table))?;
        if is_hypertable {
            continue;
        }
        // Rows that are there move into chunks; that takes as long as there are rows.
        sqlx::query(
            "SELECT create_hypertable($1::text::regclass, $2::text::name,
                chunk_time_interval => $3::text::interval, create_default_indexes => false,
                migrate_data => true)",
        )
        .bind(table)
        .bind(time)
        .bind(chunk)
        .execute(&mut *connection)
        .await
        .map_err(failed(table))?;
        tracing::info!(table, chunk, "turned into a hypertable");
    }
    Ok(())
}
