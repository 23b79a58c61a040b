//! The accounts a stack comes with: made once, funded once, remembered.
//!
//! What is about to be done is written down before it is done, and each step may be repeated, so
//! being killed between two of them costs at most an account nobody uses.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::client::{Admin, Client};
use crate::error::{Result, XtaskError};
use crate::places::{read_if_there, write_private};
use crate::signing::KeyPair;

/// A trading account and, for those people use, its key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Account {
    pub label: String,
    /// As the exchange numbered it; `None` until it did.
    pub id: Option<String>,
    pub keys: Option<KeyPair>,
    key_registered: bool,
    funded: bool,
}

/// Who needs an account, and with how much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Somebody to try the exchange as.
    Demo,
    /// Quotes through the order queue: deep pockets, no key.
    MarketMaker,
}

pub const ALICE: &str = "alice";
pub const BOB: &str = "bob";
pub const MAKER: &str = "mm";
pub const TAKER: &str = "mm-taker";

pub const DEMO: [(&str, Role); 2] = [(ALICE, Role::Demo), (BOB, Role::Demo)];
pub const MARKET_MAKERS: [(&str, Role); 2] =
    [(MAKER, Role::MarketMaker), (TAKER, Role::MarketMaker)];

impl Role {
    /// A round sum per asset; whole numbers, so no asset has too few decimals for them.
    fn funds(self, asset: &str) -> u64 {
        let demo = match asset {
            "USDC" => 1_000_000,
            "BTC" => 10,
            "ETH" => 100,
            _ => 1_000,
        };
        match self {
            Role::Demo => demo,
            Role::MarketMaker => 1_000 * demo,
        }
    }
}

/// The accounts of one stack, in a file.
#[derive(Debug)]
pub struct AccountBook {
    file: PathBuf,
    accounts: Vec<Account>,
}

impl AccountBook {
    pub fn load(file: &Path) -> Result<AccountBook> {
        let accounts = match read_if_there(file)? {
            None => Vec::new(),
            Some(text) => serde_json::from_str(&text)
                .map_err(|cause| XtaskError::Json { what: file.display().to_string(), cause })?,
        };
        Ok(AccountBook { file: file.to_path_buf(), accounts })
    }

    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub fn get(&self, label: &str) -> Result<&Account> {
        self.accounts.iter().find(|account| account.label == label).ok_or_else(|| {
            let labels: Vec<&str> = self.accounts.iter().map(|one| one.label.as_str()).collect();
            XtaskError::UnknownAccount { label: label.to_owned(), known: labels.join(", ") }
        })
    }

    /// Makes sure that the account is there, has its key and its funds.
    pub fn ensure(&mut self, admin: &Admin, label: &str, role: Role) -> Result<()> {
        let assets = admin.assets()?;
        let at = self.slot(label, role)?;
        if self.accounts[at].funded && !self.is_known(admin, at, role, &assets)? {
            println!("account {label} is not known to this exchange; it gets a new one");
            self.accounts[at] = Account::new(label, role)?;
            self.save()?;
        }
        if self.accounts[at].id.is_none() {
            self.accounts[at].id = Some(admin.create_account(label)?);
            self.save()?;
        }
        let account = self.accounts[at].clone();
        if let (Some(keys), false) = (&account.keys, account.key_registered) {
            register(admin, &account, keys)?;
            self.accounts[at].key_registered = true;
            self.save()?;
        }
        if !account.funded {
            for asset in &assets {
                fund(admin, &account, role, asset)?;
            }
            self.accounts[at].funded = true;
            self.save()?;
        }
        Ok(())
    }

    fn slot(&mut self, label: &str, role: Role) -> Result<usize> {
        if let Some(at) = self.accounts.iter().position(|account| account.label == label) {
            return Ok(at);
        }
        self.accounts.push(Account::new(label, role)?);
        self.save()?;
        Ok(self.accounts.len() - 1)
    }

    /// Repeats one deposit, which credits nothing the second time, to see whether this exchange
    /// still has the account: `REDIS_URL` or `DATABASE_URL` may lead to another one by now.
    fn is_known(&self, admin: &Admin, at: usize, role: Role, assets: &[String]) -> Result<bool> {
        let Some(asset) = assets.first() else { return Ok(true) };
        match fund(admin, &self.accounts[at], role, asset) {
            Err(XtaskError::Refused { status: 404, .. }) => Ok(false),
            // The sums of an older xtask under the same transfer id.
            Ok(()) | Err(XtaskError::Refused { status: 409, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.accounts)
            .map_err(|cause| XtaskError::Json { what: "the accounts".to_owned(), cause })?;
        write_private(&self.file, text.as_bytes())
    }
}

impl Account {
    fn new(label: &str, role: Role) -> Result<Account> {
        let keys = match role {
            Role::Demo => Some(KeyPair::generate()?),
            Role::MarketMaker => None,
        };
        let label = label.to_owned();
        Ok(Account { label, id: None, keys, key_registered: false, funded: false })
    }

    /// The id, once the exchange has given one.
    pub fn id(&self) -> Result<&str> {
        self.id.as_deref().ok_or_else(|| {
            XtaskError::Unable(format!("account {} was never completed", self.label))
        })
    }

    /// A caller that signs as this account.
    pub fn client(&self, rest_url: &str) -> Result<Client> {
        let keys = self.keys.clone().ok_or_else(|| {
            XtaskError::Unable(format!("account {} has no key to sign with", self.label))
        })?;
        Ok(Client { rest_url: rest_url.to_owned(), keys })
    }
}

/// A refusal is fine when the key works: then an earlier, interrupted call got through.
fn register(admin: &Admin, account: &Account, keys: &KeyPair) -> Result<()> {
    match admin.register_key(account.id()?, &keys.api_key, &account.label) {
        Err(refused @ XtaskError::Refused { .. }) => {
            match account.client(&admin.rest_url)?.capital()? {
                (200, _) => Ok(()),
                _ => Err(refused),
            }
        }
        other => other.map(|_| ()),
    }
}

/// The same transfer id for the same account and asset, always: a repeated call credits nothing.
fn fund(admin: &Admin, account: &Account, role: Role, asset: &str) -> Result<()> {
    let quantity = role.funds(asset).to_string();
    let transfer_id = format!("xtask-{}-{asset}", account.id()?);
    admin.deposit(account.id()?, asset, &quantity, &transfer_id).map(|_| ())
}
