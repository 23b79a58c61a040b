//! The names of blockchains, their one home, and the addresses of simulated custody on them.
//!
//! Nothing is watched on any chain: an address is invented, but always the same for an account and
//! a chain, and of the shape that its chain's users expect where that is simple.

use bech32::{hrp, segwit};
use protocol::AccountId;
use sha2::{Digest, Sha256};

/// How addresses of a chain look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// A 32-byte key in base 58.
    Base58,
    /// `0x` and 20 bytes.
    Ethereum,
    /// A witness program of version 0.
    Bitcoin,
    /// 32 bytes in hexadecimal.
    Hex,
}

/// The contract's names.
const CHAINS: [(&str, Form); 23] = [
    ("Solana", Form::Base58),
    ("Ethereum", Form::Ethereum),
    ("Bitcoin", Form::Bitcoin),
    ("BitcoinCash", Form::Hex),
    ("Arbitrum", Form::Ethereum),
    ("Avalanche", Form::Ethereum),
    ("Base", Form::Ethereum),
    ("Berachain", Form::Ethereum),
    ("Bsc", Form::Ethereum),
    ("Cardano", Form::Hex),
    ("Dogecoin", Form::Hex),
    ("Eclipse", Form::Base58),
    ("Hyperliquid", Form::Ethereum),
    ("Litecoin", Form::Hex),
    ("Near", Form::Hex),
    ("Optimism", Form::Ethereum),
    ("Polygon", Form::Ethereum),
    ("Sei", Form::Ethereum),
    ("Sui", Form::Hex),
    ("Story", Form::Ethereum),
    ("Tron", Form::Hex),
    ("XRP", Form::Hex),
    ("Zcash", Form::Hex),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chain {
    pub name: &'static str,
    form: Form,
}

impl Chain {
    /// In its exact case.
    pub fn from_name(name: &str) -> Option<Self> {
        let found = CHAINS.iter().find(|(other, _)| *other == name);
        found.map(|(name, form)| Chain { name, form: *form })
    }

    /// Where this account's simulated deposits would go.
    pub fn deposit_address(self, account: AccountId) -> String {
        let seed = format!("deposit address\0{}\0{account}", self.name);
        let bytes: [u8; 32] = Sha256::digest(seed).into();
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self.form {
            Form::Base58 => bs58::encode(bytes).into_string(),
            Form::Ethereum => format!("0x{}", hex(&bytes[..20])),
            // 20 bytes are a valid program, so this never falls back.
            Form::Bitcoin => {
                segwit::encode_v0(hrp::BC, &bytes[..20]).unwrap_or_else(|_| hex(&bytes))
            }
            Form::Hex => hex(&bytes),
        }
    }
}

/// Whether a withdrawal may name this destination: what can be printed, of a bounded length.
pub fn is_address(text: &str) -> bool {
    let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    (1..=ADDRESS_CHARS_MAX).contains(&text.len())
        && text.bytes().all(printable)
        && text.trim() == text
}

pub const ADDRESS_CHARS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(chain: &str, account: u32) -> String {
        let chain = Chain::from_name(chain).unwrap();
        chain.deposit_address(AccountId::new(account).unwrap())
    }

    #[test]
    fn an_address_is_one_account_s_on_one_chain_and_stays_so() {
        // Pinned: clients keep addresses, so they must not change with a release.
        assert_eq!(address("Solana", 7), "37TERYNvwADuggZb6SU9S4XyadxKxTiyfpGJiEZEV97a");
        assert_eq!(address("Ethereum", 7), "0x7cf9e606bf7de6e8195ef11e5a8ac8faa7be2136");
        assert_eq!(address("Bitcoin", 7), "bc1q3tzr72t633lzf37m6yeq37553zfl4pzx5a97kw");
        let mut all: Vec<String> = Vec::new();
        for (chain, _) in CHAINS {
            all.extend([address(chain, 7), address(chain, 8)]);
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2 * CHAINS.len());
    }

    #[test]
    fn addresses_have_the_shape_of_their_chain() {
        for account in 1..200 {
            let key = bs58::decode(address("Solana", account)).into_vec().unwrap();
            assert_eq!(key.len(), 32);
            let (_, version, program) = segwit::decode(&address("Bitcoin", account)).unwrap();
            assert_eq!((version, program.len()), (segwit::VERSION_0, 20));
            let evm = address("Base", account);
            assert!(evm.starts_with("0x") && evm.len() == 42, "{evm}");
            assert_eq!(address("Sui", account).len(), 64);
        }
    }

    #[test]
    fn names_have_exact_case() {
        assert_eq!(Chain::from_name("XRP").unwrap().name, "XRP");
        for name in ["solana", "", "Solana ", "Fiat"] {
            assert_eq!(Chain::from_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_destination_is_printable_and_bounded() {
        for good in ["x", "rPEPPER7kfTD9w2To4CQk6UCfuHM9c6GDY:12 34/5", &"a".repeat(256)] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", " ", " x", "x\n", "x\0y", "\u{202e}x", "ü", &"a".repeat(257)] {
            assert!(!is_address(bad), "{bad:?}");
        }
    }
}
