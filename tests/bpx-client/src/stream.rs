//! What the crate hears of streams: one socket a call, every frame parsed as one type.
//!
//! A frame that does not parse is dropped inside the crate. So whoever must hear of everything
//! counts ids, or waits for the one thing that is to come.

use std::fmt::Debug;
use std::time::Duration;

use scenarios::eventually::{PATIENCE, SECOND};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::{Instant, timeout_at};

use crate::Caller;

/// More frames than any scenario here causes between two looks.
const FRAMES_MAX: usize = 10_000;

pub struct Stream<T> {
    /// Everything so far, in order.
    pub heard: Vec<T>,
    receiver: Receiver<T>,
}

impl Caller {
    /// Subscribes; heard is what comes while the caller asks or listens.
    pub fn stream<T: DeserializeOwned + Send + 'static>(&self, names: &[&str]) -> Stream<T> {
        let (sender, receiver) = mpsc::channel(FRAMES_MAX);
        let client = self.client.clone();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        self.runtime.spawn(async move {
            match names.as_slice() {
                [one] => client.subscribe(one, sender).await,
                several => {
                    let names: Vec<&str> = several.iter().map(String::as_str).collect();
                    client.subscribe_multiple(&names, sender).await
                }
            }
        });
        Stream { heard: Vec::new(), receiver }
    }

    /// Listens until `found` finds something in all that was heard.
    pub fn hear<T: Debug, F>(
        &self,
        stream: &mut Stream<T>,
        what: &str,
        found: impl FnMut(&[T]) -> Option<F>,
    ) -> F {
        match self.hear_within(PATIENCE, stream, found) {
            Some(found) => found,
            None => panic!("never heard: {what}; heard {:#?}", stream.heard),
        }
    }

    /// Nothing says when a subscription holds: acts until something of it is heard.
    pub fn until_it_holds<T: Debug>(&self, stream: &mut Stream<T>, mut act: impl FnMut()) {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            act();
            let any = |heard: &[T]| (!heard.is_empty()).then_some(());
            if self.hear_within(SECOND, stream, any).is_some() {
                return;
            }
        }
        panic!("nothing was ever heard");
    }

    fn hear_within<T, F>(
        &self,
        within: Duration,
        stream: &mut Stream<T>,
        mut found: impl FnMut(&[T]) -> Option<F>,
    ) -> Option<F> {
        self.runtime.block_on(async {
            let until = Instant::now() + within;
            loop {
                if let Some(found) = found(&stream.heard) {
                    return Some(found);
                }
                match timeout_at(until, stream.receiver.recv()).await {
                    Ok(Some(frame)) => stream.heard.push(frame),
                    Ok(None) => panic!("the stream has ended"),
                    Err(_) => return None,
                }
            }
        })
    }
}
