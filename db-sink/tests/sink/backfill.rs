//! Databases rebuilt from the journal that the test's engine has.

use std::process::{Command, Stdio};
use std::time::Duration;

use db_sink::backfill::tally::Done;
use db_sink::backfill::{Backfill, BackfillError};
use db_sink::sink::End;
use redis::AsyncCommands;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Manner};
use crate::listing::list;
use crate::running::{emit, ready, stands_at, start, story, stream_length};
use crate::servers::{World, eventually, exchange_toml};
use crate::story::{Story, assert_stored, position};

/// Redis and an empty database without a table.
async fn bare() -> World {
    World::new().await.with_redis()
}

fn accounts(deposits: u64) -> Story {
    let mut story = Story::of(None);
    (1..=deposits).for_each(|units| story.deposit(2, units));
    story
}

fn backfill(world: &World) -> Backfill {
    Backfill { config: world.config.clone(), catalog: world.catalog.clone() }
}

async fn filled(world: &World) -> Vec<Done> {
    backfill(world).run(CancellationToken::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_gets_all_of_the_journal_and_a_sink_goes_on() {
    let world = bare().await;
    let mut redis = world.redis().await;
    let (mut sol, btc) = (story(&world, "SOL_USDC", 900, 101), story(&world, "BTC_USDC", 70, 102));
    let mut accounts = accounts(40);
    let told = [&accounts, &sol, &btc];
    let engine = Engine::start(&world, &told, Manner { frames: 60, ..Manner::default() });
    list(&world, 1, &told).await;
    // The queue has but the end of it, as always.
    emit(&mut redis, &sol, 850..900).await;
    let done = filled(&world).await;
    assert_stored(&mut world.connect().await, &told).await;
    for (done, story) in done.iter().zip(told) {
        assert_eq!(done.frames as usize, story.frames.len(), "{}", done.stream);
        assert_eq!(done.rows as usize, story.rows().len(), "{}", done.stream);
        assert_eq!((done.from, done.to), (0, story.last()), "{}", done.stream);
    }
    assert_eq!(stream_length(&redis, &sol).await, 0, "Redis need not keep what is committed");
    let kept: u64 = redis.hget(protocol::keys::COMMITTED, "SOL_USDC").await.unwrap();
    assert_eq!(kept, sol.last());
    drop(engine);

    sol.take(3, &[(10_000, 7)]);
    accounts.deposit(1, 41);
    emit(&mut redis, &sol, 900..901).await;
    emit(&mut redis, &accounts, 40..41).await;
    let sink = start(&world);
    stands_at(&world, &sol, 900).await;
    stands_at(&world, &accounts, 40).await;
    assert_eq!(sink.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&accounts, &sol, &btc]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_one_goes_on_when_it_is_started_again() {
    let mut world = bare().await;
    (world.config.rows_max, world.config.drain_max) = (40, Duration::from_millis(300));
    let (sol, accounts) = (story(&world, "SOL_USDC", 1500, 103), accounts(30));
    let told = [&accounts, &sol];
    let _engine = Engine::start(&world, &told, Manner { frames: 50, ..Manner::default() });
    list(&world, 1, &told).await;
    world.migrate().await.unwrap();
    let mut connection = world.connect().await;
    for (is_told, until) in [(true, 500), (false, 1000)] {
        // The database takes no more than that, so that it cannot be through before it is ended.
        let until = sol.frames[until].0.0;
        let bound = format!("ALTER TABLE trades ADD CONSTRAINT bound CHECK (sequence < {until})");
        sqlx::raw_sql(sqlx::AssertSqlSafe(bound)).execute(&mut connection).await.unwrap();
        let before = position(&mut connection, "SOL_USDC").await;
        let stop = CancellationToken::new();
        let running = tokio::spawn(backfill(&world).run(stop.clone()));
        eventually("it comes further", || async {
            before < position(&mut world.connect().await, "SOL_USDC").await
        })
        .await;
        if is_told {
            stop.cancel();
            let error = running.await.unwrap().unwrap_err();
            assert!(matches!(error, BackfillError::Interrupted), "{error}");
        } else {
            running.abort();
            assert!(running.await.unwrap_err().is_cancelled());
        }
        let unbound = "ALTER TABLE trades DROP CONSTRAINT bound";
        sqlx::raw_sql(unbound).execute(&mut connection).await.unwrap();
    }
    let done = filled(&world).await;
    assert!(done[1].frames < 1500, "what was there is not read again: {done:?}");
    assert_stored(&mut world.connect().await, &told).await;
    let again = filled(&world).await;
    assert!(again.iter().all(|done| done.frames == 0), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_runs_ends_and_one_that_starts_ends_the_backfill() {
    let mut world = ready(World::new().await).await;
    world.config.rows_max = 40;
    let (sol, accounts) = (story(&world, "SOL_USDC", 1500, 104), accounts(3));
    let told = [&accounts, &sol];
    list(&world, 1, &told).await;
    let mut redis = world.redis().await;
    let first = start(&world);
    emit(&mut redis, &sol, 0..10).await;
    stands_at(&world, &sol, 9).await;
    let engine = Engine::start(&world, &told, Manner { span: 1000, ..Manner::default() });
    // Further than anybody comes, and said so.
    engine.stands_at(1 << 40);
    eventually("the heartbeat says it", || {
        let mut redis = redis.clone();
        async move {
            let beat: Option<String> = redis.get(protocol::keys::HEARTBEAT).await.unwrap();
            beat.is_some_and(|beat| beat.contains(&(1u64 << 40).to_string()))
        }
    })
    .await;
    let running = tokio::spawn(backfill(&world).run(CancellationToken::new()));
    assert_eq!(first.end().await, End::TakenOver);
    stands_at(&world, &sol, 1499).await;
    stands_at(&world, &accounts, 2).await;
    let second = start(&world);
    let error = running.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("another sink has taken over"), "{error}");
    assert_eq!(second.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_begins_late_is_refused_before_anything_is_claimed() {
    let world = bare().await;
    let (sol, accounts) = (story(&world, "SOL_USDC", 60, 105), accounts(3));
    let mut btc = story(&world, "BTC_USDC", 0, 106);
    let begins_after = sol.frames[19].0.0;
    // It was listed behind what was removed, and so lacks nothing.
    btc.take(begins_after + 1, &[(9_000, 1)]);
    let manner = Manner { begins_after, ..Manner::default() };
    let told = [&accounts, &sol, &btc];
    let _engine = Engine::start(&world, &told, manner);
    list(&world, 1, &told).await;
    let error = backfill(&world).run(CancellationToken::new()).await.unwrap_err();
    let missing = format!(
        "; SOL_USDC: the database ends at frame 0, the journal begins only behind frame \
         {begins_after}, so this stream's frames behind 0 up to {begins_after}, all of before "
    );
    let text = error.to_string();
    assert!(text.starts_with("nothing was written: ") && text.contains(&missing), "{text}");
    assert!(!text.contains("BTC_USDC"), "{text}");
    let claimed: i64 = sqlx::query_scalar("SELECT count(*) FROM sink_position")
        .fetch_one(&mut world.connect().await)
        .await
        .unwrap();
    assert_eq!(claimed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_that_shows_late_stops_there() {
    let world = bare().await;
    let (sol, accounts) = (story(&world, "SOL_USDC", 60, 107), accounts(3));
    let begins_after = sol.frames[19].0.0;
    // Its first page ends before its first frame.
    let mut btc = story(&world, "BTC_USDC", 5, 108);
    btc.take(begins_after + 20, &[(9_000, 1)]);
    let told = [&accounts, &btc];
    let manner = Manner { begins_after, span: 10, ..Manner::default() };
    let _engine = Engine::start(&world, &told, manner);
    list(&world, 1, &told).await;
    let error = backfill(&world).run(CancellationToken::new()).await.unwrap_err();
    let stopped = matches!(&error, BackfillError::Stream { stream, .. } if stream == "BTC_USDC");
    assert!(stopped, "{error:?}");
    assert_eq!(position(&mut world.connect().await, "BTC_USDC").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_exchange_is_refused() {
    let world = ready(World::new().await).await;
    let (sol, other, accounts) =
        (story(&world, "SOL_USDC", 20, 109), story(&world, "SOL_USDC", 90, 110), accounts(3));
    let told = [&accounts, &sol];
    list(&world, 1, &told).await;
    let mut redis = world.redis().await;
    let sink = start(&world);
    emit(&mut redis, &other, 0..90).await;
    stands_at(&world, &other, 89).await;
    assert_eq!(sink.drain().await, End::Drained);
    let _engine = Engine::start(&world, &told, Manner::default());
    let error = backfill(&world).run(CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("they are not of one exchange"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_market_listed_meanwhile_is_taken_too() {
    let world = bare().await;
    let (sol, btc, accounts) =
        (story(&world, "SOL_USDC", 300, 111), story(&world, "BTC_USDC", 30, 112), accounts(3));
    let told = [&accounts, &sol, &btc];
    let engine = Engine::start(&world, &told, Manner { frames: 30, ..Manner::default() });
    list(&world, 1, &told[..2]).await;
    let running = tokio::spawn(backfill(&world).run(CancellationToken::new()));
    eventually("it has asked", || async { !engine.requests().is_empty() }).await;
    list(&world, 2, &told).await;
    let done = running.await.unwrap().unwrap();
    let streams: Vec<_> = done.iter().map(|done| done.stream.as_str()).collect();
    assert_eq!(streams, ["accounts", "SOL_USDC", "BTC_USDC"]);
    assert_stored(&mut world.connect().await, &told).await;
}

/// Exit code, and what it said.
pub fn run(world: &World, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_db-sink"));
    command.arg("--config").arg(exchange_toml()).args(arguments).stdin(Stdio::null());
    command.env("DATABASE_URL", &world.config.database_url);
    command.env("REDIS_URL", &world.config.redis_url);
    let done = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code(), text(done.stdout), text(done.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_what_came_of_it() {
    let world = bare().await;
    let (sol, accounts) = (story(&world, "SOL_USDC", 20, 113), accounts(3));
    let told = [&accounts, &sol];
    list(&world, 1, &told).await;
    let call =
        |arguments: &'static [&'static str]| tokio::task::block_in_place(|| run(&world, arguments));
    let (code, _, said) = call(&["backfill", "--from-journal"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no engine within"), "{said}");
    let engine = Engine::start(&world, &told, Manner::default());
    let (code, _, said) = call(&["backfill", "--from-journal"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("backfilled stream=\"SOL_USDC\" from=0"), "{said}");
    assert_stored(&mut world.connect().await, &told).await;
    drop(engine);
    assert_eq!(call(&["backfill"]).0, Some(2), "there is one source, and it is named");
}
