//! Why the server ends a socket, and how it says so.

/// Why the server ends a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// It reads more slowly than its streams speak.
    Lagging,
    /// A frame of a stream it hears is missing.
    Gap,
    TooManyStreams,
    TooManyRequests,
    NoPong,
    MessageTooBig,
    /// Frames that break the rules of the protocol.
    Protocol,
    /// Text that is not UTF-8.
    Text,
    /// Who its client is cannot be found out now.
    Unverifiable,
    Shutdown,
}

impl CloseReason {
    /// Of the Close frame.
    pub const fn code(self) -> u16 {
        match self {
            CloseReason::Lagging
            | CloseReason::TooManyStreams
            | CloseReason::TooManyRequests
            | CloseReason::NoPong => 1008,
            CloseReason::Gap | CloseReason::Unverifiable => 1013,
            CloseReason::Protocol => 1002,
            CloseReason::Text => 1007,
            CloseReason::MessageTooBig => 1009,
            CloseReason::Shutdown => 1001,
        }
    }

    pub const fn text(self) -> &'static str {
        match self {
            CloseReason::Lagging => "reading too slowly",
            CloseReason::Gap => "stream interrupted, subscribe again",
            CloseReason::TooManyStreams => "too many streams",
            CloseReason::TooManyRequests => "too many requests",
            CloseReason::NoPong => "no pong",
            CloseReason::MessageTooBig => "message too big",
            CloseReason::Protocol => "protocol error",
            CloseReason::Text => "text is not UTF-8",
            CloseReason::Unverifiable => "signatures cannot be checked now, try again",
            CloseReason::Shutdown => "going away",
        }
    }
}
