//! `account.cancelOnDisconnect`: keeps a lease while armed sockets live, ends it when one closes.

use tokio::sync::mpsc;

use crate::links::ToDisconnects;

/// Runs until nobody can say anything any more.
pub async fn run(mut said: mpsc::Receiver<ToDisconnects>) {
    while let Some(word) = said.recv().await {
        tracing::debug!(?word, "not done yet");
    }
}
