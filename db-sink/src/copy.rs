//! Rows by `COPY … FROM STDIN (FORMAT binary)`: the cheapest way into a table. One row that is
//! there already fails all of it; then the careful path is taken (`writer.rs`).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::layout::{Column, TableRow, Value};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Neither flags nor a longer header.
const FLAGS_AND_EXTENSION: [u8; 8] = [0; 8];
const TRAILER: [u8; 2] = (-1i16).to_be_bytes();
const NULL: [u8; 4] = (-1i32).to_be_bytes();
/// 2000-01-01, from which the server counts, in microseconds since the epoch.
const SERVER_EPOCH_US: i64 = 946_684_800_000_000;
/// About what a row takes, so that the buffer seldom grows.
const ROW_BYTES: usize = 160;

/// Returns how many rows went in: all of them.
pub async fn rows<R: TableRow>(
    connection: &mut PgConnection,
    rows: &[R],
) -> Result<u64, sqlx::Error> {
    let bytes = encode(rows);
    let mut copy = connection.copy_in_raw(&statement::<R>()).await?;
    copy.send(bytes).await?;
    copy.finish().await
}

fn statement<R: TableRow>() -> String {
    let names: Vec<&str> = R::COLUMNS.iter().map(|column| column.name).collect();
    format!("COPY {} ({}) FROM STDIN (FORMAT binary)", R::TABLE, names.join(", "))
}

fn encode<R: TableRow>(rows: &[R]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SIGNATURE.len() + 10 + rows.len() * ROW_BYTES);
    bytes.extend_from_slice(SIGNATURE);
    bytes.extend_from_slice(&FLAGS_AND_EXTENSION);
    for row in rows {
        bytes.extend_from_slice(&column_count::<R>());
        R::COLUMNS.iter().for_each(|column| put(column, row, &mut bytes));
    }
    bytes.extend_from_slice(&TRAILER);
    bytes
}

const fn column_count<R: TableRow>() -> [u8; 2] {
    (R::COLUMNS.len() as u16).to_be_bytes()
}

fn put<R>(column: &Column<R>, row: &R, bytes: &mut Vec<u8>) {
    match column.value {
        Value::Boolean(of) => field(of(row).map(|value| [u8::from(value)]), bytes),
        Value::SmallInt(of) => field(of(row).map(i16::to_be_bytes), bytes),
        Value::Integer(of) => field(of(row).map(i32::to_be_bytes), bytes),
        Value::BigInt(of) => field(of(row).map(i64::to_be_bytes), bytes),
        Value::Timestamp(of) => field(of(row).map(server_time), bytes),
        Value::Uuid(of) => field(of(row).map(u128::to_be_bytes), bytes),
    }
}

/// Its length, and it.
fn field<const N: usize>(value: Option<[u8; N]>, bytes: &mut Vec<u8>) {
    let Some(value) = value else { return bytes.extend_from_slice(&NULL) };
    bytes.extend_from_slice(&(N as u32).to_be_bytes());
    bytes.extend_from_slice(&value);
}

fn server_time(time: DateTime<Utc>) -> [u8; 8] {
    (time.timestamp_micros() - SERVER_EPOCH_US).to_be_bytes()
}
