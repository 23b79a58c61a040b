//! Whole sinks between Redis and PostgreSQL.

use std::collections::HashMap;
use std::sync::Arc;

use db_sink::sink::End;
use protocol::{BookState, keys};
use redis::AsyncCommands;
use xtask::private_servers::Server;

use crate::running::{emit, ready, stands_at, start, story, stream, stream_length};
use crate::servers::{World, eventually};
use crate::story::{Story, assert_stored, counts, expected_counts, position};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_all_streams_arrive_once_and_redis_is_trimmed() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let (sol, btc) = (story(&world, "SOL_USDC", 3000, 21), story(&world, "BTC_USDC", 700, 22));
    let mut accounts = Story::of(None);
    (1..=40).for_each(|units| accounts.deposit(2, units));

    // Some before the sink is there, some while it works, some after it was away.
    emit(&mut redis, &sol, 0..1000).await;
    let first = start(&world);
    emit(&mut redis, &btc, 0..700).await;
    emit(&mut redis, &accounts, 0..40).await;
    emit(&mut redis, &sol, 1000..2000).await;
    assert_eq!(first.drain().await, End::Drained);
    emit(&mut redis, &sol, 2000..3000).await;
    let second = start(&world);
    for (story, last) in [(&sol, 2999), (&btc, 699), (&accounts, 39)] {
        stands_at(&world, story, last).await;
        eventually("the stream is trimmed", || async { stream_length(&redis, story).await == 0 })
            .await;
    }
    assert_eq!(second.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&sol, &btc, &accounts]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_that_stores_nothing_is_a_link_all_the_same() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let mut sol = story(&world, "SOL_USDC", 10, 23);
    sol.set_book_state(2, BookState::CancelOnly);
    sol.set_book_state(3, BookState::Open);
    sol.take(1, &[(10_000, 5)]);
    sol.set_book_state(1, BookState::CancelOnly);
    emit(&mut redis, &sol, 0..14).await;
    let sink = start(&world);
    // The last frame has no row of its own.
    stands_at(&world, &sol, 13).await;
    eventually("the stream is trimmed", || async { stream_length(&redis, &sol).await == 0 }).await;
    assert_eq!(sink.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&sol]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_is_told_how_far_the_database_is_and_again_when_redis_forgot() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let sol = story(&world, "SOL_USDC", 20, 30);
    emit(&mut redis, &sol, 0..20).await;
    let sink = start(&world);
    let told = || async {
        let told: HashMap<String, u64> = redis.clone().hgetall(keys::COMMITTED).await.unwrap();
        let streams = world.catalog.markets().len() + 1;
        told.len() == streams && told["SOL_USDC"] == sol.last() && told["BTC_USDC"] == 0
    };
    eventually("the engine is told", told).await;
    redis.clone().flushall::<()>().await.unwrap();
    eventually("the engine is told again", told).await;
    assert_eq!(sink.drain().await, End::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_frame_stops_its_stream_and_no_other() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let (sol, btc) = (story(&world, "SOL_USDC", 10, 25), story(&world, "BTC_USDC", 10, 26));
    emit(&mut redis, &sol, 0..5).await;
    let next = format!("{}-0", sol.frames[5].0.0);
    let junk = [(keys::FRAME_FIELD, b"junk".as_slice())];
    let _: String = redis.xadd(stream(&sol), next, &junk).await.unwrap();
    let sink = start(&world);
    stands_at(&world, &sol, 4).await;
    emit(&mut redis, &btc, 0..10).await;
    stands_at(&world, &btc, 9).await;
    assert_eq!(sink.drain().await, End::Drained);
    assert_eq!(position(&mut world.connect().await, "SOL_USDC").await, sol.frames[4].0.0 as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_stream_that_is_emitted_again_is_written_once() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let sol = story(&world, "SOL_USDC", 60, 27);
    emit(&mut redis, &sol, 0..40).await;
    let sink = start(&world);
    stands_at(&world, &sol, 39).await;
    let _: usize = redis.del(stream(&sol)).await.unwrap();
    emit(&mut redis, &sol, 10..60).await;
    stands_at(&world, &sol, 59).await;
    assert_eq!(sink.drain().await, End::Drained);
    // And by a sink that starts after it.
    let _: usize = redis.del(stream(&sol)).await.unwrap();
    emit(&mut redis, &sol, 0..60).await;
    let again = start(&world);
    eventually("the stream is trimmed", || async { stream_length(&redis, &sol).await == 0 }).await;
    assert_eq!(again.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&sol]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_later_of_two_sinks_takes_over_and_the_first_one_ends() {
    let world = ready(World::new().await).await;
    let mut redis = world.redis().await;
    let sol = story(&world, "SOL_USDC", 2000, 28);
    let first = start(&world);
    emit(&mut redis, &sol, 0..1000).await;
    stands_at(&world, &sol, 999).await;
    let second = start(&world);
    emit(&mut redis, &sol, 1000..2000).await;
    assert_eq!(first.end().await, End::TakenOver);
    stands_at(&world, &sol, 1999).await;
    assert_eq!(second.drain().await, End::Drained);
    assert_stored(&mut world.connect().await, &[&sol]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_killed_and_started_again_misses_nothing() {
    let postgres = Arc::new(Server::postgres("sink").unwrap());
    let mut world = ready(World::on(postgres).await).await;
    let mut redis = world.redis().await;
    let sol = story(&world, "SOL_USDC", 6000, 29);
    let sink = start(&world);
    emit(&mut redis, &sol, 0..2000).await;
    eventually("some rows are there", || async {
        counts(&mut world.connect().await).await[0] != 0
    })
    .await;
    let postgres = Arc::get_mut(&mut world.postgres).unwrap();
    postgres.kill().unwrap();
    emit(&mut redis, &sol, 2000..6000).await;
    assert!(stream_length(&redis, &sol).await > 3000, "the queue stays in Redis meanwhile");
    postgres.restart().unwrap();
    stands_at(&world, &sol, 5999).await;
    assert_eq!(sink.drain().await, End::Drained);
    let mut connection = world.connect().await;
    assert_eq!(counts(&mut connection).await, expected_counts(&[&sol]));
    assert_stored(&mut connection, &[&sol]).await;
}
