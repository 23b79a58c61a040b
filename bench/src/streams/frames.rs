//! Frames of a server out of what a read brought: heads alone are parsed, texts only looked at
//! where a number is wanted.

use crate::error::BenchError;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const MASKED: u8 = 0x80;
/// A trade's id stands no further from the end of its frame.
const TRADE_ID_FROM_END: usize = 48;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Frame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    /// With the code that says why; 0 for none.
    Close(u16),
}

/// The first frame and how many bytes it takes; `None` while it is not whole.
pub fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, BenchError> {
    let (head, length) = match bytes {
        [_, length @ 0..=125, ..] => (2, usize::from(*length)),
        [_, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        [_, 126 | 127, ..] | [] | [_] if bytes.len() < 10 => return Ok(None),
        _ => return Err(BenchError::Frame("a frame of more than 64 KiB".to_owned())),
    };
    let end = head + length;
    let Some(payload) = bytes.get(head..end) else { return Ok(None) };
    let frame = match (bytes.first().copied().unwrap_or_default(), payload) {
        (TEXT, text) => Frame::Text(text),
        (PING, ping) => Frame::Ping(ping),
        (PONG, _) => Frame::Pong,
        (CLOSE, [a, b, ..]) => Frame::Close(u16::from_be_bytes([*a, *b])),
        (CLOSE, _) => Frame::Close(0),
        (other, _) => return Err(BenchError::Frame(format!("a frame that begins {other:#x}"))),
    };
    Ok(Some((frame, end)))
}

/// A frame of a client. The mask is 0: one that changes nothing.
pub fn masked(frame: Frame<'_>) -> Vec<u8> {
    let (opcode, payload) = match frame {
        Frame::Text(text) => (TEXT, text),
        Frame::Ping(payload) => (PING, payload),
        Frame::Pong => (PONG, &[][..]),
        Frame::Close(_) => (CLOSE, &[][..]),
    };
    with_head(opcode, payload)
}

pub fn pong(payload: &[u8]) -> Vec<u8> {
    with_head(PONG, payload)
}

fn with_head(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![opcode];
    match u8::try_from(payload.len()) {
        Ok(length @ 0..=125) => bytes.push(MASKED | length),
        _ => {
            bytes.push(MASKED | 126);
            bytes.extend((payload.len() as u16).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// The id in a trade's frame.
pub fn trade_id(text: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"t\":";
    let tail = text.get(text.len().saturating_sub(TRADE_ID_FROM_END)..)?;
    let at = tail.windows(NAME.len()).rposition(|part| part == NAME)?;
    digits(tail.get(at + NAME.len()..)?)
}

/// The engine's time in a frame, in µs.
pub fn engine_time_us(text: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"\"T\":";
    let at = text.windows(NAME.len()).position(|part| part == NAME)?;
    digits(text.get(at + NAME.len()..)?)
}

fn digits(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    std::str::from_utf8(bytes.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_there_when_its_last_byte_is() {
        let long = [&[TEXT, 126, 1, 4][..], &[b'x'; 260]].concat();
        for bytes in [&[TEXT, 2, b'h', b'i'][..], &long, &[PING, 0], &[CLOSE, 2, 3, 0xf5]] {
            for end in 0..bytes.len() {
                assert_eq!(first(&bytes[..end]).unwrap(), None, "{end}");
            }
            let more = [bytes, &[PONG, 0]].concat();
            assert_eq!(first(&more).unwrap().unwrap().1, bytes.len());
        }
        let (frame, _) = first(&[CLOSE, 2, 3, 0xf5]).unwrap().unwrap();
        assert_eq!(frame, Frame::Close(1013));
        assert!(first(&[TEXT, 127, 0, 0, 0, 0, 0, 1, 0, 0]).is_err());
        assert!(first(&[0x82, 0]).is_err());
    }

    #[test]
    fn numbers_are_found_without_reading_the_rest() {
        let text = br#"{"stream":"trade.A_B","data":{"e":"trade","E":9,"T":17,"t":4711,"m":true}}"#;
        assert_eq!((trade_id(text), engine_time_us(text)), (Some(4711), Some(17)));
        assert_eq!((trade_id(b"{}"), engine_time_us(b"{}")), (None, None));
    }

    #[test]
    fn what_a_client_sends_is_masked() {
        assert_eq!(masked(Frame::Text(b"hi")), [TEXT, 0x82, 0, 0, 0, 0, b'h', b'i']);
        assert_eq!(masked(Frame::Text(&[b'x'; 300]))[..4], [TEXT, 0xfe, 1, 44]);
        assert_eq!(pong(b"p"), [PONG, 0x81, 0, 0, 0, 0, b'p']);
    }
}
