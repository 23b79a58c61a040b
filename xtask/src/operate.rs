//! `down`, `status`, `start`: what is done to a stack that runs.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::artifacts;
use crate::error::{Result, XtaskError};
use crate::places::Places;
use crate::process::Ending;
use crate::record::{Lock, Record};
use crate::stack::{Health, Stack};

/// An engine that replays a long journal takes its time.
pub const READY_WITHIN: Duration = Duration::from_secs(180);
/// Longer than the longest orderly end.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(180);

#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// For machines.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
pub struct StartArgs {
    /// engine, io-gateway, ws-fanout, db-sink, mm, redis or postgres.
    name: String,
}

fn places() -> Places {
    Places::at(&artifacts::repository_root().join("var"))
}

/// Stops whatever is left of the stack; that there is none is fine.
pub fn down() -> Result<()> {
    let places = places();
    if Record::load(&places)?.is_none() {
        println!("nothing runs");
        return Ok(());
    }
    let _lock = Lock::take(&places, Duration::ZERO)?;
    match Stack::open(places, READY_WITHIN)? {
        Some(stack) => stop(stack),
        None => Ok(()),
    }
}

/// Drains the stack and says how each process ended.
pub fn stop(stack: Stack) -> Result<()> {
    let mut since = Instant::now();
    stack.stop(|name, ending| {
        let took = since.elapsed();
        since = Instant::now();
        match ending {
            Ending::Ended => println!("  {name:<12} stopped in {:.1} s", took.as_secs_f64()),
            Ending::WasDead => println!("  {name:<12} was dead"),
            Ending::Killed => println!("  {name:<12} did not stop in time and was killed"),
        }
    })?;
    println!("all stopped; the data stays in var/");
    Ok(())
}

/// Exit 0 only when everything is ready.
pub fn status(args: &StatusArgs) -> Result<()> {
    let Some(stack) = Stack::open(places(), READY_WITHIN)? else {
        if args.json {
            println!("{:#}", json!({ "running": false, "ready": false, "processes": [] }));
        }
        return Err(XtaskError::Unable("nothing runs; `cargo xtask up` starts it".to_owned()));
    };
    let health = stack.health();
    let ready = health.iter().all(|(_, health)| *health == Health::Ready);
    let running = health.iter().any(|(_, health)| *health != Health::Dead);
    if args.json {
        println!("{:#}", as_json(&stack, ready, running));
    } else {
        println!("  web and REST  {}\n  WebSocket     {}\n", stack.rest_url(), stack.ws_url());
        for (member, health) in &health {
            let pid = member.identity.as_ref().map(|found| found.pid.to_string());
            let (pid, ops) = (pid.unwrap_or_default(), member.spec.ops_url.as_deref());
            let (state, why) = words(health);
            let name = &member.spec.name;
            println!("  {name:<12} {state:<10} pid {pid:<8} {} {why}", ops.unwrap_or_default());
        }
    }
    if ready {
        return Ok(());
    }
    let dead = health.iter().find(|(_, health)| *health == Health::Dead);
    Err(XtaskError::Unable(match dead {
        Some((member, _)) if running => {
            format!("not all is well; `cargo xtask start {}` starts it again", member.spec.name)
        }
        Some(_) => "nothing of it runs any more; `cargo xtask up` starts it".to_owned(),
        None => "not everything is ready".to_owned(),
    }))
}

fn as_json(stack: &Stack, ready: bool, running: bool) -> Value {
    let process = |(member, health): &(&crate::record::Member, Health)| {
        let (state, why) = words(health);
        let pid = member.identity.as_ref().map(|found| found.pid);
        json!({ "name": member.spec.name, "pid": pid, "state": state, "why": why,
            "ops_url": member.spec.ops_url, "log": member.spec.log })
    };
    let processes: Vec<Value> = stack.health().iter().map(process).collect();
    json!({ "running": running, "ready": ready, "rest_url": stack.rest_url(),
        "ws_url": stack.ws_url(), "processes": processes })
}

fn words(health: &Health) -> (&'static str, &str) {
    match health {
        Health::Ready => ("ready", ""),
        Health::NotReady(why) => ("not ready", why.as_str()),
        Health::Dead => ("dead", ""),
    }
}

/// Starts one dead process of a running stack again, with the settings it had.
pub fn start(args: &StartArgs) -> Result<()> {
    let places = places();
    let nothing = || XtaskError::Unable("nothing runs; `cargo xtask up` starts it".to_owned());
    if Record::load(&places)?.is_none() {
        return Err(nothing());
    }
    let _lock = Lock::take(&places, Duration::ZERO)?;
    let mut stack = Stack::open(places, READY_WITHIN)?.ok_or_else(nothing)?;
    stack.start_again(&args.name)?;
    let pid = stack.pid(&args.name)?.unwrap_or_default();
    println!("{} runs again (pid {pid})", args.name);
    Ok(())
}
