//! What XINFO STREAM tells of a stream.

use protocol::StreamCursor;
use redis::{ErrorKind, RedisResult, Value};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamInfo {
    /// The highest id it ever had.
    pub last: StreamCursor,
    pub entries: u64,
}

/// `None` when there is no such key.
pub fn parse(answer: Value) -> RedisResult<Option<StreamInfo>> {
    let fields = match answer {
        Value::Array(fields) => fields,
        Value::ServerError(error)
            if error.details().is_some_and(|it| it.contains("no such key")) =>
        {
            return Ok(None);
        }
        other => {
            other.extract_error()?;
            return Err(unknown());
        }
    };
    let (mut last, mut entries) = (None, None);
    for [name, value] in fields.as_chunks::<2>().0 {
        match (name, value) {
            (Value::BulkString(name), Value::BulkString(id)) if name == b"last-generated-id" => {
                last = std::str::from_utf8(id).ok().and_then(StreamCursor::parse);
            }
            (Value::BulkString(name), Value::Int(length)) if name == b"length" => {
                entries = u64::try_from(*length).ok();
            }
            _ => (),
        }
    }
    let (Some(last), Some(entries)) = (last, entries) else { return Err(unknown()) };
    Ok(Some(StreamInfo { last, entries }))
}

fn unknown() -> redis::RedisError {
    (ErrorKind::UnexpectedReturnType, "xinfo stream answers otherwise than known").into()
}

#[cfg(test)]
mod tests {
    use redis::ConnectionLike;
    use xtask::private_servers::Server;

    use super::*;

    #[test]
    fn last_id_and_length_are_read_and_a_missing_key_is_none() {
        let server = Server::redis("engine-stream-info").unwrap();
        let mut redis = redis::Client::open(server.url.as_str()).unwrap();
        let mut ask = |command: &[&str]| {
            let mut it = redis::Cmd::new();
            it.arg(command);
            let packed = it.get_packed_command();
            redis.req_packed_commands(&packed, 0, 1).unwrap().remove(0)
        };
        let info = ["XINFO", "STREAM", "queue"];
        assert_eq!(parse(ask(&info)).unwrap(), None);
        for id in ["5-0", "7-3"] {
            ask(&["XADD", "queue", id, "f", "x"]);
        }
        ask(&["XTRIM", "queue", "MAXLEN", "1"]);
        let last = StreamCursor { milliseconds: 7, counter: 3 };
        assert_eq!(parse(ask(&info)).unwrap(), Some(StreamInfo { last, entries: 1 }));
        ask(&["SET", "text", "x"]);
        assert!(parse(ask(&["XINFO", "STREAM", "text"])).is_err());
        assert!(parse(Value::Nil).is_err());
    }
}
