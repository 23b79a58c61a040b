//! What a flow must leave behind, and the published digests it is compared with.

use crate::book::{RefBook, Trade};
use crate::format::Flow;

/// `expected.csv`: a heading and one row a flow, in the order of `FLOWS`, for `DEFAULT_SEED`.
pub const EXPECTED: &str = include_str!("../expected.csv");

/// The heading of `expected.csv`.
pub const CSV_HEAD: &str = "flow,seed,prefill,commands,trades,traded_qty,notional,rejected,\
                            resting_orders,resting_qty,levels,trade_hash,book_hash";

/// What a flow must leave behind. Equal digests mean equal trades in equal
/// order and an equal book, order by order, at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    pub trades: u64,
    pub traded_qty: u64,
    pub notional: u64,
    pub rejected: u64,
    pub resting_orders: u64,
    pub resting_qty: u64,
    pub levels: u64,
    pub trade_hash: u64,
    pub book_hash: u64,
}

impl Digest {
    /// The digest of all commands of a flow, by the reference book.
    pub fn of(flow: &Flow) -> Digest {
        let mut book = RefBook::new();
        for command in &flow.commands {
            book.apply(command, &mut |_| {});
        }
        book.digest()
    }

    /// This digest as a row of `expected.csv`.
    pub fn csv_row(&self, flow: &Flow) -> String {
        format!(
            "{},{},{},{},{},{},{},{},{},{},{},{:016x},{:016x}",
            flow.name,
            flow.seed,
            flow.prefill,
            flow.commands.len(),
            self.trades,
            self.traded_qty,
            self.notional,
            self.rejected,
            self.resting_orders,
            self.resting_qty,
            self.levels,
            self.trade_hash,
            self.book_hash
        )
    }
}

/// The row of `expected.csv` for a flow of `DEFAULT_SEED`.
pub fn expected_row(name: &str) -> Option<&'static str> {
    EXPECTED.lines().skip(1).find(|row| row.split(',').next() == Some(name))
}

/// 64-bit FNV-1a over little-endian `u64` words, byte by byte.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(pub u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xCBF2_9CE4_8422_2325)
    }
}

impl Fnv {
    /// Takes in the eight little-endian bytes of `value`.
    pub fn word(&mut self, value: u64) {
        for byte in value.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    /// Takes in one trade: maker, taker, price, quantity.
    pub fn trade(&mut self, t: &Trade) {
        self.word(t.maker);
        self.word(t.taker);
        self.word(t.price);
        self.word(t.qty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv_known_value() {
        // FNV-1a of eight zero bytes.
        let mut fnv = Fnv::default();
        fnv.word(0);
        assert_eq!(fnv.0, 0xA8C7_F832_281A_39C5);
    }

    #[test]
    fn every_flow_has_an_expected_row() {
        for name in crate::FLOWS {
            assert!(expected_row(name).unwrap().ends_with(|c: char| c.is_ascii_hexdigit()));
        }
        assert_eq!(expected_row("mixed"), None);
        assert_eq!(EXPECTED.lines().next(), Some(CSV_HEAD));
    }
}
