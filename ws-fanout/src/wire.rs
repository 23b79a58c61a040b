//! WebSocket messages as bytes, made once and sent to many.

use bytes::{BufMut, Bytes, BytesMut};

/// The longest head of a frame that is not masked.
const HEAD_MAX: usize = 10;
const FINAL: u8 = 0x80;
const TEXT: u8 = 0x1;

/// A text message in one frame, put together of `parts`.
pub fn text_message(parts: &[&str]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut message = BytesMut::with_capacity(HEAD_MAX + length);
    put_head(&mut message, FINAL | TEXT, length);
    parts.iter().for_each(|part| message.put_slice(part.as_bytes()));
    message.freeze()
}

fn put_head(out: &mut BytesMut, first: u8, length: usize) {
    out.put_u8(first);
    match length {
        0..=125 => out.put_u8(length as u8),
        126..=0xffff => {
            out.put_u8(126);
            out.put_u16(length as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}
