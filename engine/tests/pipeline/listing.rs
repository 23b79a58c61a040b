//! A market is listed while the engine runs, trades, and is there after every way to start again.

use engine::data_dir::Folders;
use engine::disk::RealDisk;
use engine::journal_tools::verify::verify;
use protocol::catalog_json::Published;
use protocol::{
    Action, AssetId, BookState, FeeRate, Frame, Increment, Listing, LotTerms, Lots, MarketId,
    Outcome, PriceTerms, Refusal, Side, TradeId, fixture, keys,
};
use redis::Connection;

use crate::world::{
    Replies, Running, SOL, World, account, deposit, events, eventually, fund, place,
};

const BTC: AssetId = AssetId(3);
const SOL_BTC: MarketId = MarketId(9);

fn listing() -> Action {
    Action::ListMarket(Listing {
        market: SOL_BTC,
        base: SOL,
        quote: BTC,
        tick: Increment { mantissa: 1, scale: 7 },
        step: Increment { mantissa: 1, scale: 1 },
    })
}

/// Sends them in order and tells what each came to.
fn outcomes(world: &World, connection: &mut Connection, actions: &[Action]) -> Vec<Outcome> {
    let replies = Replies::listen(world, actions.len());
    actions.iter().for_each(|action| {
        world.send(connection, *action);
    });
    replies.outcomes().into_values().collect()
}

fn open() -> [Action; 3] {
    let market = SOL_BTC;
    let prices = PriceTerms {
        price_min: fixture::price(10),
        price_max: fixture::price(100_000),
        ..fixture::market().price_terms()
    };
    let lots = LotTerms {
        lots_min: Lots(1),
        lots_max: Lots(1000),
        maker_fee: FeeRate { millionths: 500 },
        taker_fee: FeeRate { millionths: 2000 },
    };
    [
        Action::SetPriceTerms { market, terms: prices },
        Action::SetLotTerms { market, terms: lots },
        Action::SetBookState { market, state: BookState::Open },
    ]
}

fn listed(connection: &mut Connection) -> Option<Published> {
    let json: Option<Vec<u8>> = redis::cmd("GET").arg(keys::CATALOG).query(connection).unwrap();
    serde_json::from_slice(&json?).unwrap()
}

/// One trade; returns its id.
fn trade(world: &World, connection: &mut Connection) -> TradeId {
    let bid = place(SOL_BTC, 2, Side::Bid, 3000, 5);
    let found = outcomes(world, connection, &[place(SOL_BTC, 1, Side::Ask, 3000, 5), bid]);
    assert!(matches!(found[..], [Outcome::Rested { .. }, Outcome::Filled { .. }]), "{found:?}");
    let frames = eventually("the trade's event", || {
        let frames = events(connection, "SOL_BTC");
        Frame::parse(frames.last()?).unwrap().trades().next()?;
        Some(frames)
    });
    let trade = Frame::parse(frames.last().unwrap()).unwrap().trades().next().unwrap();
    // 0.5 SOL at 0.0003 BTC: 15,000 units of BTC, of which the maker pays 500 millionths.
    assert_eq!(trade.maker_fee.0, 8);
    trade.id
}

fn restart(world: &World, engine: Running) -> Running {
    engine.drain();
    // A snapshot at each end, from which the next life begins.
    world.engine_with(|config| config.drain_snapshot_frames_min = 1)
}

#[test]
fn a_listed_market_trades_and_outlives_its_engine() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    outcomes(&world, &mut connection, &[deposit(2, BTC, 1_000_000_000)]);
    let found = outcomes(&world, &mut connection, &[listing(), listing()]);
    let again = Outcome::Refused(Refusal::MarketExists);
    assert_eq!(found, [Outcome::MarketListed, again]);
    let told = eventually("the listing", || {
        listed(&mut connection)?.markets.into_iter().find(|market| market.spec.id == SOL_BTC)
    });
    assert_eq!((told.spec.symbol.as_str(), told.book_state), ("SOL_BTC", BookState::Closed));
    assert!(told.listed_us.is_some());

    let ask = place(SOL_BTC, 1, Side::Ask, 3000, 5);
    let cancel = Action::cancel_all(SOL_BTC, account(1));
    let found = outcomes(&world, &mut connection, &[ask, cancel]);
    assert_eq!(found, [Outcome::Refused(Refusal::MarketClosed); 2]);
    let found = outcomes(&world, &mut connection, &open());
    assert_eq!(found, [Outcome::TermsSet, Outcome::TermsSet, Outcome::BookStateSet]);
    assert_eq!(trade(&world, &mut connection), TradeId(1));

    // From the journal, then from a snapshot.
    let engine = restart(&world, engine);
    assert_eq!(trade(&world, &mut connection), TradeId(2));
    let engine = restart(&world, engine);
    assert_eq!(trade(&world, &mut connection), TradeId(3));
    redis::cmd("DEL").arg(keys::CATALOG).exec(&mut connection).unwrap();
    let told = eventually("what redis lost", || listed(&mut connection));
    let told = told.markets.iter().find(|market| market.spec.id == SOL_BTC).unwrap();
    assert_eq!(told.spec.taker_fee.millionths, 2000);
    engine.drain();
    let found = verify(&RealDisk, &Folders::of(&world.data()));
    assert!(found.problem.is_none() && found.differences.is_empty(), "{found}");
    assert!(0 < found.compared && 0 < found.snapshots, "{found}");
}

#[test]
fn a_market_whose_engine_ended_with_its_listing_is_opened_by_the_next() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    outcomes(&world, &mut connection, &[deposit(2, BTC, 1_000_000_000)]);
    // What stands in its queue before it is listed is read once it is.
    let replies = Replies::listen(&world, 4);
    for action in open() {
        world.send(&mut connection, action);
    }
    world.send(&mut connection, listing());
    eventually("the listing is durable", || {
        let frames = events(&mut connection, keys::ACCOUNTS);
        let last = Frame::parse(frames.last()?).unwrap().header.outcome;
        (last == Outcome::MarketListed).then_some(())
    });
    engine.drain();
    let engine = world.engine();
    assert!(replies.outcomes().values().all(|it| !matches!(it, Outcome::Refused(_))));
    assert_eq!(trade(&world, &mut connection), TradeId(1));
    engine.drain();
}
