//! The exchange that is measured: private servers and all services but the market maker, as real
//! processes on this machine, with rate limits off and everything else as exchange.toml has it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use toml::{Table, Value};
use xtask::artifacts::{Profile, build_services, repository_root};
use xtask::client::Admin;
use xtask::private_servers::{Durability, postgres, redis};
use xtask::services::{DB_SINK, ENGINE, IO_GATEWAY, WS_FANOUT};
use xtask::signing::KeyPair;
use xtask::stack::{Options, Stack};

use super::requests::{self, Kind, Requests};
use super::{load, load::Loop};
use crate::cpu_time::cpu_time_of;
use crate::error::BenchError;

/// Enough for any number of orders.
const USDC: &str = "1000000000";
/// What the takers take from.
const WALL_SOL: &str = "1000000";
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Whose share of the cores is told.
const WATCHED: [&str; 4] = [IO_GATEWAY, redis::NAME, ENGINE, DB_SINK];

/// One that signs.
#[derive(Debug)]
pub struct Signer {
    pub api_key: String,
    pub key: SigningKey,
}

#[derive(Debug)]
pub struct Exchange {
    stack: Stack,
    address: SocketAddr,
    accounts: Vec<Signer>,
    keepers: Vec<Signer>,
}

impl Exchange {
    /// Builds the services as this bench was built, starts them in `dir`, and makes as many funded
    /// accounts that trade and that keep orders at rest.
    pub fn start(dir: &Path, accounts: u64, keepers: u64) -> Result<Exchange, BenchError> {
        Exchange::start_changed(dir, accounts, keepers, |_| ())
    }

    /// The same, but for what `change` makes different in exchange.toml.
    pub fn start_changed(
        dir: &Path,
        accounts: u64,
        keepers: u64,
        change: impl FnOnce(&mut Table),
    ) -> Result<Exchange, BenchError> {
        let profile = if cfg!(debug_assertions) { Profile::Debug } else { Profile::Release };
        let binaries = build_services(&repository_root(), profile).map_err(BenchError::Exchange)?;
        let config = dir.join("exchange.toml");
        let mut table = configuration()?;
        change(&mut table);
        fs::write(&config, table.to_string()).map_err(BenchError::io(&config))?;
        let mut options = Options::for_test(dir.join("var"), binaries, config);
        options.durability = Durability::Durable;
        options.ready_within = READY_WITHIN;
        let var = options.var_dir.clone();
        fs::create_dir_all(&var).map_err(BenchError::io(&var))?;
        let stack = Stack::start(options).map_err(BenchError::Exchange)?;
        let address = stack.rest_url().trim_start_matches("http://").parse();
        let address = address.map_err(|_| BenchError::Address(stack.rest_url().to_owned()))?;
        let admin = stack.admin();
        let many = |label: &str, count: u64| -> Result<Vec<Signer>, BenchError> {
            (0..count).map(|_| signer(&admin, label, "USDC", USDC)).collect()
        };
        let (accounts, keepers) = (many("bench", accounts)?, many("bench-keeper", keepers)?);
        let wall = signer(&admin, "bench-wall", "SOL", WALL_SOL)?;
        let requests = Requests::of_one(&wall, Kind::Rest, &requests::wall(WALL_SOL));
        load::run(address, &requests, 1, Loop::Closed)?.expect_all(&requests)?;
        Ok(Exchange { stack, address, accounts, keepers })
    }

    /// Its processes, to be killed and started again.
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn accounts(&self) -> &[Signer] {
        &self.accounts
    }

    pub fn keepers(&self) -> &[Signer] {
        &self.keepers
    }

    /// One more account, by its number, with a key and no funds to speak of.
    pub fn open_account(&self, label: &str) -> Result<(u32, Signer), BenchError> {
        let (account, signer) = account(&self.stack.admin(), label, "USDC", "1")?;
        let number = account.parse().map_err(|_| BenchError::Answer(account))?;
        Ok((number, signer))
    }

    pub fn database_url(&self) -> &str {
        self.stack.database_url()
    }

    /// All that the database's server has logged.
    pub fn database_log(&self) -> Result<String, BenchError> {
        self.stack.log(postgres::NAME).map_err(BenchError::Exchange)
    }

    /// Where the streams are.
    pub fn stream_address(&self) -> Result<SocketAddr, BenchError> {
        let url = self.stack.ws_url();
        let address = url.trim_start_matches("ws://").parse();
        address.map_err(|_| BenchError::Address(url.to_owned()))
    }

    pub fn redis_url(&self) -> &str {
        self.stack.redis_url()
    }

    pub fn fanout(&self) -> Result<i32, BenchError> {
        self.pid(WS_FANOUT)
    }

    pub fn redis(&self) -> Result<i32, BenchError> {
        self.pid(redis::NAME)
    }

    fn pid(&self, name: &str) -> Result<i32, BenchError> {
        let pid = self.stack.pid(name).map_err(BenchError::Exchange)?;
        pid.ok_or_else(|| BenchError::Ended(name.to_owned()))
    }

    /// What a service counts, as Prometheus reads it.
    pub fn metrics(&self, service: &str) -> Result<String, BenchError> {
        let url = format!("{}/metrics", self.stack.ops_url(service).map_err(BenchError::Exchange)?);
        let answer = xtask::http::get(&url, Duration::from_secs(10));
        Ok(answer.map_err(BenchError::Exchange)?.1)
    }

    /// Of this process and of the services, until now.
    pub fn cpu_times(&self) -> Result<CpuTimes, BenchError> {
        let own = getrusage(UsageWho::RUSAGE_SELF).map_err(BenchError::Clock)?;
        let own_us = own.user_time().num_microseconds() + own.system_time().num_microseconds();
        let mut times = vec![("client", Duration::from_micros(own_us.unsigned_abs()))];
        for name in WATCHED {
            times.push((name, cpu_time_of(self.pid(name)?)?));
        }
        Ok(CpuTimes(times))
    }
}

fn signer(admin: &Admin, label: &str, asset: &str, funds: &str) -> Result<Signer, BenchError> {
    Ok(account(admin, label, asset, funds)?.1)
}

fn account(
    admin: &Admin,
    label: &str,
    asset: &str,
    funds: &str,
) -> Result<(String, Signer), BenchError> {
    let make = || {
        let account = admin.create_account(label)?;
        let keys = KeyPair::generate()?;
        admin.register_key(&account, &keys.api_key, label)?;
        admin.deposit(&account, asset, funds, &format!("{label}-{account}"))?;
        Ok((account, keys))
    };
    let (account, keys): (String, KeyPair) = make().map_err(BenchError::Exchange)?;
    let key = requests::signing_key(&keys.api_secret)?;
    Ok((account, Signer { api_key: keys.api_key, key }))
}

/// The repository's exchange.toml without what would hold one client back.
fn configuration() -> Result<Table, BenchError> {
    let path = repository_root().join("exchange.toml");
    let text = fs::read_to_string(&path).map_err(BenchError::io(&path))?;
    let mut table: Table = text.parse().map_err(|cause| BenchError::Config(Box::new(cause)))?;
    let mut set = |section: &str, key: &str, value: Value| {
        let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(section) = section {
            section.insert(key.to_owned(), value);
        }
    };
    set("engine", "durability", Value::String("fsync".to_owned()));
    let off = ["address", "key", "account"].into_iter().flat_map(|scope| {
        [format!("{scope}_rate_per_s"), format!("{scope}_burst")]
            .map(|key| (key, Value::Integer(0)))
    });
    set("gateway", "limits", Value::Table(off.collect()));
    Ok(table)
}

/// By name.
#[derive(Clone, Debug)]
pub struct CpuTimes(Vec<(&'static str, Duration)>);

impl CpuTimes {
    /// What each used of all cores since then, 1 being all of them.
    pub fn since(&self, before: &CpuTimes, took: Duration) -> Vec<(&'static str, f64)> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let all = took.as_secs_f64().max(1e-9) * cores as f64;
        let share = |(after, before): (&(&'static str, Duration), &(_, Duration))| {
            (after.0, after.1.saturating_sub(before.1).as_secs_f64() / all)
        };
        self.0.iter().zip(&before.0).map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exchange_that_is_measured_syncs_and_limits_nobody() {
        let table = configuration().unwrap();
        assert_eq!(table["engine"]["durability"].as_str(), Some("fsync"));
        let limits = table["gateway"]["limits"].as_table().unwrap();
        assert_eq!(limits.len(), 6);
        assert!(limits.values().all(|value| value.as_integer() == Some(0)), "{limits}");
    }

    #[test]
    fn shares_are_of_all_cores() {
        let cores = std::thread::available_parallelism().unwrap().get() as f64;
        let times = |ms| CpuTimes(vec![("client", Duration::from_millis(ms))]);
        let share = times(700).since(&times(200), Duration::from_secs(1))[0].1;
        assert!((share - 0.5 / cores).abs() < 1e-6, "{share}");
    }
}
