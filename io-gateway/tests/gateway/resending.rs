//! What gets lost between gateway and engine: each command happens once, or its client knows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use io_gateway::link::Health;
use protocol::{AccountId, Action, Command, GatewayId, MarketId, Origin, keys};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use xtask::private_servers::Server;

use crate::Stand;
use crate::fake_engine::{self, FakeEngine};

const NO_DATABASE: &str = "postgres://nobody@127.0.0.1:1/nothing";
/// Only what is lost for sure is sent again at once.
const PATIENT: &str = "reply_timeout_ms = 5000\nresend_ms = 60000\n";
const EAGER: &str = "reply_timeout_ms = 5000\nresend_ms = 100\n";

async fn stand(redis: &Server, settings: &str) -> Arc<Stand> {
    let stand = Stand::start_set(&redis.url, NO_DATABASE, settings).await;
    stand.eventually(Health::is_whole).await;
    Arc::new(stand)
}

/// Places an order whose command or reply gets lost, and waits until the engine has read it.
async fn place_and_lose(stand: &Arc<Stand>, engine: &FakeEngine) -> JoinHandle<(u16, Value)> {
    let before = engine.state().read.len();
    let placing = Arc::clone(stand);
    let placed = tokio::spawn(async move { placing.place("19", "1").await });
    eventually(|| before < engine.state().read.len()).await;
    placed
}

async fn eventually(holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to that");
}

/// Every copy of a command bears one name, and one of them was carried out.
fn assert_once(engine: &FakeEngine) {
    let state = engine.state();
    assert!(2 <= state.read.len(), "{:?}", state.read);
    assert!(state.read.iter().all(|origin| *origin == state.read[0]), "{:?}", state.read);
    assert_eq!(state.decided, 1);
}

#[tokio::test]
async fn a_lost_command_or_reply_is_made_good_after_an_interval() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = stand(&redis, EAGER).await;
    engine.state().faults.lose_replies = 1;
    assert_eq!(stand.place("19", "1").await.0, 200);
    assert_once(&engine);

    engine.state().read.clear();
    engine.state().decided = 0;
    engine.state().faults.lose_commands = 2;
    assert_eq!(stand.place("19", "1").await.0, 200);
    assert_once(&engine);
    assert_eq!(stand.app.link.decisions_waiting(), 0);
}

#[tokio::test]
async fn a_new_life_of_the_engine_gets_at_once_what_the_old_one_owed() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = stand(&redis, PATIENT).await;
    engine.state().faults.lose_commands = 1;
    let placed = place_and_lose(&stand, &engine).await;
    engine.state().life += 1;
    let started = Instant::now();
    assert_eq!(placed.await.unwrap().0, 200);
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_once(&engine);
    // The new life might have been another's: what comes later has a name that none can have.
    let epoch = engine.state().read[0].epoch;
    stand.eventually(Health::is_whole).await;
    assert_eq!(stand.place("19", "1").await.0, 200);
    assert_eq!(engine.state().read.last().unwrap().epoch, epoch + 1);
}

#[tokio::test]
async fn replies_lost_with_the_subscription_are_asked_for_again() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = stand(&redis, PATIENT).await;
    engine.state().faults.lose_replies = 1;
    let placed = place_and_lose(&stand, &engine).await;
    let mut connection = fake_engine::connect(&redis).await;
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("pubsub").exec_async(&mut connection).await.unwrap();
    assert_eq!(placed.await.unwrap().0, 200);
    assert_once(&engine);
}

#[tokio::test]
async fn while_redis_says_nothing_those_wait_who_have_sent() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand =
        stand(&redis, "reply_timeout_ms = 8000\nresend_ms = 60000\nredis_timeout_ms = 300\n");
    let stand = stand.await;
    let mut connection = fake_engine::connect(&redis).await;
    let mut pause = redis::cmd("CLIENT");
    pause.arg("PAUSE").arg(1500).arg("WRITE").exec_async(&mut connection).await.unwrap();
    let waiting = Arc::clone(&stand);
    let placed = tokio::spawn(async move { waiting.place("19", "1").await });
    stand.eventually(|health| !health.redis).await;
    let (status, error) = stand.place("18", "1").await;
    assert_eq!(
        (status, &error["code"]),
        (503, &json!("MAINTENANCE")),
        "who comes now is not taken"
    );
    let (status, order) = placed.await.unwrap();
    assert_eq!((status, &order["status"]), (200, &json!("New")), "{order}");
    let state = engine.state();
    assert!(state.read.iter().all(|origin| *origin == state.read[0]), "{:?}", state.read);
    assert_eq!(state.decided, 1);
}

#[tokio::test]
async fn a_client_is_told_when_nobody_can_tell() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = stand(&redis, EAGER).await;
    engine.state().faults.lose_replies = 1;
    engine.state().faults.forgets_frames = true;
    let (status, error) = stand.place("19", "1").await;
    assert_eq!((status, &error["code"]), (504, &json!("TIMEOUT")));
    assert!(error["message"].as_str().unwrap().contains("may be there"), "{error}");

    engine.state().faults.stale = 1;
    let epoch = engine.state().epoch_known;
    let (status, error) = stand.place("19", "1").await;
    assert_eq!((status, &error["code"]), (504, &json!("TIMEOUT")), "the only copy");
    stand.eventually(Health::is_whole).await;
    assert_eq!(stand.place("19", "1").await.0, 200);
    assert_eq!(engine.state().read.last().unwrap().epoch, epoch + 1, "old names are given up");

    engine.state().faults.lose_commands = 1;
    engine.state().faults.stale = 1;
    let (status, error) = stand.place("19", "1").await;
    assert_eq!(
        (status, &error["code"]),
        (504, &json!("TIMEOUT")),
        "the first copy is not known of"
    );
}

#[tokio::test]
async fn nothing_is_sent_before_an_epoch_is_taken_that_nobody_had() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    engine.state().faults.answers_epoch = false;
    let settings = "query_timeout_ms = 100\n";
    let stand = Stand::start_set(&redis.url, NO_DATABASE, settings).await;
    stand.eventually(|health| health.redis && health.engine).await;
    assert!(!stand.app.link.health().is_whole());
    let (status, error) = stand.place("19", "1").await;
    assert_eq!((status, &error["code"]), (503, &json!("MAINTENANCE")));
    let (_, status) = stand.json("GET", "/api/v1/status", "", "").await;
    assert_eq!(status["status"], "Maintenance");
    assert_eq!(engine.state().read.len(), 0);
    assert_eq!(stand.json("GET", "/api/v1/depth?symbol=SOL_USDC", "", "").await.0, 200);

    engine.state().faults.answers_epoch = true;
    let placed_under = async || {
        loop {
            stand.eventually(Health::is_whole).await;
            // Right after a change the gateway may not have seen it yet, or be taking an epoch.
            match stand.place("19", "1").await.0 {
                200 => return engine.state().read.last().unwrap().epoch,
                status => assert_eq!(status, 503),
            }
        }
    };
    assert_eq!(placed_under().await, 4_100_000_042, "above what the engine knows");

    // Redis forgets; the engine does not.
    let mut connection = fake_engine::connect(&redis).await;
    let key = keys::epoch(GatewayId(1));
    redis::cmd("DEL").arg(&key).exec_async(&mut connection).await.unwrap();
    let within = Instant::now() + Duration::from_secs(5);
    while placed_under().await == 4_100_000_042 {
        assert!(Instant::now() < within, "the loss of the epoch was not noticed");
    }
    assert_eq!(placed_under().await, 4_100_000_043);

    // The engine comes back on another data folder, where another used our id.
    engine.state().epoch_known = 4_100_000_090;
    engine.state().life += 1;
    let within = Instant::now() + Duration::from_secs(5);
    while placed_under().await == 4_100_000_043 {
        assert!(Instant::now() < within, "the epoch of another was not noticed");
    }
    assert_eq!(placed_under().await, 4_100_000_091);
}

#[tokio::test]
async fn a_decision_on_somebody_else_s_command_is_not_taken_for_ours() {
    let redis = Server::redis("gateway").unwrap();
    let engine = fake_engine::run(&redis, &["SOL_USDC"]).await;
    let stand = Stand::ready(&redis).await;
    assert_eq!(stand.place("19", "1").await.0, 200);
    let Origin { gateway, epoch, sequence } = engine.state().read[0];
    let (market, account) = (MarketId(1), AccountId::new(3).unwrap());
    let foreign = Command {
        origin: Origin { gateway, epoch, sequence: sequence + 1 },
        time_us: 0,
        action: Action::cancel_all(market, account),
    };
    let mut connection = fake_engine::connect(&redis).await;
    let mut add = redis::cmd("XADD");
    add.arg(keys::orders("SOL_USDC")).arg("*").arg(keys::COMMAND_FIELD);
    add.arg(&foreign.encode()[..]).exec_async(&mut connection).await.unwrap();
    eventually(|| engine.state().decided == 2).await;
    assert_eq!(stand.place("19", "1").await.0, 504);
    stand.eventually(Health::is_whole).await;
    assert_eq!(stand.place("19", "1").await.0, 200, "under a name of its own");
}
