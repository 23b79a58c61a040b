//! One of the client's stream subscriptions: a socket of its own, all frames of one type.

use std::fmt::Debug;
use std::thread;

use bpx_api_client::BpxClient;
use scenarios::client::Trader;
use scenarios::eventually::eventually;
use scenarios::world::World;
use serde::de::DeserializeOwned;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{Receiver, channel};

/// More than a test hears in all: the client waits while it is full.
const FRAMES: usize = 4096;

pub struct Listening<T> {
    receiver: Receiver<T>,
    /// Every frame that could be parsed, in order.
    pub heard: Vec<T>,
}

impl<T: DeserializeOwned + Debug + Send + 'static> Listening<T> {
    /// Subscribes; nothing tells when that is in effect. The client signs with the trader's key
    /// where the stream is private.
    pub fn start(world: &World, trader: &Trader, stream: &str) -> Listening<T> {
        let builder = BpxClient::builder().base_url(world.rest_url());
        let builder = builder.ws_url(world.stack().ws_url());
        let client = builder.secret(&trader.client.keys.api_secret).build().unwrap();
        let (sender, receiver) = channel(FRAMES);
        let stream = stream.to_owned();
        // It ends with the connection, or at the first frame nobody wants.
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(client.subscribe(&stream, sender)).unwrap();
        });
        Listening { receiver, heard: Vec::new() }
    }

    fn take(&mut self) {
        while let Ok(frame) = self.receiver.try_recv() {
            self.heard.push(frame);
        }
    }

    /// Does it over and over until something is heard.
    pub fn begin(&mut self, mut stir: impl FnMut()) {
        eventually("a frame", || {
            stir();
            self.take();
            if self.heard.is_empty() { Err("nothing heard") } else { Ok(()) }
        });
    }

    /// Waits until `found` finds something in all that was heard.
    pub fn until<R>(&mut self, what: &str, mut found: impl FnMut(&[T]) -> Option<R>) -> R {
        eventually(what, || {
            self.take();
            found(&self.heard).ok_or_else(|| format!("{:?}", self.heard.last()))
        })
    }
}
