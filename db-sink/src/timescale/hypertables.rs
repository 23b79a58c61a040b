//! Which tables are hypertables, and how one becomes it. Without default indexes: the sink pays for
//! every index with each row.

use std::time::Instant;

use sqlx::{AssertSqlSafe, PgConnection};

#[derive(Clone, Copy, Debug)]
pub struct Hypertable {
    pub table: &'static str,
    pub time: &'static str,
    /// The length of a chunk.
    pub chunk: &'static str,
    /// Rows that are compressed together, up to 1,000, have these columns in common. None where
    /// most values have few rows in a chunk. 200,000 fills of 20, 1,000 and 20,000 accounts, 205
    /// bytes each, took 25, 33 and 99 bytes in segments by account, and 25, 27 and 32 without.
    pub segment_by: &'static str,
    /// Names, together with `segment_by`, the whole unique key, so that a row that comes again is
    /// looked for in few of the compressed groups. Led by the account where there is no segment:
    /// each group then spans few accounts, and a query by account reads few groups.
    pub order_by: &'static str,
    /// Added to the time after which a chunk is compressed: how long its rows still change.
    pub changes_days: u32,
}

const BY_ACCOUNT: Hypertable = Hypertable {
    table: "",
    time: "ts",
    chunk: "1 day",
    segment_by: "",
    order_by: "account_id,ts,sequence,sub",
    changes_days: 0,
};

pub const ALL: [Hypertable; 5] = [
    Hypertable { table: "trades", segment_by: "market_id", order_by: "ts,trade_id", ..BY_ACCOUNT },
    Hypertable { table: "fills", ..BY_ACCOUNT },
    Hypertable { table: "order_events", ..BY_ACCOUNT },
    Hypertable { table: "balance_changes", ..BY_ACCOUNT },
    Hypertable {
        table: "klines",
        time: "open_time",
        chunk: "30 days",
        segment_by: "market_id,resolution",
        order_by: "open_time",
        // The candle of a month is written to until the month is over.
        changes_days: 31,
    },
];

/// Nothing where it is one already. Rows that are there move into chunks, which takes as long as
/// there are rows, and nobody reads or writes the table meanwhile.
pub async fn make(
    connection: &mut PgConnection,
    hypertable: &Hypertable,
) -> Result<(), sqlx::Error> {
    let Hypertable { table, time, chunk, .. } = *hypertable;
    let is_hypertable: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM timescaledb_information.hypertables
            WHERE hypertable_schema = current_schema() AND hypertable_name = $1)",
    )
    .bind(table)
    .fetch_one(&mut *connection)
    .await?;
    if is_hypertable {
        return Ok(());
    }
    let sql = AssertSqlSafe(format!(
        "SELECT EXISTS (SELECT FROM {table}), pg_total_relation_size($1::text::regclass)"
    ));
    let (has_rows, bytes): (bool, i64) =
        sqlx::query_as(sql).bind(table).fetch_one(&mut *connection).await?;
    if has_rows {
        tracing::info!(table, bytes, "its rows move into chunks: this may take long");
    }
    let start = Instant::now();
    sqlx::query(
        "SELECT create_hypertable($1::text::regclass, $2::text::name,
            chunk_time_interval => $3::text::interval, create_default_indexes => false,
            migrate_data => true)",
    )
    .bind(table)
    .bind(time)
    .bind(chunk)
    .execute(connection)
    .await?;
    let took_ms = start.elapsed().as_millis();
    tracing::info!(table, chunk, has_rows, took_ms, "turned into a hypertable");
    Ok(())
}
