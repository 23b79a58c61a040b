//! The publisher thread: market data, answers to queries and the engine's own commands, as the
//! replica made them.

use crossbeam::channel::Receiver;

use super::Broadcast;
use crate::durable::{Message, Publication};

/// Runs until the replica has ended and everything is sent.
pub fn run(messages: &Receiver<Message>, mut broadcast: Broadcast) {
    while let Ok(message) = messages.recv() {
        push(&mut broadcast, &message);
        while !broadcast.is_full()
            && let Ok(message) = messages.try_recv()
        {
            push(&mut broadcast, &message);
        }
        broadcast.flush();
    }
}

fn push(broadcast: &mut Broadcast, message: &Message) {
    match message {
        Message::Publish(Publication { channel, payload }) => {
            broadcast.push(channel.as_bytes(), payload);
        }
        Message::Set { key, payload } => broadcast.push_set(key.as_bytes(), payload),
        Message::Command { key, record } => broadcast.push_command(key.as_bytes(), record),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crossbeam::channel::bounded;

    use protocol::{Action, BookState, Command, GatewayId, Origin, fixture, keys};
    use redis::Value;
    use xtask::private_servers::Server;

    use super::*;
    use crate::counters::EgressCounters;
    use crate::ingress::entries;
    use crate::redis_link::{self, RedisLink};

    #[test]
    fn a_command_of_the_engine_stands_on_its_stream_like_anybodys() {
        let redis = Server::redis("engine-publisher").unwrap();
        let client = redis_link::client(&redis.url).unwrap();
        let counters = Arc::new(EgressCounters::default());
        let link = || RedisLink::new(client.clone());
        let (sender, messages) = bounded(2);
        let command = Command {
            origin: Origin { gateway: GatewayId::ENGINE, epoch: 7, sequence: 1 },
            time_us: 0,
            action: Action::SetBookState { market: fixture::MARKET, state: BookState::CancelOnly },
        };
        let publication = Publication { channel: "nobody".to_owned(), payload: vec![1] };
        sender.send(Message::Publish(publication)).unwrap();
        sender.send(Message::command(&fixture::catalog(), &command).unwrap()).unwrap();
        drop(sender);
        run(&messages, Broadcast::new(link(), Arc::clone(&counters)));
        assert_eq!(counters.messages.get(), 2);
        let key = keys::orders("SOL_USDC");
        let answer = link().one(&[b"XRANGE", key.as_bytes(), b"-", b"+"]).unwrap();
        let Value::Array(found) = answer else { panic!("{answer:?}") };
        let (_, fields) = entries::entry(&found[0]).unwrap();
        assert_eq!(entries::command(fields), Ok(command));
    }
}
