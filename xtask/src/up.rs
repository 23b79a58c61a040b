//! `cargo xtask up`: from a clone to a running exchange, and what to type next.

use std::collections::HashSet;
use std::env;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use crate::accounts::{ALICE, BOB};
use crate::artifacts::{self, Profile};
use crate::error::{Result, XtaskError};
use crate::interrupt;
use crate::operate::{LOCK_PATIENCE, READY_WITHIN, stop};
use crate::places::{Places, remove};
use crate::private_servers::{Durability, postgres};
use crate::process::{Identity, tail};
use crate::record::{Lock, Record};
use crate::setup::{self, Need};
use crate::stack::{MarketMaker, Options, Server, Stack};

const SUPERVISION: Duration = Duration::from_millis(500);

#[derive(Args, Clone, Debug)]
pub struct UpArgs {
    /// Return when everything is ready and leave it running.
    #[arg(long)]
    detach: bool,
    /// Leave the market maker out.
    #[arg(long)]
    no_mm: bool,
    /// Start from empty data: orders, balances, trades and accounts under var/ are deleted.
    #[arg(long)]
    fresh: bool,
}

pub fn up(args: &UpArgs) -> Result<()> {
    let root = artifacts::repository_root();
    let places = Places::make(&root.join("var"))?;
    let lock = Lock::take(&places, Duration::ZERO)?;
    refuse_second(&places)?;
    let (redis, postgres) = (server("REDIS_URL"), server("DATABASE_URL"));
    if args.fresh {
        refuse_fresh_outside(&redis, &postgres)?;
    }
    setup::ensure(&needs(&root, &redis, &postgres))?;
    println!("building (release)");
    let binaries_dir = artifacts::build_services(&root, Profile::Release)?;
    let web_dir = artifacts::build_web(&root)?;
    if args.fresh {
        forget(&places)?;
    }
    println!("starting; logs are in {}", places.var().join("log").display());
    let options = Options {
        var_dir: places.var().to_path_buf(),
        binaries_dir,
        config: root.join("exchange.toml"),
        cwd: root,
        web_dir,
        redis,
        postgres,
        durability: Durability::Durable,
        market_maker: if args.no_mm { MarketMaker::LeftOut } else { MarketMaker::Runs },
        extra: Default::default(),
        ready_within: READY_WITHIN,
    };
    let stack = Stack::start(options)?;
    print!("{}", next_steps(&stack)?);
    drop(lock);
    if args.detach {
        println!("\nIt runs on its own now; `cargo xtask down` stops it.");
        stack.detach();
        return Ok(());
    }
    println!("\nCtrl-C stops it.");
    supervise(stack)
}

fn server(variable: &str) -> Server {
    match env::var(variable) {
        Ok(url) if !url.is_empty() => Server::At(url),
        _ => Server::Private,
    }
}

fn needs(root: &Path, redis: &Server, postgres: &Server) -> Vec<Need> {
    let mut needs = vec![Need::CCompiler];
    if *redis == Server::Private {
        needs.push(Need::Redis);
    }
    if *postgres == Server::Private {
        needs.push(Need::Postgres);
    }
    if setup::has_web_client(root) {
        needs.push(Need::Node);
    }
    needs
}

/// A stack whose processes are all dead is no obstacle; its record is cleared away.
fn refuse_second(places: &Places) -> Result<()> {
    let Some(record) = Record::load(places)? else {
        return Record::withdraw(places);
    };
    if !record.any_alive() {
        return Record::withdraw(places);
    }
    let alive = record.processes.iter().filter(|member| member.is_alive());
    let names: Vec<&str> = alive.map(|member| member.spec.name.as_str()).collect();
    let text = match names.len() == record.processes.len() {
        true => format!("it runs already, at {}", record.rest_url),
        false => format!("a part of it still runs: {}", names.join(", ")),
    };
    Err(XtaskError::Unable(format!("{text}; `cargo xtask down` stops it")))
}

fn refuse_fresh_outside(redis: &Server, postgres: &Server) -> Result<()> {
    if [redis, postgres].iter().all(|server| **server == Server::Private) {
        return Ok(());
    }
    Err(XtaskError::Unable(
        "--fresh empties only what is under var/, not the servers that REDIS_URL and DATABASE_URL \
         name, and the two would no longer fit each other; unset them or leave --fresh out"
            .to_owned(),
    ))
}

/// Deletes data and accounts; ports, logs and the administrator's token stay.
fn forget(places: &Places) -> Result<()> {
    postgres::remove_data(places)?;
    for path in [places.engine_data(), places.redis_data(), places.accounts()] {
        remove(&path)?;
    }
    Ok(())
}

/// Stays until a signal comes or somebody else takes the stack down. A process that dies is
/// reported, loudly and once; what to do about it is the operator's to say.
fn supervise(stack: Stack) -> Result<()> {
    let places = stack.places().clone();
    let mut reported: HashSet<(String, i32)> = HashSet::new();
    // From here on the record on disk is the truth: `cargo xtask start` may change it.
    stack.detach();
    loop {
        interrupt::pause(SUPERVISION);
        if interrupt::requested() {
            break;
        }
        match Record::load(&places)? {
            None => {
                println!("somebody else has stopped it");
                return Ok(());
            }
            Some(record) if record.stopping => reap(&record),
            Some(record) => report_deaths(&record, &mut reported),
        }
    }
    println!("\nstopping; a second Ctrl-C cuts the waiting short");
    let _lock = Lock::take(&places, LOCK_PATIENCE)?;
    match Stack::open(places, READY_WITHIN)? {
        Some(stack) => stop(stack),
        None => Ok(()),
    }
}

fn reap(record: &Record) {
    for identity in record.processes.iter().filter_map(|member| member.identity.as_ref()) {
        identity.reap();
    }
}

fn report_deaths(record: &Record, reported: &mut HashSet<(String, i32)>) {
    for member in &record.processes {
        let Some(identity) = &member.identity else { continue };
        let name = &member.spec.name;
        let key = (name.clone(), identity.pid);
        if reported.contains(&key) {
            continue;
        }
        let how = identity.reap();
        if identity.is_alive() {
            if reported.iter().any(|(other, _)| other == name) {
                reported.retain(|(other, _)| other != name);
                println!("{name} runs again (pid {})", identity.pid);
            }
            continue;
        }
        reported.insert(key);
        eprintln!("\n*** {name} (pid {}) has died: {} ***", identity.pid, ending(identity, how));
        eprintln!(
            "--- last lines of {}\n{}\n---",
            member.spec.log.display(),
            tail(&member.spec.log)
        );
        eprintln!("the others go on; `cargo xtask start {name}` starts it again");
    }
}

fn ending(identity: &Identity, how: Option<String>) -> String {
    how.or_else(|| identity.reap()).unwrap_or_else(|| "nobody knows how".to_owned())
}

fn next_steps(stack: &Stack) -> Result<String> {
    let (rest, ws) = (stack.rest_url(), stack.ws_url());
    let mut text =
        format!("\nThe exchange runs.\n\n  web and REST  {rest}\n  WebSocket     {ws}\n");
    for label in [ALICE, BOB] {
        let account = stack.account(label)?;
        let keys = account.client(rest)?.keys;
        text.push_str(&format!(
            "\n  {label}: account {}\n    API key     {}\n    API secret  {}\n",
            account.id()?,
            keys.api_key,
            keys.api_secret
        ));
    }
    let keys = stack.client(ALICE)?.keys;
    text.push_str(&format!(
        r#"
Look at the book:
  curl -s '{rest}/api/v1/depth?symbol=SOL_USDC'
Rest an order, signed as alice, then one of bob's that takes the best offers there are:
  cargo xtask order --account alice --symbol SOL_USDC --side Ask --price 250 --quantity 1
  cargo xtask order --account bob --symbol SOL_USDC --side Bid --price 250 --quantity 1
The same with ccxt (pip install ccxt):
  python3 - <<END
  import ccxt
  x = ccxt.backpack({{'apiKey': '{key}', 'secret': '{secret}'}})
  x.urls['api'] = {{'public': '{rest}', 'private': '{rest}'}}
  print(x.create_order('SOL/USDC', 'limit', 'sell', 1, 250))
  END
"#,
        key = keys.api_key,
        secret = keys.api_secret,
    ));
    Ok(text)
}
