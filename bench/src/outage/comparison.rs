//! What the database has at the end, against what it must have.

use std::process::{Command, Stdio};

use serde::Serialize;
use xtask::{naive_candles, tools};

use super::flow;
use crate::error::BenchError;
use crate::rest::exchange::Exchange;

/// All of them as wanted: anything else is an error.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    pub trades: u64,
    pub fills: u64,
    /// Of all sixteen intervals; each is what the trades alone say.
    pub candles: u64,
}

/// Each market's trades are 1, 2, 3 and so on.
const GAPS: &str = "SELECT count(*) FROM (SELECT FROM trades GROUP BY market_id
    HAVING count(*) <> max(trade_id) OR min(trade_id) <> 1
        OR count(DISTINCT trade_id) <> count(*)) AS market";
const LONELY: &str = "SELECT count(*) FROM (SELECT FROM fills GROUP BY market_id, trade_id
    HAVING count(*) <> 2 OR count(DISTINCT side) <> 2) AS trade";

/// `made` trades were made in the market of the flow.
pub fn compare(exchange: &Exchange, made: u64) -> Result<Comparison, BenchError> {
    let wanted = |what: &str, wanted: u64, found: u64| {
        if wanted == found {
            return Ok(());
        }
        Err(BenchError::Answer(format!("{what}: wanted {wanted}, found {found}")))
    };
    let market = flow::market()?.0;
    let statement = format!("SELECT count(*) FROM trades WHERE market_id = {market}");
    wanted("trades of the flow", made, number(exchange, &statement)?)?;
    wanted("markets with gaps or repeats", 0, number(exchange, GAPS)?)?;
    wanted("trades without two sides", 0, number(exchange, LONELY)?)?;
    let trades = number(exchange, "SELECT count(*) FROM trades")?;
    let fills = number(exchange, "SELECT count(*) FROM fills")?;
    wanted("fills", 2 * trades, fills)?;
    let mut candles = 0;
    for resolution in 0..naive_candles::RESOLUTIONS {
        let row = row(exchange, &naive_candles::comparison(resolution))?;
        let [all, differing] = row[..] else {
            return Err(BenchError::Answer("no candles to compare".to_owned()));
        };
        wanted("candles that differ from the trades", 0, differing)?;
        candles += all;
    }
    Ok(Comparison { trades, fills, candles })
}

/// Whether the database has all trades that the flow's market has had.
pub fn is_idle(exchange: &Exchange) -> Result<bool, BenchError> {
    let lines = exchange.metrics(xtask::services::ENGINE)?;
    let series = crate::rest::scrape::series(&lines);
    let behind = super::sum(&series, "engine_events_behind_frames").unwrap_or_default();
    Ok(behind == 0.0)
}

fn number(exchange: &Exchange, statement: &str) -> Result<u64, BenchError> {
    let row = row(exchange, statement)?;
    row.first().copied().ok_or_else(|| BenchError::Answer("an empty answer".to_owned()))
}

/// The one row of whole numbers that the statement answers.
fn row(exchange: &Exchange, statement: &str) -> Result<Vec<u64>, BenchError> {
    let postgres = tools::postgres(None);
    let postgres = postgres.ok_or_else(|| BenchError::Ended("psql".to_owned()))?;
    let psql = postgres.program("psql");
    let mut command = Command::new(&psql);
    command.args(["-X", "-q", "-A", "-t", "-F", " ", "-v", "ON_ERROR_STOP=1", "-c", statement]);
    command.arg(exchange.stack().database_url()).stdin(Stdio::null()).env("PGTZ", "UTC");
    let done = command.output().map_err(BenchError::io(&psql))?;
    if !done.status.success() {
        let complaint = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(BenchError::Answer(complaint));
    }
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let numbers = text.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>();
    numbers.map_err(|_| BenchError::Answer(text))
}
