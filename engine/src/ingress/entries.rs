//! What XREAD answers, entry by entry: `[[key, [[id, [field, value, …]], …]], …]`.

use protocol::keys::COMMAND_FIELD;
use protocol::{Action, Command, DecodeError, StreamCursor};
use redis::Value;

use super::stream::AtCursor;

/// Why an entry is no command of its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it has no field {COMMAND_FIELD}")]
    Field,
    #[error(transparent)]
    Record(#[from] DecodeError),
    #[error("it belongs to another stream")]
    OtherStream,
    #[error("it is one that the engine alone gives")]
    Internal,
}

/// One stream's share of an answer: key and entries.
pub fn streams(answer: &Value) -> impl Iterator<Item = (&[u8], &[Value])> {
    let streams = match answer {
        Value::Array(streams) => streams.as_slice(),
        _ => &[],
    };
    streams.iter().filter_map(|stream| match stream {
        Value::Array(pair) => match pair.as_slice() {
            [Value::BulkString(key), Value::Array(entries)] => {
                Some((key.as_slice(), entries.as_slice()))
            }
            _ => None,
        },
        _ => None,
    })
}

/// Id and fields of an entry; `None` when Redis answers in a way it never did.
pub fn entry(entry: &Value) -> Option<(StreamCursor, &[Value])> {
    let Value::Array(pair) = entry else { return None };
    let [Value::BulkString(id), Value::Array(fields)] = pair.as_slice() else { return None };
    let cursor = StreamCursor::parse(std::str::from_utf8(id).ok()?)?;
    Some((cursor, fields))
}

/// What XRANGE answers for a single id.
pub fn at_cursor(answer: &Value) -> AtCursor {
    let found = match answer {
        Value::Array(entries) => entries.first().and_then(entry),
        _ => None,
    };
    match found {
        Some((_, fields)) => AtCursor::Entry(command(fields).ok().map(|command| command.origin)),
        None => AtCursor::Nothing,
    }
}

/// The command among an entry's fields.
pub fn command(fields: &[Value]) -> Result<Command, Malformed> {
    let (pairs, _) = fields.as_chunks::<2>();
    let record = pairs.iter().find_map(|[name, value]| match (name, value) {
        (Value::BulkString(name), Value::BulkString(value)) if name == COMMAND_FIELD.as_bytes() => {
            Some(value)
        }
        _ => None,
    });
    let command = Command::decode_slice(record.ok_or(Malformed::Field)?)?;
    // What a shard fires has no sender: it never comes over a stream.
    let is_internal = matches!(command.action, Action::Fire(_));
    if is_internal { Err(Malformed::Internal) } else { Ok(command) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn an_entry_gives_its_id_and_fields() {
        let fields = vec![text("c"), text("not a record")];
        let answer = Value::Array(vec![Value::Array(vec![
            text("orders:{SOL_USDC}"),
            Value::Array(vec![Value::Array(vec![text("12-3"), Value::Array(fields)])]),
        ])]);
        let all: Vec<_> = streams(&answer).collect();
        assert_eq!((all.len(), all[0].0), (1, &b"orders:{SOL_USDC}"[..]));
        let (cursor, fields) = entry(&all[0].1[0]).unwrap();
        assert_eq!(cursor, StreamCursor { milliseconds: 12, counter: 3 });
        assert_eq!(command(fields), Err(Malformed::Record(DecodeError::Length(12))));
        assert_eq!(command(&[text("x"), text("y")]), Err(Malformed::Field));
        assert_eq!(streams(&Value::Nil).count(), 0);
    }

    #[test]
    fn what_the_engine_fires_by_itself_is_no_command_of_a_stream() {
        use protocol::{
            MarketId, OrderId, Origin, Side, Trigger, TriggerBy, TriggerDirection, WaitingOrder,
            fixture,
        };

        let waiting = WaitingOrder {
            order: OrderId::from_parts(MarketId(1), 3, 1).unwrap(),
            place: fixture::limit(MarketId(1), 1, Side::Bid, 10, 1),
            trigger: Trigger { price: fixture::price(9), by: TriggerBy::LastPrice },
            direction: TriggerDirection::Rise,
            created_us: 5,
        };
        let action = Action::Fire(waiting);
        let record = Command { origin: Origin::INTERNAL, time_us: 7, action }.encode();
        let fields = [text("c"), Value::BulkString(record.to_vec())];
        assert_eq!(command(&fields), Err(Malformed::Internal));
    }

    #[test]
    fn what_stands_at_the_cursor_is_told_by_its_sender() {
        use protocol::{Action, GatewayId, Origin};

        let origin = Origin { gateway: GatewayId(7), epoch: 1, sequence: 3 };
        let record = Command { origin, time_us: 0, action: Action::CreateAccount }.encode();
        let answer = |value: Value| {
            let fields = Value::Array(vec![text("c"), value]);
            Value::Array(vec![Value::Array(vec![text("12-3"), fields])])
        };
        let command = answer(Value::BulkString(record.to_vec()));
        assert_eq!(at_cursor(&command), AtCursor::Entry(Some(origin)));
        assert_eq!(at_cursor(&answer(text("no record"))), AtCursor::Entry(None));
        assert_eq!(at_cursor(&Value::Array(Vec::new())), AtCursor::Nothing);
    }
}
