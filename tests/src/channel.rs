//! A subscriber of Redis channels, as `redis-cli SUBSCRIBE` is one.

use std::time::Instant;

use redis::{Client, Connection, Value, cmd};
use serde_json::Value as Json;

use crate::eventually::PATIENCE;

pub struct Channel {
    connection: Connection,
    /// Channel and payload of everything heard so far.
    pub heard: Vec<(String, Json)>,
}

impl Channel {
    /// Returns once Redis has confirmed all of them.
    pub fn subscribe(redis_url: &str, channels: &[&str]) -> Channel {
        let client = Client::open(redis_url).unwrap();
        let mut connection = client.get_connection_with_timeout(PATIENCE).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let command = cmd("SUBSCRIBE").arg(channels).get_packed_command();
        connection.send_packed_command(&command).unwrap();
        for _ in channels {
            let (kind, _, _) = message(connection.recv_response().unwrap());
            assert_eq!(kind, "subscribe");
        }
        Channel { connection, heard: Vec::new() }
    }

    /// Listens until `found` finds something in all that was heard.
    pub fn until<T>(
        &mut self,
        what: &str,
        mut found: impl FnMut(&[(String, Json)]) -> Option<T>,
    ) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = found(&self.heard) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never heard on Redis: {what}; heard {:?}", self.heard);
            self.connection.set_read_timeout(Some(left)).unwrap();
            let answer = self.connection.recv_response();
            let answer = answer.unwrap_or_else(|error| {
                panic!("not heard on Redis: {what} ({error}); heard {:?}", self.heard)
            });
            let (_, channel, payload) = message(answer);
            self.heard.push((channel, serde_json::from_str(&payload).unwrap()));
        }
    }
}

/// Kind, channel and payload of what a subscriber is sent.
fn message(answer: Value) -> (String, String, String) {
    let (kind, rest) = match answer {
        Value::Push { kind, data } => (kind.to_string(), data),
        Value::Array(mut parts) => {
            let kind = text(&parts.remove(0));
            (kind, parts)
        }
        other => panic!("a subscriber was sent {other:?}"),
    };
    assert_eq!(rest.len(), 2, "{kind} {rest:?}");
    (kind, text(&rest[0]), text(&rest[1]))
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Value::SimpleString(text) => text.clone(),
        other => format!("{other:?}"),
    }
}
