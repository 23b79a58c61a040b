//! A year of trades as the sink would have written them, by SQL: the same seed, the same rows.
//!
//! Trades come in bursts of eight within a tenth of a second: the market maker's order that was
//! placed a minute before is filled by them, and it has cancelled another. Of five trades of the
//! market one has a neighbour in another market.

use std::process::{Command, Stdio};

use serde::Serialize;
use xtask::tools;

use crate::error::BenchError;

/// Trades of a burst, which fill one order.
const BURST: u64 = 8;
const YEAR_S: u64 = 365 * 86_400;
/// Trades of each of those that trade rarely in this market.
const RARE: u64 = 50;

#[derive(Clone, Copy, Debug)]
pub struct AccountIds {
    pub maker: u32,
    pub rare: u32,
    pub elsewhere: u32,
}

#[derive(Clone, Copy, Debug)]
pub struct Year {
    pub trades: u64,
    pub seed: u64,
    /// Seconds since the epoch when it is over.
    pub end_s: u64,
    pub accounts: AccountIds,
}

/// How large a table became.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TableFigures {
    pub name: String,
    pub rows: u64,
    pub table_bytes: u64,
    pub index_bytes: u64,
}

impl Year {
    /// First and last second.
    pub fn seconds(&self) -> (u64, u64) {
        (self.end_s - YEAR_S, self.end_s)
    }

    /// The maker's order that burst number `burst` filled.
    pub fn filled_order(&self, burst: u64) -> u64 {
        (burst + 1) << 31 | 1 << 21 | 1
    }

    /// Of the maker, ended: half of them were filled.
    pub fn maker_orders(&self) -> u64 {
        self.trades / BURST * 2
    }

    /// Fills the tables of a database that nobody writes to.
    pub fn fill(
        &self,
        url: &str,
        said: &mut impl FnMut(&str),
    ) -> Result<Vec<TableFigures>, BenchError> {
        let scripts: [(&str, String); 6] = [
            ("indexes are put aside", TAKE_INDEXES.to_owned()),
            ("trades", self.script(TRADES)),
            ("fills", self.script(FILLS)),
            ("order events and deposits", self.script(ORDER_EVENTS)),
            ("candles", candles()),
            ("indexes, vacuum", GIVE_INDEXES.to_owned()),
        ];
        for (name, script) in scripts {
            said(name);
            psql(url, &script)?;
        }
        let rows = psql(url, SIZES)?;
        Ok(rows.lines().filter_map(table_figures).collect())
    }

    /// With what stands for the names in capitals.
    fn script(&self, sql: &str) -> String {
        let Year { trades, seed, end_s, accounts } = *self;
        let AccountIds { maker, rare, elsewhere } = accounts;
        let rare_every = (trades / RARE).max(2);
        let step_us = YEAR_S * 1_000_000 / (trades / BURST).max(1);
        [
            ("IN_TURN", IN_TURN.to_owned()),
            ("TRADE_TIME", TRADE_TIME.to_owned()),
            ("TRADE_PRICE", TRADE_PRICE.to_owned()),
            ("STEP_US", step_us.to_string()),
            ("START", (end_s - YEAR_S).to_string()),
            ("SEED", seed.to_string()),
            ("RARE_EVERY", rare_every.to_string()),
            ("TRADES", trades.to_string()),
            ("MAKER", maker.to_string()),
            ("RARE", rare.to_string()),
            ("ELSEWHERE", elsewhere.to_string()),
        ]
        .into_iter()
        .fold(sql.to_owned(), |sql, (name, value)| sql.replace(name, &value))
    }
}

/// Of trade number i: its burst's turn, and where in the burst it is.
const TRADE_TIME: &str = "(to_timestamp(START) + ((i - 1) / 8 * STEP_US + \
    ((i - 1) / 8 * 48271 + SEED) % (STEP_US / 2) + (i - 1) % 8 * 11000) * interval '1 us')";
/// Makes the inner series depend on the trade, so that rows lie in the order of time.
const IN_TURN: &str = "(i * 0)::integer +";
const TRADE_PRICE: &str = "(15000 + (i * 48271 + SEED) % 997)";

/// Filling with indexes in place would take three times as long. They come back as they were.
const TAKE_INDEXES: &str = "\
    CREATE TABLE bench_constraints AS \
     SELECT conrelid::regclass::text AS home, conname::text AS name, \
      pg_get_constraintdef(oid) AS form FROM pg_constraint \
     WHERE conname IN ('trades_key', 'fills_key', 'order_events_key'); \
    CREATE TABLE bench_indexes AS SELECT indexname::text AS name, indexdef AS form FROM pg_indexes \
     WHERE schemaname = 'public' AND tablename = 'order_events' \
      AND indexname <> 'order_events_key'; \
    DO $$ DECLARE one record; BEGIN \
     FOR one IN SELECT * FROM bench_constraints LOOP \
      EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', one.home, one.name); END LOOP; \
     FOR one IN SELECT * FROM bench_indexes LOOP \
      EXECUTE format('DROP INDEX %I', one.name); END LOOP; \
    END $$;";

const GIVE_INDEXES: &str = "\
    SET maintenance_work_mem = '512MB'; \
    DO $$ DECLARE one record; BEGIN \
     FOR one IN SELECT * FROM bench_constraints LOOP \
      EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s', one.home, one.name, one.form); \
     END LOOP; \
     FOR one IN SELECT * FROM bench_indexes LOOP EXECUTE one.form; END LOOP; \
    END $$; \
    DROP TABLE bench_constraints, bench_indexes;\n\
    VACUUM ANALYZE trades;\nVACUUM ANALYZE fills;\nVACUUM ANALYZE order_events;\n\
    VACUUM ANALYZE klines;\nVACUUM ANALYZE transfers;\nCHECKPOINT;";

const TRADES: &str = "\
    INSERT INTO trades \
    SELECT market, i % 2, TRADE_TIME + (market - 1) * interval '1 ms', \
     CASE market WHEN 1 THEN i ELSE i / 5 END, 2 * i, TRADE_PRICE, 1 + (i - 1) / 8 % 50, \
     TRADE_PRICE * (1 + (i - 1) / 8 % 50) * 100, \
     (((i - 1) / 8 + 1) << 31) + (market << 21) + 1, ((i + 1) << 31) + (market << 21) + 3 \
    FROM generate_series(1::bigint, TRADES) AS i, generate_series(1, IN_TURN 2) AS market \
    WHERE market = 1 OR i % 5 = 0;";

/// The maker's, and the taker's: of few trades those who trade rarely, else one of a thousand.
const FILLS: &str = "\
    INSERT INTO fills \
    SELECT CASE WHEN part = 0 THEN MAKER WHEN part = 3 THEN ELSEWHERE WHEN part = 2 THEN 900000 \
       WHEN i % RARE_EVERY = 0 THEN RARE WHEN i % RARE_EVERY = 1 THEN ELSEWHERE \
       ELSE 900001 + i % 1000 END, \
     part, TRADE_TIME + (part / 2) * interval '1 ms', 2 * i, 1 + part / 2, (i + part) % 2, \
     part % 2 = 0, 1 + (i + part) % 2, CASE WHEN part < 2 THEN i ELSE i / 5 END, \
     CASE part % 2 WHEN 0 THEN (((i - 1) / 8 + 1) << 31) + ((1 + part / 2) << 21) + 1 \
      ELSE ((i + 1) << 31) + ((1 + part / 2) << 21) + 3 END, NULL, TRADE_PRICE, \
     1 + (i - 1) / 8 % 50, TRADE_PRICE * (1 + (i - 1) / 8 % 50) * 100, 10 \
    FROM generate_series(1::bigint, TRADES) AS i, generate_series(0, IN_TURN 3) AS part \
    WHERE part < 2 OR i % 5 = 0;";

/// Of a burst: the order it fills, the one that is cancelled, each with its placement. And what
/// those who are asked about took.
const ORDER_EVENTS: &str = "\
    INSERT INTO order_events \
    SELECT MAKER, part % 2, \
     TRADE_TIME - (ARRAY[60, 0, 50, 20])[part + 1] * interval '1 s', 2 * i - 15 + 5 * part, \
     (((i - 1) / 8 + 1) << 31) + (1 << 21) + 1 + part / 2, 1, (ARRAY[1, 2, 1, 3])[part + 1], 0, \
     part % 2 = 0, CASE part WHEN 3 THEN 1 END, 0, CASE WHEN part <> 1 THEN 0 END, \
     CASE WHEN part <> 1 THEN 0 END, CASE WHEN part <> 1 THEN false END, \
     CASE WHEN part <> 1 THEN i % 1000 END, TRADE_PRICE, \
     CASE WHEN part <> 1 THEN 8 * (1 + (i - 1) / 8 % 50) END, NULL, \
     CASE WHEN part <> 1 THEN 8 * (1 + (i - 1) / 8 % 50) ELSE 0 END, \
     CASE WHEN part <> 1 THEN 0 END, CASE WHEN part <> 1 THEN 0 END, \
     CASE part WHEN 1 THEN NULL WHEN 0 THEN TRADE_TIME - interval '60 s' \
      ELSE TRADE_TIME - interval '50 s' END \
    FROM generate_series(8::bigint, TRADES, 8) AS i, generate_series(0, IN_TURN 3) AS part; \
    INSERT INTO order_events \
    SELECT account, 0, at, 2 * i, ((i + 1) << 31) + (market << 21) + 3, market, 2, 1, true, NULL, \
     0, 1, 0, false, 7, TRADE_PRICE, 1, NULL, 0, 1, TRADE_PRICE * 100, at \
    FROM (SELECT i, 1 AS market, TRADE_TIME AS at, \
       CASE i % RARE_EVERY WHEN 0 THEN RARE ELSE ELSEWHERE END AS account \
      FROM generate_series(1::bigint, TRADES) AS i WHERE i % RARE_EVERY IN (0, 1) \
      UNION ALL \
      SELECT i, 2, TRADE_TIME + interval '1 ms', ELSEWHERE \
      FROM generate_series(5::bigint, TRADES, 5) AS i) AS taken; \
    INSERT INTO transfers (account_id, kind, asset_id, ts, sequence, units, transfer_id) \
    SELECT MAKER, 1, 1, to_timestamp(START + i), i, 1000, gen_random_uuid() \
    FROM generate_series(1::bigint, 5000) AS i;";

/// Seconds of the trades, whose first and last tell where it opened and closed; the others of the
/// seconds.
fn candles() -> String {
    let starts = [
        (1, "date_bin('1 minute', open_time, 'epoch')"),
        (2, "date_bin('3 minutes', open_time, 'epoch')"),
        (3, "date_bin('5 minutes', open_time, 'epoch')"),
        (4, "date_bin('15 minutes', open_time, 'epoch')"),
        (5, "date_bin('30 minutes', open_time, 'epoch')"),
        (6, "date_bin('1 hour', open_time, 'epoch')"),
        (7, "date_bin('2 hours', open_time, 'epoch')"),
        (8, "date_bin('4 hours', open_time, 'epoch')"),
        (9, "date_bin('6 hours', open_time, 'epoch')"),
        (10, "date_bin('8 hours', open_time, 'epoch')"),
        (11, "date_bin('12 hours', open_time, 'epoch')"),
        (12, "date_bin('1 day', open_time, 'epoch')"),
        (13, "date_bin('3 days', open_time, 'epoch')"),
        (14, "date_bin('7 days', open_time, '1970-01-05Z')"),
        (15, "date_trunc('month', open_time, 'UTC')"),
    ];
    let mut sql = "\
        SET work_mem = '256MB'; SET jit = off; \
        INSERT INTO klines \
        SELECT market_id, 0, date_trunc('second', ts), min(trade_id), max(trade_id), \
         (array_agg(price_ticks ORDER BY trade_id))[1], max(price_ticks), min(price_ticks), \
         (array_agg(price_ticks ORDER BY trade_id DESC))[1], sum(lots), sum(quote_units), count(*) \
        FROM trades GROUP BY 1, 3;"
        .to_owned();
    for (resolution, start) in starts {
        // Of the minutes from the second interval on.
        let from = if resolution == 1 { 0 } else { 1 };
        sql.push_str(&format!(
            "INSERT INTO klines \
             SELECT market_id, {resolution}, start, min(first_trade_id), max(last_trade_id), \
              (array_agg(open_ticks ORDER BY open_time))[1], max(high_ticks), min(low_ticks), \
              (array_agg(close_ticks ORDER BY open_time DESC))[1], sum(lots), \
              sum(quote_units), sum(trades) \
             FROM (SELECT *, {start} AS start FROM klines WHERE resolution = {from}) \
              AS shorter GROUP BY 1, 3;\n"
        ));
    }
    sql
}

const SIZES: &str = "\
    SELECT relname, reltuples::bigint, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class \
    WHERE relname IN ('trades', 'fills', 'order_events', 'klines') ORDER BY relname;";

fn table_figures(line: &str) -> Option<TableFigures> {
    let mut columns = line.split('|');
    let mut next = || columns.next();
    Some(TableFigures {
        name: next()?.to_owned(),
        rows: next()?.parse().ok()?,
        table_bytes: next()?.parse().ok()?,
        index_bytes: next()?.parse().ok()?,
    })
}

/// What it prints, a row a line, columns between bars.
pub fn psql(url: &str, script: &str) -> Result<String, BenchError> {
    let missing = || BenchError::Statement("PostgreSQL is not installed".to_owned());
    let program = tools::postgres(None).ok_or_else(missing)?.program("psql");
    let mut command = Command::new(&program);
    command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", url]);
    command.env("PGTZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let io = BenchError::io(&program);
    let mut child = command.spawn().map_err(&io)?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, script.as_bytes()).map_err(&io)?;
    }
    let done = child.wait_with_output().map_err(&io)?;
    if !done.status.success() {
        let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(BenchError::Statement(complaint));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_be_filled_in() {
        let accounts = AccountIds { maker: 3, rare: 4, elsewhere: 5 };
        let year = Year { trades: 8000, seed: 1, end_s: 1_767_225_600, accounts };
        for sql in [TRADES, FILLS, ORDER_EVENTS] {
            let script = year.script(sql);
            let names = ["TRADE", "MAKER", "RARE", "ELSEWHERE", "SEED", "STEP_US"];
            assert!(names.iter().all(|name| !script.contains(name)), "{script}");
        }
    }

    #[test]
    fn a_row_of_sizes_is_read() {
        let figures = table_figures("fills|20|8192|16384").unwrap();
        assert_eq!((figures.rows, figures.table_bytes, figures.index_bytes), (20, 8192, 16384));
        assert_eq!(table_figures(""), None);
    }
}
