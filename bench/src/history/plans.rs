//! How the server carries out the gateway's own statements: it logs the plan of each with what was
//! done (`auto_explain`), and this takes the plans of one question out of the log.

use std::net::SocketAddr;

use serde::Serialize;
use serde_json::Value;

use super::year::psql;
use crate::error::BenchError;
use crate::rest::exchange::Exchange;
use crate::rest::wire;

/// One statement of the gateway, carried out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Explained {
    pub sql: String,
    pub milliseconds: f64,
    /// Pages of eight kilobytes that were looked at, those that were not in memory among them.
    pub buffers: u64,
    pub buffers_read: u64,
    /// Nodes and how many rows each had, the outermost first.
    pub shape: String,
    /// As the server tells it.
    #[serde(skip)]
    pub plan: Value,
}

const TURN_ON: &str = "\
    ALTER DATABASE exchange SET session_preload_libraries = 'auto_explain'; \
    ALTER DATABASE exchange SET auto_explain.log_min_duration = 0; \
    ALTER DATABASE exchange SET auto_explain.log_analyze = on; \
    ALTER DATABASE exchange SET auto_explain.log_buffers = on; \
    ALTER DATABASE exchange SET auto_explain.log_format = 'json'; \
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
     WHERE application_name = 'io-gateway';";

/// Of these a statement tells what is asked here; others are the gateway's own business.
const TABLES: [&str; 6] =
    [" trades ", " klines ", " fills ", " order_events ", " kept_order_events ", " transfers "];
/// Connections of the gateway's that have to come back, and what it must have looked up once.
const WARM_UP: usize = 20;

/// A server that explains.
#[derive(Debug)]
pub struct Explainer(());

impl Explainer {
    /// For connections from now on; the gateway's are ended, so that it makes new ones.
    pub fn turn_on(url: &str) -> Result<Explainer, BenchError> {
        psql(url, TURN_ON)?;
        Ok(Explainer(()))
    }

    /// What the gateway has the database do for one request.
    pub fn explain(
        &self,
        exchange: &Exchange,
        request: &[u8],
    ) -> Result<Vec<Explained>, BenchError> {
        until_answered(exchange.address(), request)?;
        let before = exchange.database_log()?.len();
        let (status, _) = wire::ask(exchange.address(), request)?;
        if status != 200 {
            return Err(BenchError::Answer(format!("{status} when it was to be explained")));
        }
        let log = exchange.database_log()?;
        let said = log.get(before..).unwrap_or_default();
        Ok(plans(said).into_iter().filter_map(explained).collect())
    }
}

/// A connection that was ended fails the first request that meets it.
fn until_answered(address: SocketAddr, request: &[u8]) -> Result<(), BenchError> {
    for _ in 0..WARM_UP {
        if wire::ask(address, request)?.0 == 200 {
            return Ok(());
        }
    }
    Err(BenchError::Answer("no answer since the plans are told".to_owned()))
}

/// The plans of a log in their order: behind a line that announces it, lines that begin with a tab.
fn plans(log: &str) -> Vec<Value> {
    let mut plans = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((_, duration)) = line.split_once("LOG:  duration: ") else { continue };
        if !duration.ends_with("plan:") {
            continue;
        }
        let mut text = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            text.push_str(more);
        }
        plans.extend(serde_json::from_str::<Value>(&text));
    }
    plans
}

/// `None`: not about history.
fn explained(plan: Value) -> Option<Explained> {
    let sql = plan.get("Query Text")?.as_str()?.to_owned();
    let padded = format!("{} ", sql.replace(',', " "));
    if !TABLES.iter().any(|table| padded.contains(table)) {
        return None;
    }
    let root = plan.get("Plan")?;
    let (hit, read) = (number(root, "Shared Hit Blocks"), number(root, "Shared Read Blocks"));
    let milliseconds = root.get("Actual Total Time")?.as_f64()?;
    let (shape, buffers) = (shape(root), (hit + read) as u64);
    Some(Explained { sql, milliseconds, buffers, buffers_read: read as u64, shape, plan })
}

fn number(node: &Value, name: &str) -> f64 {
    node.get(name).and_then(Value::as_f64).unwrap_or_default()
}

/// `Limit 100 (Index Only Scan Backward fills_key 100, passed over 7)`.
fn shape(node: &Value) -> String {
    let text = |name: &str| node.get(name).and_then(Value::as_str);
    let mut said = text("Node Type").unwrap_or("?").to_owned();
    if text("Scan Direction") == Some("Backward") {
        said.push_str(" Backward");
    }
    if let Some(what) = text("Index Name").or(text("Relation Name")) {
        said.push_str(&format!(" {what}"));
    }
    let loops = number(node, "Actual Loops");
    said.push_str(&format!(" {:.0}", number(node, "Actual Rows") * loops));
    if 1.0 < loops {
        said.push_str(&format!(" in {loops:.0}"));
    }
    let passed_over = number(node, "Rows Removed by Filter") * loops;
    if 0.0 < passed_over {
        said.push_str(&format!(", passed over {passed_over:.0}"));
    }
    let heap = number(node, "Heap Fetches");
    if 0.0 < heap {
        said.push_str(&format!(", heap {heap:.0}"));
    }
    let inner = node.get("Plans").and_then(Value::as_array).map(Vec::as_slice);
    let inner: Vec<String> = inner.unwrap_or_default().iter().map(shape).collect();
    if !inner.is_empty() {
        said.push_str(&format!(" ({})", inner.join("; ")));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-01-01 00:00:00.000 UTC [1] LOG:  checkpoint starting\n\
        2026-01-01 00:00:00.000 UTC [1] LOG:  duration: 0.050 ms  plan:\n\
        \t{\n\
        \t  \"Query Text\": \"SELECT ts FROM fills WHERE account_id = $1\",\n\
        \t  \"Plan\": {\"Node Type\": \"Limit\", \"Actual Rows\": 3, \"Actual Loops\": 1,\n\
        \t   \"Actual Total Time\": 0.04, \"Shared Hit Blocks\": 5, \"Shared Read Blocks\": 2,\n\
        \t   \"Plans\": [{\"Node Type\": \"Index Only Scan\", \"Scan Direction\": \"Backward\",\n\
        \t    \"Index Name\": \"fills_key\", \"Actual Rows\": 3, \"Actual Loops\": 2,\n\
        \t    \"Rows Removed by Filter\": 4, \"Heap Fetches\": 1}]}\n\
        \t}\n\
        2026-01-01 00:00:00.000 UTC [1] LOG:  duration: 0.050 ms  plan:\n\
        \t{\"Query Text\": \"SELECT 1\", \"Plan\": {\"Node Type\": \"Result\"}}\n";

    #[test]
    fn a_plan_is_told_in_a_line() {
        let found = plans(LOG);
        assert_eq!(found.len(), 2);
        let told: Vec<Explained> = found.into_iter().filter_map(explained).collect();
        assert_eq!(told.len(), 1, "what is not about history is left out");
        assert_eq!((told[0].buffers, told[0].buffers_read), (7, 2));
        assert_eq!(
            told[0].shape,
            "Limit 3 (Index Only Scan Backward fills_key 6 in 2, passed over 8, heap 1)"
        );
    }
}
