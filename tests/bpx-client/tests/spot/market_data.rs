//! Public data, typed strictly: a null or a number in a wrong form fails the whole answer.

use bpx_api_client::types::Blockchain;
use bpx_api_client::types::markets::{OrderBookDepthLimit, OrderBookState};
use bpx_api_client::types::order::Side;
use bpx_client::{limit, number};
use rust_decimal::Decimal;
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;
use xtask::client::now_ms;

use super::two;

pub const SCENARIOS: &[Scenario] = &[
    ("bpx_api_client::assets_and_markets_are_read_strictly", listing),
    ("bpx_api_client::prices_follow_a_trade", prices),
    ("bpx_api_client::what_is_not_offered_is_an_empty_list", not_offered),
];

const SYMBOL: &str = "SOL_USDC";

fn listing(world: &mut World) {
    let (alice, _) = two(world);
    let assets = alice.ask(async |client| client.get_assets().await);
    for asset in &assets {
        assert!(!asset.tokens.is_empty() && !asset.display_name.is_empty(), "{asset:?}");
        for token in &asset.tokens {
            assert_ne!(token.blockchain, Blockchain::Unknown, "{asset:?}");
            assert!(token.deposit_enabled && token.withdraw_enabled, "{asset:?}");
            assert!(Decimal::ZERO < token.minimum_withdrawal, "{asset:?}");
        }
    }
    let markets = alice.ask(async |client| client.get_markets().await);
    let market = markets.iter().find(|market| market.symbol == SYMBOL).unwrap();
    assert_eq!((market.base_symbol.as_str(), market.quote_symbol.as_str()), ("SOL", "USDC"));
    assert_eq!((market.market_type.as_str(), market.visible), ("SPOT", true));
    assert_eq!(market.order_book_state, OrderBookState::Open);
    assert_eq!((market.price_decimal_places(), market.quantity_decimal_places()), (2, 2));
    assert!(assets.iter().any(|asset| asset.symbol == market.base_symbol));
}

fn prices(world: &mut World) {
    let (alice, bob) = two(world);
    alice.place(limit(SYMBOL, Side::Ask, "20.17", "3"));
    bob.place(limit(SYMBOL, Side::Bid, "20.17", "1"));
    bob.place(limit(SYMBOL, Side::Bid, "19.99", "5"));
    let ticker = alice.ask(async |client| client.get_ticker(SYMBOL).await);
    assert_eq!(ticker.last_price, number("20.17"));
    assert!(ticker.low <= ticker.last_price && ticker.last_price <= ticker.high, "{ticker:?}");
    assert!(number("1") <= ticker.volume && 1 <= ticker.trades.parse::<u64>().unwrap());
    let tickers = alice.ask(async |client| client.get_tickers().await);
    assert!(4 <= tickers.len(), "{tickers:?}");

    for levels in [None, Some(OrderBookDepthLimit::Five), Some(OrderBookDepthLimit::OneThousand)] {
        let depth = alice.ask(async |client| client.get_order_book_depth(SYMBOL, levels).await);
        assert_eq!(depth.asks, [(number("20.17"), number("2"))]);
        assert_eq!(depth.bids, [(number("19.99"), number("5"))]);
        assert!(0 < depth.last_update_id);
    }

    let trade = eventually("the trade", || {
        let recent = alice.ask(async |client| client.get_recent_trades(SYMBOL, Some(1)).await);
        recent.into_iter().find(|trade| trade.price == number("20.17")).ok_or("not there")
    });
    assert_eq!((trade.quantity, trade.quote_quantity), (number("1"), number("20.17")));
    assert!(!trade.is_buyer_maker);
    assert!(now_ms().abs_diff(u64::try_from(trade.timestamp).unwrap()) < 60_000);
    let again =
        alice.ask(async |client| client.get_historical_trades(SYMBOL, Some(1), Some(0)).await);
    assert_eq!(again[0].id, trade.id);

    let start = i64::try_from(now_ms() / 1000).unwrap() - 3600;
    for interval in ["1m", "1h", "1d", "1month"] {
        let candles =
            alice.ask(async |client| client.get_k_lines(SYMBOL, interval, start, None).await);
        let last = candles.last().unwrap();
        assert_eq!(last.close, Some(number("20.17")), "{interval}");
        assert!(last.end.is_some() && last.trades.parse::<u64>().is_ok(), "{last:?}");
    }
    for caller in [&alice, &bob] {
        let payload =
            bpx_api_client::types::order::CancelOpenOrdersPayload { symbol: SYMBOL.to_owned() };
        caller.ask(async |client| client.cancel_open_orders(payload).await);
    }
}

fn not_offered(world: &mut World) {
    let (alice, _) = two(world);
    assert!(alice.ask(async |client| client.get_securities().await).is_empty());
    assert!(alice.ask(async |client| client.get_all_mark_prices().await).is_empty());
    assert!(alice.ask(async |client| client.get_funding_interval_rates(SYMBOL).await).is_empty());
    assert!(alice.ask(async |client| client.get_open_future_positions().await).is_empty());
}
