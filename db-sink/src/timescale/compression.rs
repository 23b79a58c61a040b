//! How chunks are compressed, and when: TimescaleDB's own background job does it. The names are the
//! older ones (`compress_…`), which 2.23 to 2.28 know beside those of the columnstore.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::hypertables::Hypertable;

/// `after_days`: the age of a chunk's newest rows; `None`: what is not compressed yet never is, and
/// what is stays so. Settings that changed hold for chunks compressed from now on.
pub async fn apply(
    connection: &mut PgConnection,
    hypertable: &Hypertable,
    after_days: Option<u32>,
) -> Result<(), sqlx::Error> {
    if after_days.is_some() {
        apply_settings(connection, hypertable).await?;
    }
    let after = after_days.map(|days| days.saturating_add(hypertable.changes_days));
    apply_policy(connection, hypertable.table, after).await
}

async fn apply_settings(
    connection: &mut PgConnection,
    hypertable: &Hypertable,
) -> Result<(), sqlx::Error> {
    let Hypertable { table, segment_by, order_by, .. } = *hypertable;
    let found: Option<(String, String)> = sqlx::query_as(
        "SELECT coalesce(segmentby, ''), orderby
         FROM timescaledb_information.hypertable_compression_settings
         WHERE hypertable = $1::text::regclass AND orderby IS NOT NULL",
    )
    .bind(table)
    .fetch_optional(&mut *connection)
    .await?;
    let spaceless = |list: &str| list.replace(' ', "");
    let found = found.map(|(segments, order)| (spaceless(&segments), spaceless(&order)));
    if found.as_ref().is_some_and(|(found, order)| found == segment_by && order == order_by) {
        return Ok(());
    }
    let sql = format!(
        "ALTER TABLE {table} SET (timescaledb.compress,
            timescaledb.compress_segmentby = '{segment_by}',
            timescaledb.compress_orderby = '{order_by}')"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    tracing::info!(table, segment_by, order_by, "compression is set");
    Ok(())
}

/// The policy is removed and added anew where it differs, in one transaction.
async fn apply_policy(
    connection: &mut PgConnection,
    table: &str,
    after_days: Option<u32>,
) -> Result<(), sqlx::Error> {
    let after_days = after_days.map(|days| i32::try_from(days).unwrap_or(i32::MAX));
    let (policies, is_as_wanted): (i64, bool) = sqlx::query_as(
        "SELECT count(*), coalesce(bool_and(
            (config ->> 'compress_after')::interval = make_interval(days => $2)), $2 IS NULL)
         FROM timescaledb_information.jobs
         WHERE hypertable_schema = current_schema() AND hypertable_name = $1
            AND proc_name IN ('policy_compression', 'policy_columnstore')",
    )
    .bind(table)
    .bind(after_days)
    .fetch_one(&mut *connection)
    .await?;
    let is_there = 0 < policies;
    if is_there == after_days.is_some() && is_as_wanted {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT remove_compression_policy($1::text::regclass, if_exists => true)")
        .bind(table)
        .execute(&mut *transaction)
        .await?;
    if let Some(after_days) = after_days {
        sqlx::query(
            "SELECT add_compression_policy($1::text::regclass,
                compress_after => make_interval(days => $2))",
        )
        .bind(table)
        .bind(after_days)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    match after_days {
        Some(after_days) => tracing::info!(table, after_days, "chunks are compressed by policy"),
        None => tracing::info!(table, "chunks are not compressed any more"),
    }
    Ok(())
}
