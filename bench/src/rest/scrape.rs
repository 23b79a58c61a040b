//! Where the time went, from the histograms of gateway and engine: each is read before and after a
//! step, and the difference is the step's.

use std::collections::BTreeMap;

use serde::Serialize;
use xtask::services::{ENGINE, IO_GATEWAY};

use super::exchange::Exchange;
use super::requests::Kind;
use crate::error::BenchError;

/// Mean µs, each of what it counts: requests, commands, or batches of them.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Split {
    /// In the gateway, from the head of a request to its answer.
    pub request_us: f64,
    /// Checking a signature.
    pub verify_us: f64,
    /// Until Redis has taken the command.
    pub queue_us: f64,
    /// From the same moment until the decision is there.
    pub decision_us: f64,
    /// Of it in the engine, from the reading of a command until it is durable.
    pub durable_us: f64,
    /// Of that, a write and sync of the journal.
    pub commit_us: f64,
    /// Until Redis has taken the replies.
    pub publish_us: f64,
    /// Commands of one write and sync.
    pub group: f64,
}

/// A moment's `_sum` and `_count` of each series.
#[derive(Debug)]
pub struct Scrape {
    gateway: BTreeMap<String, f64>,
    engine: BTreeMap<String, f64>,
}

impl Scrape {
    pub fn of(exchange: &Exchange) -> Result<Scrape, BenchError> {
        let read = |service: &str| Ok::<_, BenchError>(series(&exchange.metrics(service)?));
        Ok(Scrape { gateway: read(IO_GATEWAY)?, engine: read(ENGINE)? })
    }

    /// What was between; of the requests of this kind.
    pub fn since(&self, before: &Scrape, kind: Kind) -> Split {
        let gateway = Between(&before.gateway, &self.gateway);
        let engine = Between(&before.engine, &self.engine);
        let labels = format!("{{method=\"{}\",route=\"/api/v1/order\"}}", kind.method());
        Split {
            request_us: gateway.mean_us("gateway_request_seconds", &labels),
            verify_us: gateway.mean_us("gateway_verify_seconds", ""),
            queue_us: gateway.mean_us("gateway_queue_seconds", ""),
            decision_us: gateway.mean_us("gateway_decision_seconds", ""),
            durable_us: engine.mean_us("engine_durable_seconds", ""),
            commit_us: engine.mean_us("engine_journal_commit_seconds", ""),
            publish_us: engine.mean_us("engine_reply_publish_seconds", ""),
            group: engine.more("engine_journal_frames_total")
                / engine.more("engine_journal_groups_total").max(1.0),
        }
    }
}

struct Between<'a>(&'a BTreeMap<String, f64>, &'a BTreeMap<String, f64>);

impl Between<'_> {
    fn more(&self, series: &str) -> f64 {
        let at = |moment: &BTreeMap<String, f64>| moment.get(series).copied().unwrap_or_default();
        at(self.1) - at(self.0)
    }

    /// 0 when nothing was recorded.
    fn mean_us(&self, name: &str, labels: &str) -> f64 {
        let count = self.more(&format!("{name}_count{labels}"));
        if count < 1.0 { 0.0 } else { self.more(&format!("{name}_sum{labels}")) / count * 1e6 }
    }
}

/// Everything in the text but the buckets, by name and labels.
pub fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{"));
    let read = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    lines.filter_map(read).collect()
}

/// The values of a series, one for each of its labels.
pub fn named(series: &BTreeMap<String, f64>, name: &str) -> impl Iterator<Item = f64> {
    let is_it = move |key: &str| key.split('{').next() == Some(name);
    series.iter().filter(move |(key, _)| is_it(key)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_what_came_between_two_scrapes() {
        let before = "# TYPE a_seconds histogram\na_seconds_bucket{le=\"1\"} 2\na_seconds_sum 3\n\
                      a_seconds_count 2\n";
        let after = "a_seconds_bucket{le=\"1\"} 2\na_seconds_sum 3.5\na_seconds_count 4\n\
                     b_seconds_sum{x=\"y z\"} 1\nb_seconds_count{x=\"y z\"} 1\nc_total 7\n";
        let (before, after) = (series(before), series(after));
        assert_eq!(before.len(), 2);
        let between = Between(&before, &after);
        assert_eq!(between.mean_us("a_seconds", ""), 250_000.0);
        assert_eq!(between.mean_us("b_seconds", "{x=\"y z\"}"), 1_000_000.0);
        assert_eq!(between.mean_us("none", ""), 0.0);
        assert_eq!(between.more("c_total"), 7.0);
    }
}
