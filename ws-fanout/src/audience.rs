//! Which worker hears which stream, and what is to be told to whom.
//!
//! A membership waits until nothing of its stream will be missed; then it is joined and gets every
//! message. Whoever leaves names the membership it means, so that a late word about an earlier one
//! has no effect.

use std::collections::HashMap;

use bytes::Bytes;

use crate::close_reason::CloseReason;
use crate::links::{ToWorker, Token, WorkerId};
use crate::stream_name::StreamName;

/// What is to be sent, in order.
pub type Outbox = Vec<(WorkerId, ToWorker)>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Member {
    worker: WorkerId,
    token: Token,
    is_joined: bool,
}

#[derive(Debug, Default)]
pub struct Audiences {
    /// **Invariant:** none is empty.
    streams: HashMap<StreamName, Vec<Member>>,
}

impl Audiences {
    /// A worker has one membership in a stream: the latest.
    pub fn join(&mut self, worker: WorkerId, stream: StreamName, token: Token) {
        let members = self.streams.entry(stream).or_default();
        members.retain(|member| member.worker != worker);
        members.push(Member { worker, token, is_joined: false });
    }

    /// `true` if that was the last membership in the stream.
    pub fn leave(&mut self, worker: WorkerId, stream: StreamName, token: Token) -> bool {
        let Some(members) = self.streams.get_mut(&stream) else { return false };
        members.retain(|member| (member.worker, member.token) != (worker, token));
        let is_empty = members.is_empty();
        if is_empty {
            self.streams.remove(&stream);
        }
        is_empty
    }

    /// Whether anybody hears the stream or waits for it.
    pub fn is_wanted(&self, stream: StreamName) -> bool {
        self.streams.contains_key(&stream)
    }

    /// Whether anybody gets the stream's messages.
    pub fn is_heard(&self, stream: StreamName) -> bool {
        self.streams.get(&stream).is_some_and(|members| members.iter().any(|it| it.is_joined))
    }

    /// From here on nothing of the stream is missed.
    pub fn begin(&mut self, stream: StreamName, out: &mut Outbox) {
        let Some(members) = self.streams.get_mut(&stream) else { return };
        for member in members.iter_mut().filter(|member| !member.is_joined) {
            member.is_joined = true;
            out.push((member.worker, ToWorker::Joined { stream, token: member.token }));
        }
    }

    pub fn tell(&self, stream: StreamName, message: &Bytes, out: &mut Outbox) {
        let Some(members) = self.streams.get(&stream) else { return };
        for member in members.iter().filter(|member| member.is_joined) {
            let message = message.clone();
            out.push((member.worker, ToWorker::Message { stream, message }));
        }
    }

    /// Ends the memberships that had begun; those that wait were promised nothing.
    pub fn break_off(&mut self, stream: StreamName, reason: CloseReason, out: &mut Outbox) {
        let Some(members) = self.streams.get_mut(&stream) else { return };
        members.retain(|member| {
            if member.is_joined {
                let token = member.token;
                out.push((member.worker, ToWorker::Broken { stream, token, reason }));
            }
            !member.is_joined
        });
        if members.is_empty() {
            self.streams.remove(&stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream_name::PrivateName;
    use protocol::AccountId;

    fn stream() -> StreamName {
        let account = AccountId::new(1).unwrap();
        StreamName::Private { account, name: PrivateName::Balances }
    }

    #[test]
    fn only_those_who_joined_are_told() {
        let (stream, message) = (stream(), Bytes::from_static(b"m"));
        let mut audiences = Audiences::default();
        let mut out = Outbox::new();
        audiences.join(WorkerId(0), stream, Token(1));
        audiences.tell(stream, &message, &mut out);
        assert!(out.is_empty() && audiences.is_wanted(stream) && !audiences.is_heard(stream));
        audiences.begin(stream, &mut out);
        audiences.begin(stream, &mut out);
        audiences.join(WorkerId(1), stream, Token(1));
        audiences.tell(stream, &message, &mut out);
        audiences.break_off(stream, CloseReason::Gap, &mut out);
        let (worker, token, reason) = (WorkerId(0), Token(1), CloseReason::Gap);
        let expected = [
            (worker, ToWorker::Joined { stream, token }),
            (worker, ToWorker::Message { stream, message }),
            (worker, ToWorker::Broken { stream, token, reason }),
        ];
        assert_eq!(out, expected);
        assert!(audiences.is_wanted(stream), "who waits goes on waiting");
    }

    #[test]
    fn leaving_an_earlier_membership_has_no_effect() {
        let stream = stream();
        let mut audiences = Audiences::default();
        audiences.join(WorkerId(0), stream, Token(1));
        audiences.join(WorkerId(0), stream, Token(2));
        assert!(!audiences.leave(WorkerId(0), stream, Token(1)));
        assert!(audiences.is_wanted(stream));
        assert!(audiences.leave(WorkerId(0), stream, Token(2)));
        assert!(!audiences.leave(WorkerId(0), stream, Token(2)));
        assert!(!audiences.is_wanted(stream));
    }
}
