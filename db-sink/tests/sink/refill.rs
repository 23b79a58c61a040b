//! Frames that the queue lacks, had again from the engine: the rows are those of a sink that never
//! lacked any.

use std::ops::Range;
use std::time::Duration;

use db_sink::sink::End;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::engine::{Engine, Manner, Mischief};
use crate::running::{emit, ready, stands_at, start, story, stream, stream_length};
use crate::servers::{World, eventually};
use crate::story::{Story, assert_stored, position};

async fn emit_parts(redis: &mut MultiplexedConnection, story: &Story, parts: &[Range<usize>]) {
    for part in parts {
        emit(redis, story, part.clone()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_waits_for_the_engine_and_other_streams_do_not() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let (sol, btc) = (story(&world, "SOL_USDC", 30, 40), story(&world, "BTC_USDC", 30, 41));
    emit_parts(&mut redis, &sol, &[0..10, 11..30]).await;
    let sink = start(&world);
    stands_at(&world, &sol, 9).await;
    emit(&mut redis, &btc, 0..30).await;
    stands_at(&world, &btc, 29).await;
    assert_eq!(position(&mut world.connect().await, "SOL_USDC").await, sol.frames[9].0.0 as i64);
    // What could not be written is still there, and nobody is asked who is not there.
    assert_eq!(stream_length(&redis, &sol).await, 19);
    assert_eq!(redis.llen::<_, usize>(protocol::keys::REFILLS).await.unwrap(), 0);

    let engine = Engine::start(&world, &[&sol, &btc], Manner::default());
    stands_at(&world, &sol, 29).await;
    eventually("the stream is trimmed", || async { stream_length(&redis, &sol).await == 0 }).await;
    assert_eq!(sink.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&sol, &btc]).await;
    assert!(!engine.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_end_anywhere() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let symbols = ["SOL_USDC", "BTC_USDC", "ETH_USDC", "SOL_BTC"];
    let stories: Vec<_> =
        symbols.iter().zip(42..).map(|(symbol, seed)| story(&world, symbol, 60, seed)).collect();
    let told: Vec<_> = stories.iter().collect();
    let last = |story: &Story, frame: usize| story.frames[frame].0.0;
    let mut engine = Engine::start(&world, &told, Manner { durable: 0, ..Manner::default() });
    let sink = start(&world);
    // Round by round gaps of 0 to 3 frames, and pages of other lengths.
    let manners = [(1, u64::MAX), (2, u64::MAX), (3, u64::MAX), (usize::MAX, 1), (usize::MAX, 2)];
    for (round, (frames, span)) in manners.into_iter().enumerate() {
        let begin = 12 * round;
        let durable = stories.iter().map(|story| last(story, begin + 11)).max().unwrap();
        drop(engine);
        engine =
            Engine::start(&world, &told, Manner { frames, span, durable, ..Manner::default() });
        for (gap, story) in stories.iter().enumerate() {
            emit_parts(&mut redis, story, &[begin..begin + 5, begin + 5 + gap..begin + 12]).await;
        }
        for story in &stories {
            stands_at(&world, story, begin + 11).await;
        }
    }
    assert_eq!(sink.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &told).await;
    assert!(!engine.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_begins_late_or_ends_early_is_completed_for_a_fresh_database() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let (sol, btc, eth) = (
        story(&world, "SOL_USDC", 500, 46),
        story(&world, "BTC_USDC", 50, 47),
        story(&world, "ETH_USDC", 1, 48),
    );
    // From the middle on; up to the middle, and then quiet; nothing at all.
    emit(&mut redis, &sol, 250..500).await;
    emit(&mut redis, &btc, 0..25).await;
    let _engine = Engine::start(&world, &[&sol, &btc, &eth], Manner::default());
    let sink = start(&world);
    for (story, last) in [(&sol, 499), (&btc, 49), (&eth, 0)] {
        stands_at(&world, story, last).await;
    }
    assert_eq!(sink.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&sol, &btc, &eth]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_queue_is_noticed_though_its_market_stays_quiet() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let sol = story(&world, "SOL_USDC", 60, 49);
    let engine = Engine::start(&world, &[&sol], Manner { frames: 7, ..Manner::default() });
    engine.stands_at(sol.frames[39].0.0);
    let sink = start(&world);
    emit(&mut redis, &sol, 0..40).await;
    stands_at(&world, &sol, 39).await;
    // Every doubt since the connect is settled: what follows is for the flush alone.
    eventually("the sink has asked", || async {
        engine.requests().iter().any(|request| request.market == sol.market_id())
    })
    .await;
    engine.stands_at(sol.last());
    redis.flushall::<()>().await.unwrap();
    stands_at(&world, &sol, 59).await;
    assert_eq!(sink.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&sol]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_sink_leaves_the_engine_alone() {
    let mut world = ready(World::new().await).await;
    // Never asked again because this machine is slow.
    world.config.refill_max = Duration::from_secs(20);
    let mut redis = world.redis().await;
    let sol = story(&world, "SOL_USDC", 60, 50);
    let engine = Engine::start(&world, &[&sol], Manner::default());
    let sink = start(&world);
    emit(&mut redis, &sol, 0..60).await;
    stands_at(&world, &sol, 59).await;
    // One request for the stream after the connect; of markets it does not list likewise.
    let streams = world.catalog.markets().len() + 1;
    eventually("each stream is asked for", || async { engine.requests().len() == streams }).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(engine.requests().len(), streams, "{:?}", engine.requests());
    assert_eq!(sink.drain().await, End::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_costs_nothing() {
    let mut world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let (sol, btc) = (story(&world, "SOL_USDC", 900, 51), story(&world, "BTC_USDC", 90, 52));
    let engine = Engine::start(&world, &[&sol, &btc], Manner { frames: 100, ..Manner::default() });
    engine.stands_at(sol.frames[299].0.0);
    let sink = start(&world);
    emit(&mut redis, &sol, 0..300).await;
    emit(&mut redis, &btc, 0..60).await;
    stands_at(&world, &sol, 299).await;
    // Traded while Redis was away, or emitted to the one that is lost.
    world.replace_redis(async || engine.stands_at(sol.last())).await;
    let mut redis = world.redis().await;
    emit(&mut redis, &sol, 700..900).await;
    stands_at(&world, &sol, 899).await;
    stands_at(&world, &btc, 89).await;
    assert_eq!(sink.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&sol, &btc]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_come_twice_late_or_not_at_all_change_nothing() {
    for mischief in [Mischief::Repeats, Mischief::Late, Mischief::Deaf] {
        let world = ready(World::new().await).await;
        let mut redis = world.redis().await;
        let (sol, btc) = (story(&world, "SOL_USDC", 60, 53), story(&world, "BTC_USDC", 60, 54));
        let manner = Manner { frames: 9, mischief, ..Manner::default() };
        let engine = Engine::start(&world, &[&sol, &btc], manner);
        emit_parts(&mut redis, &sol, &[0..10, 30..60]).await;
        emit_parts(&mut redis, &btc, &[5..30, 31..60]).await;
        let sink = start(&world);
        stands_at(&world, &sol, 59).await;
        stands_at(&world, &btc, 59).await;
        assert_eq!(sink.drain().await, End::Drained);
        assert_stored(&mut world.connect().await, &[&sol, &btc]).await;
        let requests = engine.requests();
        let mut ids: Vec<_> = requests.iter().map(|request| request.id).collect();
        ids.dedup();
        assert!(ids.is_sorted() && ids.len() == requests.len(), "{mischief:?}: {ids:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_lives_have_two_mailboxes() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let sol = story(&world, "SOL_USDC", 30, 55);
    let engine = Engine::start(&world, &[&sol], Manner::default());
    for (parts, last) in [([0..5, 7..10], 9), ([10..12, 15..30], 29)] {
        engine.stands_at(sol.frames[last].0.0);
        let sink = start(&world);
        emit_parts(&mut redis, &sol, &parts).await;
        stands_at(&world, &sol, last).await;
        assert_eq!(sink.drain().await, End::Drained);
    }
    let requests = engine.requests();
    assert_ne!(requests[0].asker, requests[requests.len() - 1].asker);
    assert_stored(&mut world.connect().await, &[&sol]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_frames_were_removed_stops_and_no_other() {
    let mut world = ready(World::new().await).await;
    // Never asked again because this machine is slow.
    world.config.refill_max = Duration::from_secs(20);
    let mut redis = world.redis().await;
    let (sol, btc) = (story(&world, "SOL_USDC", 60, 56), story(&world, "BTC_USDC", 600, 57));
    // Of SOL_USDC frames 10 to 19 are nowhere; BTC_USDC was quiet in what was removed.
    let begins_after = sol.frames[19].0.0;
    let quiet = btc.frames.iter().position(|frame| begins_after < frame.0.0).unwrap();
    emit_parts(&mut redis, &sol, &[0..10, 40..60]).await;
    emit_parts(&mut redis, &btc, &[0..quiet, 300..600]).await;
    let manner = Manner { begins_after, frames: 50, ..Manner::default() };
    let engine = Engine::start(&world, &[&sol, &btc], manner);
    let sink = start(&world);
    stands_at(&world, &sol, 9).await;
    stands_at(&world, &btc, 599).await;
    let asked = || engine.requests().iter().filter(|it| it.market == sol.market_id()).count();
    eventually("the hole is found", || async { asked() == 2 }).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(asked(), 2, "nobody asks for what is known to be gone");
    assert_eq!(position(&mut world.connect().await, "SOL_USDC").await, sol.frames[9].0.0 as i64);
    assert_eq!(stream_length(&redis, &sol).await, 20);
    assert_eq!(sink.drain().await, End::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_restored_from_an_old_copy_is_completed() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let sol = story(&world, "SOL_USDC", 80, 58);
    let _engine = Engine::start(&world, &[&sol], Manner { frames: 30, ..Manner::default() });
    let sink = start(&world);
    emit(&mut redis, &sol, 0..80).await;
    stands_at(&world, &sol, 79).await;
    assert_eq!(sink.drain().await, End::Drained);
    let restore = "TRUNCATE trades, fills, order_events, balance_changes, transfers, klines;
        UPDATE sink_position SET last_sequence = 0, last_id = '0-0'";
    sqlx::raw_sql(restore).execute(&mut world.connect().await).await.unwrap();
    assert_eq!(redis.xlen::<_, usize>(stream(&sol)).await.unwrap(), 0);
    let sink = start(&world);
    stands_at(&world, &sol, 79).await;
    assert_eq!(sink.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&sol]).await;
}

/// Parts of the queues lost at random, Redis flushed or its connections cut at random moments, an
/// engine that goes and comes: all of it with every seed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_queue_loses_the_rows_are_the_same() {
    for seed in 1..=4 {
        let world = ready(World::new().await).await;
        let mut redis = world.redis().await;
        let stories =
            [story(&world, "SOL_USDC", 400, 60 + seed), story(&world, "BTC_USDC", 400, 70 + seed)];
        let told = [&stories[0], &stories[1]];
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(seed);
            (state >> 33) % below
        };
        let mut engine = None;
        let sink = start(&world);
        let mut at = 0;
        while at < 400 {
            let end = (at + 1 + random(60) as usize).min(400);
            for story in told {
                match random(3) {
                    0 => (),
                    1 => emit(&mut redis, story, at..end).await,
                    _ => {
                        let from = at + random((end - at) as u64) as usize;
                        emit(&mut redis, story, from..end).await;
                    }
                }
            }
            match random(6) {
                0 => redis.flushall::<()>().await.unwrap(),
                1 => cut(&mut redis).await,
                2 => engine = None,
                _ => {
                    let mischief = [Mischief::None, Mischief::Repeats][random(2) as usize];
                    let (frames, span) = (1 + random(50) as usize, 1 + random(200));
                    let durable = stories[0].frames[at].0.0;
                    let manner = Manner { frames, span, durable, mischief, begins_after: 0 };
                    engine.get_or_insert_with(|| Engine::start(&world, &told, manner));
                }
            }
            let durable = told.map(|story| story.frames[end - 1].0.0).into_iter().max().unwrap();
            engine.iter().for_each(|engine| engine.stands_at(durable));
            tokio::time::sleep(Duration::from_millis(random(150))).await;
            at = end;
        }
        let engine = engine.get_or_insert_with(|| Engine::start(&world, &told, Manner::default()));
        engine.stands_at(u64::MAX >> 1);
        cut(&mut redis).await;
        for story in told {
            stands_at(&world, story, 399).await;
        }
        assert_eq!(sink.drain().await, End::Drained, "seed {seed}");
        println!("seed {seed}");
        assert_stored(&mut world.connect().await, &told).await;
    }
}

/// Ends everybody's connection but this one.
async fn cut(redis: &mut MultiplexedConnection) {
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes");
    kill.query_async::<usize>(redis).await.unwrap();
}
