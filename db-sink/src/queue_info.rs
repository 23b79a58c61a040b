//! How far each event queue on Redis reaches.

use protocol::StreamCursor;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoStreamReply;
use redis::{FromRedisValue, RedisError, Value};

use crate::streams::Streams;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QueueInfo {
    pub entries: usize,
    /// The highest sequence it ever had, trimmed or not; 0 for a queue that is not there.
    pub last: u64,
}

/// By place in `streams`.
pub async fn queues(
    connection: &mut MultiplexedConnection,
    streams: &Streams,
) -> Result<Vec<QueueInfo>, RedisError> {
    let mut pipeline = redis::pipe();
    // A queue that does not exist is an error for XINFO.
    pipeline.ignore_errors();
    for stream in streams.all() {
        pipeline.cmd("XINFO").arg("STREAM").arg(&stream.key);
    }
    let replies: Vec<Value> = pipeline.query_async(connection).await?;
    replies.into_iter().map(queue).collect()
}

fn queue(reply: Value) -> Result<QueueInfo, RedisError> {
    if let Value::ServerError(error) = &reply
        && error.details().is_some_and(|details| details.contains("no such key"))
    {
        return Ok(QueueInfo::default());
    }
    let info = StreamInfoStreamReply::from_redis_value(reply.extract_error()?)?;
    let last = StreamCursor::parse(&info.last_generated_id);
    Ok(QueueInfo { entries: info.length, last: last.map_or(0, |cursor| cursor.milliseconds) })
}
