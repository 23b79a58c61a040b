//! Commands and their binary and CSV encodings.

use std::io::{self, Read, Write};

/// What a command asks of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Good-till-cancel limit order; what does not trade rests.
    New = 0,
    /// Limit order whose untraded remainder is dropped.
    Ioc = 1,
    /// No price limit; the untraded remainder is dropped. `price` is 0.
    Market = 2,
    /// Remove a resting order. `price` and `qty` are 0.
    Cancel = 3,
    /// Take `qty` lots off a resting order; it keeps its place. `price` is 0.
    Reduce = 4,
    /// Take a resting order out and enter it again, same id, at `price`.
    /// `qty` repeats its remaining quantity, which does not change.
    Move = 5,
}

/// The side of the book an order belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Side {
    Buy = 0,
    Sell = 1,
}

impl Side {
    /// The opposite side.
    pub fn other(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}

/// One command. Prices are whole ticks, quantities whole lots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    pub kind: Kind,
    pub side: Side,
    pub account: u32,
    pub id: u64,
    pub price: u64,
    pub qty: u64,
}

/// A whole workload: `prefill` commands build the book, the rest are measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    pub name: String,
    pub seed: u64,
    pub prefill: usize,
    pub commands: Vec<Command>,
}

/// The first bytes of a binary flow file: name and version of the format.
pub const MAGIC: [u8; 8] = *b"OFLOW\0\0\x01";
pub const HEADER_BYTES: usize = 64;
pub const RECORD_BYTES: usize = 32;

fn bad(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// The eight bytes from `at` on, as a little-endian number.
fn word(bytes: &[u8], at: usize) -> u64 {
    (0..8).rev().fold(0, |value, i| value << 8 | u64::from(bytes[at + i]))
}

impl Command {
    /// As a binary record.
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut b = [0u8; RECORD_BYTES];
        b[0] = self.kind as u8;
        b[1] = self.side as u8;
        b[4..8].copy_from_slice(&self.account.to_le_bytes());
        b[8..16].copy_from_slice(&self.id.to_le_bytes());
        b[16..24].copy_from_slice(&self.price.to_le_bytes());
        b[24..32].copy_from_slice(&self.qty.to_le_bytes());
        b
    }

    /// From a binary record; an unknown kind or side is an error.
    pub fn decode(b: &[u8; RECORD_BYTES]) -> io::Result<Command> {
        let kind = match b[0] {
            0 => Kind::New,
            1 => Kind::Ioc,
            2 => Kind::Market,
            3 => Kind::Cancel,
            4 => Kind::Reduce,
            5 => Kind::Move,
            _ => return Err(bad("unknown command kind")),
        };
        let side = match b[1] {
            0 => Side::Buy,
            1 => Side::Sell,
            _ => return Err(bad("unknown side")),
        };
        Ok(Command {
            kind,
            side,
            account: u32::from_le_bytes([b[4], b[5], b[6], b[7]]),
            id: word(b, 8),
            price: word(b, 16),
            qty: word(b, 24),
        })
    }
}

impl Flow {
    /// Writes the whole flow as a binary file.
    pub fn write_binary(&self, out: &mut impl Write) -> io::Result<()> {
        let mut header = [0u8; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..16].copy_from_slice(&self.seed.to_le_bytes());
        header[16..24].copy_from_slice(&(self.prefill as u64).to_le_bytes());
        header[24..32].copy_from_slice(&(self.commands.len() as u64).to_le_bytes());
        let name = self.name.as_bytes();
        if name.len() > 32 {
            return Err(bad("flow name longer than 32 bytes"));
        }
        header[32..32 + name.len()].copy_from_slice(name);
        out.write_all(&header)?;
        for command in &self.commands {
            out.write_all(&command.encode())?;
        }
        Ok(())
    }

    /// Reads a binary file; a damaged or short one is an error.
    pub fn read_binary(input: &mut impl Read) -> io::Result<Flow> {
        let mut header = [0u8; HEADER_BYTES];
        input.read_exact(&mut header)?;
        if header[..8] != MAGIC {
            return Err(bad("not an order-flow file of this version"));
        }
        let name_end = header[32..].iter().position(|&c| c == 0).unwrap_or(32);
        let name = String::from_utf8_lossy(&header[32..32 + name_end]).into_owned();
        let count = usize::try_from(word(&header, 24)).map_err(|_| bad("too many commands"))?;
        let mut commands = Vec::new();
        let mut record = [0u8; RECORD_BYTES];
        for _ in 0..count {
            input.read_exact(&mut record)?;
            commands.push(Command::decode(&record)?);
        }
        let prefill = usize::try_from(word(&header, 16)).map_err(|_| bad("bad prefill count"))?;
        if prefill > count {
            return Err(bad("bad prefill count"));
        }
        Ok(Flow { name, seed: word(&header, 8), prefill, commands })
    }

    /// Writes the commands as CSV with a heading.
    pub fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "kind,side,account,id,price,qty")?;
        for c in &self.commands {
            let kind = match c.kind {
                Kind::New => "new",
                Kind::Ioc => "ioc",
                Kind::Market => "market",
                Kind::Cancel => "cancel",
                Kind::Reduce => "reduce",
                Kind::Move => "move",
            };
            let side = match c.side {
                Side::Buy => "buy",
                Side::Sell => "sell",
            };
            let (account, id, price, qty) = (c.account, c.id, c.price, c.qty);
            writeln!(out, "{kind},{side},{account},{id},{price},{qty}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_round_trip() {
        let flow = crate::generate("far", 7).unwrap();
        let mut bytes = Vec::new();
        flow.write_binary(&mut bytes).unwrap();
        assert_eq!(bytes.len(), HEADER_BYTES + RECORD_BYTES * flow.commands.len());
        assert_eq!(Flow::read_binary(&mut bytes.as_slice()).unwrap(), flow);
    }

    #[test]
    fn damaged_files_are_refused() {
        let flow = crate::generate("far", 7).unwrap();
        let mut bytes = Vec::new();
        flow.write_binary(&mut bytes).unwrap();
        assert!(Flow::read_binary(&mut &bytes[..bytes.len() - 1]).is_err());
        bytes[HEADER_BYTES] = 9;
        assert!(Flow::read_binary(&mut bytes.as_slice()).is_err());
        bytes[0] = b'x';
        assert!(Flow::read_binary(&mut bytes.as_slice()).is_err());
    }
}
