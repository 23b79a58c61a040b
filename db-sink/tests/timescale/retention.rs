//! Old chunks are dropped; what open orders were placed as stays.

use std::time::Duration;

use db_sink::RetentionTerms;
use db_sink::TimescaleMode::Require;
use db_sink::retention::{Ran, Removed, Retention};
use tokio_util::sync::CancellationToken;

use crate::lives::{Lives, day, found};
use crate::server::World;

async fn remove(world: &World, before: i64) -> Removed {
    let every = Duration::from_secs(3600);
    let terms = RetentionTerms { keep_days: None, every, batch_rows: 10 };
    let mut retention = Retention::new(world.url(), terms, Duration::from_secs(1)).unwrap();
    match retention.remove_before(day(before), &CancellationToken::new()).await.unwrap() {
        Ran::Through(removed) => removed,
        ran => panic!("{ran:?}"),
    }
}

#[tokio::test]
async fn old_chunks_go_compressed_or_not_and_what_open_orders_were_placed_as_stays() {
    let Some(world) = World::new().await else { return };
    world.prepare(Require, Some(7)).await;
    let lives = Lives::new(300, 12, 61);
    let mut connection = world.connect().await;
    lives.write(&mut connection).await;
    let compress = "SELECT compress_chunk(chunk)
        FROM (VALUES ('fills'), ('order_events')) AS of (name),
            show_chunks(of.name::regclass, older_than => timestamptz '2020-01-05') AS chunk";
    sqlx::raw_sql(compress).execute(&mut connection).await.unwrap();
    drop(connection);
    for before in [0, 2, 3, 7, 40] {
        let removed = remove(&world, before).await;
        let mut connection = world.connect().await;
        assert_eq!(found(&mut connection).await, lives.left(day(before)), "day {before}");
        let chunks = "SELECT count(*) FROM timescaledb_information.chunks WHERE range_end <= $1";
        let chunks = sqlx::query_scalar(chunks).bind(day(before));
        let chunks: i64 = chunks.fetch_one(&mut connection).await.unwrap();
        drop(connection);
        assert_eq!(chunks, 0, "day {before}");
        assert_eq!(0 < removed.rows[0], before != 0, "day {before}: {removed:?}");
        assert_eq!(remove(&world, before).await, Removed::default(), "day {before}, again");
    }
}

#[tokio::test]
async fn rows_that_a_sink_writes_again_go_again() {
    let Some(world) = World::new().await else { return };
    world.prepare(Require, None).await;
    let lives = Lives::new(150, 9, 62);
    for before in [3, 3, 6] {
        lives.write(&mut world.connect().await).await;
        remove(&world, before).await;
        let left = found(&mut world.connect().await).await;
        assert_eq!(left, lives.left(day(before)), "day {before}");
    }
}
