//! Books kept by the published procedure while the exchange is taken apart under them.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use scenarios::book_keeper::{End, Keeper, depth_url};
use scenarios::client::{id_of, limit};
use scenarios::depth_book::DepthBook;
use scenarios::eventually::{SECOND, eventually};
use scenarios::lane::Scenario;
use scenarios::stir::Stir;
use scenarios::world::{World, seed};
use serde_json::json;
use xtask::private_servers::redis;
use xtask::services::{ENGINE, WS_FANOUT};

pub const SCENARIOS: &[Scenario] =
    &[("streams_books::every_kept_book_is_right_or_told_to_start_again", kept_books)];

const SYMBOL: &str = "SOL_USDC";
const KEEPERS: usize = 20;
/// In ticks.
const MIDDLE: u64 = 9_000;
const ORDERS_PER_S: u64 = 2_000;
const BLOWS: [&str; 3] = [WS_FANOUT, redis::NAME, ENGINE];

fn kept_books(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("kept books"));
    let stir = Stir::start(world, SYMBOL, (MIDDLE, ORDERS_PER_S), random.random());
    stir.until_sent(500);
    let end = End::default();
    let mut keepers = Vec::new();
    let mut blows = [BLOWS, BLOWS].concat();
    blows.shuffle(&mut random);
    for number in 0..KEEPERS {
        stir.until_sent(stir.sent() + random.random_range(0..500));
        let stream = if number % 2 == 0 { "depth.SOL_USDC" } else { "depth.200ms.SOL_USDC" };
        keepers.push(Keeper::start(world, SYMBOL, stream, &end));
        assert!(!keepers.iter().any(|keeper| keeper.has_failed(&end)), "see the panic above");
        if number % 3 == 2
            && let Some(name) = blows.pop()
        {
            world.kill9(name);
            world.start_again(name);
        }
    }
    stir.until_sent(stir.sent() + 3_000);
    let stirring = stir.stop();
    end.set(last_book(world)).unwrap();
    let kept: Vec<_> = keepers.into_iter().map(Keeper::finish).collect();
    kept.iter().for_each(|kept| println!("{kept:?}"));
    // A killed fan-out takes every connection with it, whatever else is mended behind its clients.
    assert!(kept.iter().any(|kept| 2 < kept.connections), "{kept:?}");
    assert!(1_000 < kept.iter().map(|kept| kept.frames).sum::<usize>(), "{kept:?}");
    stirring.clear();
    world.settle();
}

/// What the book is when everything that was sent is decided.
fn last_book(world: &mut World) -> DepthBook {
    let marker = world.trader("marker", &[("USDC", "1000")]);
    let order = eventually("an order behind all others", || {
        let reply = marker.try_place(&limit(SYMBOL, "Bid", "1", "1"))?;
        if reply.is_ok() { Ok(reply.body) } else { Err(reply.body.to_string()) }
    });
    marker.cancel(&json!({"symbol": SYMBOL, "orderId": id_of(&order)})).ok();
    let (status, text) = xtask::http::get(&depth_url(world, SYMBOL), 10 * SECOND).unwrap();
    assert_eq!(status, 200, "{text}");
    DepthBook::snapshot(&serde_json::from_str(&text).unwrap())
}
