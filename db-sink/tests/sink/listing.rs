//! What the engine says is listed: the markets of some stories, and no others.

use protocol::catalog_json::{Published, PublishedMarket};
use protocol::{BookState, Sequence, keys};
use redis::AsyncCommands;

use crate::servers::World;
use crate::story::Story;

/// Of two the later one is listed under the higher version.
pub async fn list(world: &World, version: u64, stories: &[&Story]) {
    let market = |story: &&Story| {
        let (spec, book_state) = (story.market.clone()?, BookState::Open);
        Some(PublishedMarket { spec, book_state, listed_us: None })
    };
    let markets = stories.iter().filter_map(market).collect();
    let assets = world.catalog.assets().to_vec();
    let published = Published { version: Sequence(version), assets, markets };
    let json = serde_json::to_vec(&published).unwrap();
    world.redis().await.set::<_, _, ()>(keys::CATALOG, json).await.unwrap();
}
