//! Questions on their way out: JSON, pushed onto lists of Redis.
//!
//! A question that cannot be pushed is dropped: who asked notices that no answer comes, and asks
//! again or says that it could not be found out.

use std::collections::BTreeSet;

use redis::aio::ConnectionManager;
use tokio::sync::mpsc;

/// A question for whoever pops the list.
#[derive(Debug)]
pub struct Push {
    pub list: &'static str,
    pub json: Vec<u8>,
}

/// Pushed in one round trip.
const BATCH_MAX: usize = 64;
/// While nobody pops a list it keeps the latest so many; those who asked the others have long given
/// up. More than all askers together have under way.
const LISTED_MAX: isize = 50_000;

/// Runs until nobody can ask any more. Safe to drop at any time.
pub async fn run(mut redis: ConnectionManager, mut pushes: mpsc::Receiver<Push>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while 0 < pushes.recv_many(&mut batch, BATCH_MAX).await {
        let mut pipeline = redis::pipe();
        let mut lists = BTreeSet::new();
        for Push { list, json } in batch.drain(..) {
            pipeline.lpush(list, json).ignore();
            lists.insert(list);
        }
        for list in lists {
            pipeline.ltrim(list, 0, LISTED_MAX - 1).ignore();
        }
        if let Err(error) = pipeline.exec_async(&mut redis).await {
            tracing::debug!(%error, "questions could not be pushed");
            metrics::counter!("fanout_questions_not_sent_total").increment(1);
        }
    }
}
