//! A stack of real servers and stand-in services: started, killed, started again, stopped.
//!
//! The stand-ins are this very test program: a script of a service's name starts it again with
//! `FAKE_SERVICE` set, and then the test `stand_in` serves instead of testing.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use xtask::accounts::{ALICE, BOB, MAKER};
use xtask::places::Places;
use xtask::private_servers::{postgres, redis};
use xtask::process::Ending;
use xtask::record::Record;
use xtask::scratch::Scratch;
use xtask::services::{self, ENGINE, Extra, IO_GATEWAY, MM};
use xtask::stack::{Health, MarketMaker, Options, Server, Stack};
use xtask::tools;

const MINUTE: Duration = Duration::from_secs(60);

/// Servers that cost time to start are left out where the test is not about them.
fn options(scratch: &Scratch, redis: Server, postgres: Server) -> Options {
    let binaries = scratch.path().join("bin");
    fs::create_dir_all(&binaries).unwrap();
    let me = std::env::current_exe().unwrap();
    for name in services::ALL {
        let script = binaries.join(name);
        let line = format!(
            "#!/bin/sh\nFAKE_SERVICE=\"{name} $*\" exec {} --exact stand_in --nocapture\n",
            me.display()
        );
        fs::write(&script, line).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let var = scratch.path().join("var");
    fs::create_dir_all(&var).unwrap();
    let mut options = Options::for_test(var, binaries, scratch.path().join("exchange.toml"));
    options.redis = redis;
    options.postgres = postgres;
    options
}

fn elsewhere() -> (Server, Server) {
    let redis = Server::At("redis://127.0.0.1:1/".to_owned());
    (redis, Server::At("postgres://127.0.0.1:1/none".to_owned()))
}

fn start(scratch: &Scratch) -> Stack {
    let (redis, postgres) = elsewhere();
    Stack::start(options(scratch, redis, postgres)).unwrap()
}

fn places(scratch: &Scratch) -> Places {
    Places::at(&scratch.path().join("var"))
}

#[test]
fn servers_keep_their_data_over_kills_and_restarts() {
    let scratch = Scratch::new("servers").unwrap();
    let wanted = options(&scratch, Server::Private, Server::Private);
    let mut stack = Stack::start_servers(&wanted).unwrap();
    let redis_url = stack.redis_url().to_owned();
    let database_url = stack.database_url().to_owned();
    assert_eq!(redis_says(&redis_url, "SET key kept"), "+OK");
    query(&database_url, "CREATE TABLE kept (value int); INSERT INTO kept VALUES (7)");
    // Redis syncs once a second; a kill before that loses nothing that the kernel has.
    for name in [redis::NAME, postgres::NAME] {
        stack.kill9(name).unwrap();
        assert_eq!(stack.pid(name).unwrap(), None);
        stack.start_again(name).unwrap();
    }
    assert_eq!(query(&database_url, "SELECT value FROM kept"), "7");
    stack.stop(|name, ending| assert_eq!(ending, Ending::Ended, "{name}")).unwrap();

    let stack = Stack::start_servers(&wanted).unwrap();
    assert_eq!(stack.redis_url(), redis_url, "the same port again");
    assert_eq!(redis_says(&redis_url, "GET key"), "$4");
    assert_eq!(query(stack.database_url(), "SELECT value FROM kept"), "7");
    let log = fs::metadata(&stack.record().member(postgres::NAME).unwrap().spec.log).unwrap();
    assert_eq!(log.permissions().mode() & 0o077, 0);
}

#[test]
fn a_password_guards_the_database() {
    let scratch = Scratch::new("password").unwrap();
    let (redis, _) = elsewhere();
    let stack = Stack::start_servers(&options(&scratch, redis, Server::Private)).unwrap();
    let (before, after) = stack.database_url().rsplit_once('@').unwrap();
    let wrong = format!("{}x@{after}", before);
    let refused = psql(&wrong, "SELECT 1");
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"));
}

#[test]
fn a_whole_stack_starts_is_recorded_and_leaves_nothing() {
    let scratch = Scratch::new("whole").unwrap();
    let (redis, postgres) = elsewhere();
    let mut wanted = options(&scratch, redis, postgres);
    wanted.market_maker = MarketMaker::Runs;
    let stack = Stack::start(wanted).unwrap();
    let places = places(&scratch);
    let public: Value =
        serde_json::from_str(&fs::read_to_string(places.stack_file()).unwrap()).unwrap();
    for field in ["rest_url", "ws_url", "redis_url", "database_url", "admin_token"] {
        assert!(public[field].is_string(), "{field}");
    }
    assert_eq!(public["accounts"].as_array().unwrap().len(), 2, "people's accounts alone");
    assert!(public["accounts"][0]["api_secret"].is_string());
    assert_eq!(public["processes"].as_object().unwrap().len(), 5);
    for secret in [places.stack_file(), places.record(), places.accounts(), places.admin_token()] {
        let mode = fs::metadata(&secret).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", secret.display());
    }
    assert!(stack.health().iter().all(|(_, health)| *health == Health::Ready));
    let maker = stack.account(MAKER).unwrap().id.clone().unwrap();
    let mm = &stack.record().member(MM).unwrap().spec;
    assert!(mm.args.windows(2).any(|pair| pair == ["--account", maker.as_str()]));

    let record = stack.record().clone();
    let mut stopped = Vec::new();
    stack.stop(|name, ending| stopped.push((name.to_owned(), ending))).unwrap();
    let order: Vec<&str> = stopped.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(order, ["mm", "io-gateway", "ws-fanout", "engine", "db-sink"]);
    assert!(stopped.iter().all(|(_, ending)| *ending == Ending::Ended));
    assert!(!record.any_alive());
    assert!(!places.stack_file().exists() && !places.record().exists());
}

#[test]
fn a_killed_process_is_started_again_with_what_it_had() {
    let scratch = Scratch::new("again").unwrap();
    let mut stack = start(&scratch);
    let before = stack.pid(ENGINE).unwrap().unwrap();
    assert!(stack.start_again(ENGINE).is_err(), "it runs");
    stack.kill9(ENGINE).unwrap();
    let health: HashMap<_, _> =
        stack.health().into_iter().map(|(one, how)| (one.spec.name.clone(), how)).collect();
    assert_eq!(health[ENGINE], Health::Dead);
    assert_eq!(health[IO_GATEWAY], Health::Ready, "the others go on");
    stack.start_again(ENGINE).unwrap();
    let after = stack.pid(ENGINE).unwrap().unwrap();
    assert_ne!(before, after);
    let public = fs::read_to_string(places(&scratch).stack_file()).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&public).unwrap()["processes"][ENGINE], after);
    assert!(stack.start_again("nothing").unwrap_err().to_string().contains("ws-fanout"));
}

#[test]
fn a_frozen_process_is_alive_but_not_ready_and_still_ends() {
    let scratch = Scratch::new("frozen").unwrap();
    let stack = start(&scratch);
    stack.freeze(ENGINE).unwrap();
    let health = stack.health().into_iter().find(|(one, _)| one.spec.name == ENGINE).unwrap().1;
    assert!(matches!(health, Health::NotReady(_)), "{health:?}");
    let ending = stack.stop_one(ENGINE, Duration::from_secs(10)).unwrap();
    assert_eq!(ending, Ending::Ended);
}

#[test]
fn a_stack_can_be_left_and_found_again_by_its_record() {
    let scratch = Scratch::new("left").unwrap();
    start(&scratch).detach();
    let mut found = Stack::open(places(&scratch), MINUTE).unwrap().unwrap();
    assert!(found.record().any_alive());
    found.kill9(IO_GATEWAY).unwrap();
    found.start_again(IO_GATEWAY).unwrap();
    drop(found);
    let found = Stack::open(places(&scratch), MINUTE).unwrap().unwrap();
    assert!(found.health().iter().all(|(_, health)| *health == Health::Ready));
    let record = found.record().clone();
    found.stop(|_, _| ()).unwrap();
    assert!(!record.any_alive());
    assert!(Stack::open(places(&scratch), MINUTE).unwrap().is_none());
}

#[test]
fn a_service_that_dies_at_start_fails_the_start_with_its_last_words() {
    let scratch = Scratch::new("dies").unwrap();
    let (redis, postgres) = elsewhere();
    let mut wanted = options(&scratch, redis, postgres);
    let dying = Extra { args: vec!["--die".to_owned()], env: BTreeMap::new() };
    wanted.extra.insert(services::DB_SINK.to_owned(), dying);
    let error = Stack::start(wanted).unwrap_err().to_string();
    assert!(error.contains("db-sink ended before it was ready"), "{error}");
    assert!(error.contains("the last words"), "{error}");
    assert!(Record::load(&places(&scratch)).unwrap().is_none());
    let own = scratch.path().display().to_string();
    assert_eq!(running_with(&own), Vec::<String>::new());
}

#[test]
fn a_service_that_never_gets_ready_fails_the_start() {
    let scratch = Scratch::new("never").unwrap();
    let (redis, postgres) = elsewhere();
    let mut wanted = options(&scratch, redis, postgres);
    wanted.ready_within = Duration::from_secs(2);
    let busy = Extra { args: vec!["--busy".to_owned()], env: BTreeMap::new() };
    wanted.extra.insert(ENGINE.to_owned(), busy);
    let error = Stack::start(wanted).unwrap_err().to_string();
    assert!(error.contains("engine was not ready within 2s"), "{error}");
    assert!(error.contains("503"), "{error}");
}

#[test]
fn accounts_are_made_and_funded_once_and_anew_on_another_exchange() {
    let scratch = Scratch::new("accounts").unwrap();
    let ledger = scratch.path().join("ledger.json");
    let with_ledger = || {
        let (redis, postgres) = elsewhere();
        let mut wanted = options(&scratch, redis, postgres);
        let env = BTreeMap::from([("LEDGER".to_owned(), ledger.display().to_string())]);
        wanted.extra.insert(IO_GATEWAY.to_owned(), Extra { args: Vec::new(), env });
        Stack::start(wanted).unwrap()
    };
    let stack = with_ledger();
    let (alice, bob) = (stack.account(ALICE).unwrap().clone(), stack.account(BOB).unwrap().clone());
    assert_ne!(alice.id, bob.id);
    stack.stop(|_, _| ()).unwrap();
    let first: Value = serde_json::from_str(&fs::read_to_string(&ledger).unwrap()).unwrap();
    assert_eq!(first["transfers"].as_object().unwrap().len(), 4, "two accounts, two assets");

    let stack = with_ledger();
    assert_eq!(*stack.account(ALICE).unwrap(), alice);
    stack.stop(|_, _| ()).unwrap();
    let again: Value = serde_json::from_str(&fs::read_to_string(&ledger).unwrap()).unwrap();
    assert_eq!(again, first, "nothing was made or funded twice");

    fs::remove_file(&ledger).unwrap();
    let stack = with_ledger();
    assert_ne!(stack.account(ALICE).unwrap().keys, alice.keys, "an account of the new exchange");
}

/// Command lines of living processes that hold this text.
fn running_with(text: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

fn redis_says(url: &str, command: &str) -> String {
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.trim().to_owned()
}

fn query(url: &str, statement: &str) -> String {
    let done = psql(url, statement);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

fn psql(url: &str, statement: &str) -> std::process::Output {
    let psql = tools::postgres(None).unwrap().program("psql");
    Command::new(psql).args([url, "-qtAc", statement]).output().unwrap()
}

/// Serves instead of testing when this program was started as a stand-in.
#[test]
fn stand_in() {
    let Ok(line) = std::env::var("FAKE_SERVICE") else { return };
    let words: Vec<&str> = line.split(' ').collect();
    if words.contains(&"migrate") {
        return;
    }
    if words.contains(&"--die") {
        println!("the last words");
        return;
    }
    let value = |flag| words.iter().position(|word| *word == flag).map(|at| words[at + 1]);
    let busy = words.contains(&"--busy");
    let ops = TcpListener::bind(value("--ops-listen").unwrap()).unwrap();
    if words[0] == IO_GATEWAY {
        let rest = TcpListener::bind(value("--listen").unwrap()).unwrap();
        std::thread::spawn(move || stand_in_gateway(&rest));
    }
    loop {
        let (stream, _) = ops.accept().unwrap();
        answer(stream, |_, _| if busy { (503, json!("replaying")) } else { (200, json!("ok")) });
    }
}

/// The admin surface, as far as a stack needs it; kept in the file `LEDGER` where one is named.
fn stand_in_gateway(rest: &TcpListener) {
    let file = std::env::var("LEDGER").ok();
    let kept = file.as_deref().and_then(|file| fs::read_to_string(file).ok());
    let mut ledger = match kept {
        Some(text) => serde_json::from_str(&text).unwrap(),
        None => json!({"accounts": [], "keys": [], "transfers": {}}),
    };
    loop {
        let (stream, _) = rest.accept().unwrap();
        answer(stream, |path, body| handle(&mut ledger, path, &body));
        if let Some(file) = &file {
            fs::write(Path::new(file), ledger.to_string()).unwrap();
        }
    }
}

fn handle(ledger: &mut Value, path: &str, body: &Value) -> (u16, Value) {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let accounts = ledger["accounts"].as_array_mut().unwrap();
    match parts[..] {
        ["api", "v1", "assets"] => (200, json!([{"symbol": "SOL"}, {"symbol": "USDC"}])),
        ["admin", "v1", "accounts"] => {
            accounts.push(body["label"].clone());
            (200, json!({"id": accounts.len().to_string()}))
        }
        ["admin", "v1", "accounts", id, what] => {
            if id.parse::<usize>().is_ok_and(|id| accounts.len() < id) {
                return (404, json!({"code": "RESOURCE_NOT_FOUND", "message": "Not Found"}));
            }
            if what == "deposits" {
                let transfer = body["transferId"].as_str().unwrap().to_owned();
                ledger["transfers"][transfer] = body.clone();
            } else {
                ledger["keys"].as_array_mut().unwrap().push(body["publicKey"].clone());
            }
            (200, json!({}))
        }
        _ => (404, json!({"code": "RESOURCE_NOT_FOUND", "message": path})),
    }
}

/// Reads one request, writes one answer.
fn answer(stream: TcpStream, handle: impl FnOnce(&str, Value) -> (u16, Value)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap() <= 2 {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let Some(path) = first.split(' ').nth(1) else { return };
    let (status, answer) = handle(path, serde_json::from_slice(&body).unwrap_or_default());
    let answer = answer.to_string();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", answer.len());
    let mut stream = stream;
    stream.write_all(format!("{head}connection: close\r\n\r\n{answer}").as_bytes()).unwrap();
}
