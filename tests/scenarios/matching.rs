//! Price-time priority, times in force and self-trade prevention, as a trader would check them.

use scenarios::book_table::play;
use scenarios::lane::Scenario;
use scenarios::world::World;

pub const SCENARIOS: &[Scenario] = &[
    ("matching::price_goes_before_time", price_goes_before_time),
    ("matching::times_in_force", times_in_force),
    ("matching::nobody_trades_with_themselves", nobody_trades_with_themselves),
];

/// Every scenario finds and leaves this market's book empty.
const SYMBOL: &str = "BTC_USDC";

fn run(world: &mut World, script: &str) {
    let funds = [("BTC", "100"), ("USDC", "1000000")];
    let traders = ["alice", "bob", "carol"].map(|name| world.trader(name, &funds));
    let rest_url = world.rest_url().to_owned();
    let [alice, bob, carol] = &traders;
    play(&rest_url, SYMBOL, &[alice, bob, carol], script);
    for trader in &traders {
        trader.cancel_all(SYMBOL).ok();
    }
    play(&rest_url, SYMBOL, &[], "book |");
}

fn price_goes_before_time(world: &mut World) {
    run(
        world,
        "
        book |
        alice sells 5 @ 101        -> rests
        bob   sells 5 @ 101        -> rests
        carol sells 1 @ 100.5      -> rests
        book | 100.5 x 1, 101 x 10
        carol buys  1 @ 100        -> rests
        alice buys  3 @ 99.9       -> rests
        book 100 x 1, 99.9 x 3 | 100.5 x 1, 101 x 10
        bob   buys  4 @ 101        -> 1 @ 100.5, 3 @ 101
        book 100 x 1, 99.9 x 3 | 101 x 7
        carol buys  4 @ 102        -> 2 @ 101, 2 @ 101
        book 100 x 1, 99.9 x 3 | 101 x 3
        carol buys  5 @ 101        -> 3 @ 101, rests
        book 101 x 2, 100 x 1, 99.9 x 3 |
        bob   sells 9 @ 100        -> 2 @ 101, 1 @ 100, rests
        book 99.9 x 3 | 100 x 6
        ",
    );
}

fn times_in_force(world: &mut World) {
    run(
        world,
        "
        alice sells 2 @ 50         -> rests
        bob   buys  3 @ 50 IOC     -> 2 @ 50, expires
        bob   buys  3 @ 50 IOC     -> expires
        book |
        alice sells 2 @ 50         -> rests
        alice sells 2 @ 51         -> rests
        bob   buys  4 @ 50 FOK     -> expires
        bob   buys  5 @ 51 FOK     -> expires
        book | 50 x 2, 51 x 2
        bob   buys  4 @ 51 FOK     -> 2 @ 50, 2 @ 51
        alice sells 1 @ 50         -> rests
        bob   buys  1 @ 50 post-only   -> refused INVALID_ORDER
        bob   buys  1 @ 49.9 post-only -> rests
        book 49.9 x 1 | 50 x 1
        carol buys  2              -> 1 @ 50, expires
        carol sells 1              -> 1 @ 49.9
        carol sells 1              -> expires
        book |
        ",
    );
}

fn nobody_trades_with_themselves(world: &mut World) {
    run(
        world,
        "
        bob   sells 1 @ 60         -> rests
        alice sells 1 @ 61         -> rests
        alice buys  3 @ 61         -> 1 @ 60, expires
        book | 61 x 1
        bob   sells 1 @ 62         -> rests
        alice buys  3 @ 62 RejectMaker -> 1 @ 62, rests
        book 62 x 2 |
        alice sells 1 @ 62 RejectBoth  -> expires
        book |
        bob   sells 1 @ 60         -> rests
        alice sells 1 @ 61         -> rests
        alice buys  3 @ 61 RejectBoth  -> 1 @ 60, expires
        book |
        ",
    );
}
