//! What is one account's alone: its updates, who it is, and what happens when its socket closes.

use std::time::{Duration, Instant};

use protocol::access::{Answer, Credentials, Identity, Question, Verdict};
use protocol::{AccountId, Action, Command, MarketId, keys};
use tokio::time::sleep;
use ws_fanout::links::ToDisconnects;
use ws_fanout::stream_name::{PrivateName, StreamName};

use crate::world::{ASKER, DEADLINE, World};

fn account(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

fn stream(name: PrivateName) -> StreamName {
    StreamName::Private { account: account(7), name }
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_reach_the_streams_they_are_about() {
    let mut world = World::start().await;
    let (all, balances) = (stream(PrivateName::Orders(None)), stream(PrivateName::Balances));
    let of_market = stream(PrivateName::Orders(Some(MarketId(1))));
    for stream in [all, of_market, balances] {
        world.join(stream).await;
    }
    world.update(account(7)).await;
    let frame = world.message(all).await;
    let expected = r#"{"stream":"account.orderUpdate","data":{"e":"orderFill","n":1}}"#;
    assert_eq!(frame, serde_json::from_str::<serde_json::Value>(expected).unwrap());
    assert_eq!(world.message(of_market).await["stream"], "account.orderUpdate.SOL_USDC");
    assert_eq!(world.message(balances).await["data"]["e"], "balanceUpdate");
    world.update(account(7)).await;
    assert_eq!(world.message(all).await["data"]["n"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_update_breaks_the_accounts_streams_alone() {
    let mut world = World::start().await;
    let mine = stream(PrivateName::Balances);
    let other = StreamName::Private { account: account(8), name: PrivateName::Balances };
    let token = world.join(mine).await;
    world.join(other).await;
    world.engine().update(account(7));
    world.update(account(7)).await;
    world.broken(mine, token).await;
    world.update(account(8)).await;
    assert_eq!(world.message(other).await["data"]["n"], 1);
    world.join(mine).await;
    world.update(account(7)).await;
    assert_eq!(world.message(mine).await["data"]["n"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_or_another_life_breaks_private_streams() {
    let mut world = World::start().await;
    let balances = stream(PrivateName::Balances);
    let token = world.join(balances).await;
    world.cut_off().await;
    world.broken(balances, token).await;
    let token = world.join(balances).await;
    world.engine().life = 2;
    world.update(account(7)).await;
    world.broken(balances, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_somebody_is_is_asked_of_a_gateway() {
    let mut world = World::start().await;
    let granted = Verdict::Granted(Identity { account: account(7), read_only: true });
    let access = world.fanout.access.clone();
    let asking = tokio::spawn(async move {
        let credentials = Credentials::Cookie("session=x".to_owned());
        access.identify("10.0.0.1".parse().unwrap(), credentials).await
    });
    let start = Instant::now();
    let question: Question = loop {
        let mut pop = redis::cmd("RPOP");
        let found: Option<Vec<u8>> =
            pop.arg(keys::ACCESS).query_async(world.connection().await).await.unwrap();
        if let Some(found) = found {
            break serde_json::from_slice(&found).unwrap();
        }
        assert!(start.elapsed() < DEADLINE, "nobody asks");
        sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(
        (question.asker, question.credentials),
        (ASKER, Credentials::Cookie("session=x".to_owned()))
    );
    let answer =
        |life, verdict| serde_json::to_string(&Answer { id: question.id, life, verdict }).unwrap();
    // Meant for an earlier process of this name.
    world.publish(&keys::access(ASKER), &answer(question.life ^ 1, Verdict::Refused)).await;
    world.publish(&keys::access(ASKER), &answer(question.life, granted)).await;
    assert_eq!(asking.await.unwrap(), granted);
    let cookie = Credentials::Cookie(String::new());
    let unanswered = world.fanout.access.identify("10.0.0.1".parse().unwrap(), cookie).await;
    assert_eq!(unanswered, Verdict::Unavailable);
}

/// Its id, and its fields with their names.
type Entry = (String, Vec<(String, Vec<u8>)>);

/// What stands in the accounts' queue.
async fn commands(world: &mut World) -> Vec<Command> {
    let mut range = redis::cmd("XRANGE");
    range.arg(keys::orders(keys::ACCOUNTS)).arg("-").arg("+");
    let entries: Vec<Entry> = range.query_async(world.connection().await).await.unwrap();
    entries.iter().map(|(_, fields)| Command::decode_slice(&fields[0].1).unwrap()).collect()
}

async fn eventually(world: &mut World, holds: impl Fn(&[Command]) -> bool) -> Vec<Command> {
    let start = Instant::now();
    loop {
        let found = commands(world).await;
        if holds(&found) {
            return found;
        }
        assert!(start.elapsed() < DEADLINE, "{found:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn expiries(commands: &[Command], id: u32) -> usize {
    let of = |command: &&Command| match command.action {
        Action::ExpireCancelAfter { account, .. } => account.get() == id,
        _ => false,
    };
    commands.iter().filter(of).count()
}

fn leases(commands: &[Command], id: u32) -> usize {
    let of = |command: &&Command| match command.action {
        Action::SetCancelAfter { account, .. } => account.get() == id,
        _ => false,
    };
    commands.iter().filter(of).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_socket_expires_its_account_once_and_the_end_expires_the_others() {
    let mut world = World::start().await;
    world.engine().epoch = 40;
    for id in [7, 8] {
        world.fanout.disconnects.send(ToDisconnects::Armed(account(id))).await.unwrap();
    }
    eventually(&mut world, |it| leases(it, 7) == 1 && leases(it, 8) == 1).await;
    world.fanout.disconnects.send(ToDisconnects::Closed(account(7))).await.unwrap();
    eventually(&mut world, |it| expiries(it, 7) == 1).await;
    // The other one's lease is renewed.
    let found = eventually(&mut world, |it| 1 < leases(it, 8)).await;
    assert_eq!((expiries(&found, 7), expiries(&found, 8), leases(&found, 7)), (1, 0, 1));
    assert!(found.iter().all(|it| it.origin.gateway == ASKER && 40 < it.origin.epoch));
    let mut names: Vec<u64> = found.iter().map(|it| it.origin.sequence).collect();
    names.dedup();
    assert_eq!(names, (1..=names.len() as u64).collect::<Vec<_>>());
    // After Redis was lost another epoch is taken.
    let before = found.last().unwrap().origin.epoch;
    world.cut_off().await;
    eventually(&mut world, |it| it.last().unwrap().origin.epoch != before).await;
    world.fanout.stop.cancel();
    (&mut world.fanout.running).await.unwrap();
    let found = commands(&mut world).await;
    assert_eq!((expiries(&found, 7), expiries(&found, 8)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_waits_for_redis_and_happens_once() {
    let mut world = World::start().await;
    world.fanout.disconnects.send(ToDisconnects::Armed(account(7))).await.unwrap();
    eventually(&mut world, |it| leases(it, 7) == 1).await;
    world.redis.kill().unwrap();
    world.fanout.disconnects.send(ToDisconnects::Closed(account(7))).await.unwrap();
    world.restart_redis().await;
    let found = eventually(&mut world, |it| expiries(it, 7) != 0).await;
    let names: std::collections::HashSet<_> = found.iter().map(|it| it.origin).collect();
    assert_eq!(names.len(), found.len() - (expiries(&found, 7) - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_died_with_an_earlier_life_are_closed_by_the_next() {
    let mut world = World::start().await;
    world.fanout.disconnects.send(ToDisconnects::Armed(account(7))).await.unwrap();
    eventually(&mut world, |it| leases(it, 7) == 1).await;
    world.die_and_start_again().await;
    eventually(&mut world, |it| expiries(it, 7) == 1).await;
    world.die_and_start_again().await;
    world.fanout.disconnects.send(ToDisconnects::Armed(account(8))).await.unwrap();
    let found = eventually(&mut world, |it| leases(it, 8) == 1).await;
    assert_eq!(expiries(&found, 7), 1);
}
