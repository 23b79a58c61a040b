//! One thread's connection to Redis: pipelines of packed commands, a deadline on everything, and
//! reconnecting with back-off.

use std::time::Duration;

use redis::{Client, Connection, ConnectionLike, RedisResult, Value};

use crate::error::EngineError;
use crate::stop::Stop;

pub mod stream_info;

const CONNECT_MAX: Duration = Duration::from_secs(2);
const ANSWER_MAX: Duration = Duration::from_secs(5);
const BACK_OFF_MIN: Duration = Duration::from_millis(20);
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// Commands as they go over the wire, one behind the other.
#[derive(Debug, Default)]
pub struct Pipeline {
    packed: Vec<u8>,
    commands: usize,
}

impl Pipeline {
    pub fn push(&mut self, arguments: &[&[u8]]) {
        self.length(b'*', arguments.len());
        for argument in arguments {
            self.length(b'$', argument.len());
            self.packed.extend_from_slice(argument);
            self.packed.extend_from_slice(b"\r\n");
        }
        self.commands += 1;
    }

    fn length(&mut self, kind: u8, length: usize) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut left = length;
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.packed.push(kind);
        self.packed.extend_from_slice(&digits[at..]);
        self.packed.extend_from_slice(b"\r\n");
    }

    pub fn clear(&mut self) {
        self.packed.clear();
        self.commands = 0;
    }

    pub fn commands(&self) -> usize {
        self.commands
    }

    pub fn bytes(&self) -> usize {
        self.packed.len()
    }

    pub fn is_empty(&self) -> bool {
        self.commands == 0
    }
}

/// Reads a Redis URL.
pub fn client(url: &str) -> Result<Client, EngineError> {
    Client::open(url).map_err(|cause| EngineError::RedisUrl { url: url.to_owned(), cause })
}

pub struct RedisLink {
    client: Client,
    connection: Option<Connection>,
    back_off: Duration,
}

impl RedisLink {
    pub fn new(client: Client) -> RedisLink {
        RedisLink { client, connection: None, back_off: BACK_OFF_MIN }
    }

    /// Whether the next call goes over the connection of the one before.
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// One value a command; a command that Redis refused is a [`Value::ServerError`] in its place.
    /// After an error it is unknown which commands took effect, and the next call connects anew.
    pub fn exchange(&mut self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let values = connection.req_packed_commands(&pipeline.packed, 0, pipeline.commands)?;
        self.connection = Some(connection);
        if !values.iter().any(|value| matches!(value, Value::ServerError(_))) {
            self.back_off = BACK_OFF_MIN;
        }
        Ok(values)
    }

    pub fn one(&mut self, arguments: &[&[u8]]) -> RedisResult<Value> {
        let mut pipeline = Pipeline::default();
        pipeline.push(arguments);
        let value = self.exchange(&pipeline)?.pop();
        value.unwrap_or(Value::Nil).extract_error()
    }

    fn connect(&self) -> RedisResult<Connection> {
        let connection = self.client.get_connection_with_timeout(CONNECT_MAX)?;
        connection.set_read_timeout(Some(ANSWER_MAX))?;
        connection.set_write_timeout(Some(ANSWER_MAX))?;
        Ok(connection)
    }

    /// Waits longer after each failure in a row; returns whether the end was wished meanwhile.
    pub fn back_off(&mut self, stop: &Stop) -> bool {
        let wished = stop.sleep(self.back_off);
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
        wished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_packed_as_redis_reads_them() {
        let mut pipeline = Pipeline::default();
        pipeline.push(&[b"PUBLISH", b"replies:1", &[b'x'; 12]]);
        pipeline.push(&[b"GET", b""]);
        let text = "*3\r\n$7\r\nPUBLISH\r\n$9\r\nreplies:1\r\n$12\r\nxxxxxxxxxxxx\r\n\
                    *2\r\n$3\r\nGET\r\n$0\r\n\r\n";
        assert_eq!(pipeline.packed, text.as_bytes());
        assert_eq!(pipeline.commands(), 2);
    }
}
