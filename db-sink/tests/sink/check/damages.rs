//! Each kind of difference there can be, planted.

/// What is done to which table, and what must be found there: missing, too many, different, and a
/// part of the report.
pub const DAMAGES: &[(&str, &str, [u64; 3], &str)] = &[
    (
        "trades",
        "DELETE FROM trades WHERE market_id = 1 AND trade_id IN (5, 70)",
        [2, 0, 0],
        "missing (SOL_USDC): market_id=1 taker_side=0 ts=",
    ),
    (
        "trades",
        "INSERT INTO trades SELECT market_id, taker_side, ts, 100000, sequence, price_ticks,
        lots, quote_units, maker_order_id, taker_order_id FROM trades
        WHERE market_id = 1 AND trade_id = 9",
        [0, 1, 0],
        "trade_id=100000",
    ),
    (
        "trades",
        "UPDATE trades SET price_ticks = price_ticks + 1
        WHERE market_id = 1 AND trade_id = 33",
        [0, 0, 1],
        "; price_ticks: expected ",
    ),
    (
        "trades",
        "INSERT INTO trades VALUES (77, 0, '2026-01-01', 1, 1, 1, 1, 1, 1, 1)",
        [0, 1, 0],
        "too many (market 77)",
    ),
    // Two rows of one hour changed places: their sums are the same.
    (
        "trades",
        "UPDATE trades AS one SET lots = other.lots FROM trades AS other
        WHERE one.market_id = 1 AND other.market_id = 1
        AND (one.trade_id, other.trade_id) IN ((1, 2), (2, 1))",
        [0, 0, 2],
        "; lots: expected ",
    ),
    (
        "fills",
        "INSERT INTO fills SELECT 99, sub, ts, sequence, market_id, side, is_maker,
        fee_asset_id, trade_id, order_id, client_id, price_ticks, lots, quote_units, fee_units
        FROM fills WHERE market_id = 1 AND trade_id = 12 AND is_maker",
        [0, 1, 0],
        "account_id=99",
    ),
    (
        "fills",
        "UPDATE fills SET is_maker = NOT is_maker
        WHERE market_id = 1 AND trade_id = 12 AND is_maker",
        [0, 0, 1],
        "; is_maker: expected true, found false",
    ),
    (
        "fills",
        "UPDATE fills SET client_id = 0 WHERE trade_id = 3 AND is_maker AND market_id = 1",
        [0, 0, 1],
        "; client_id: expected NULL, found 0",
    ),
    (
        "fills",
        "UPDATE fills SET ts = ts + interval '3 days'
        WHERE market_id = 1 AND trade_id = 3 AND is_maker",
        [1, 1, 0],
        "missing (SOL_USDC)",
    ),
    (
        "order_events",
        "UPDATE order_events SET created_at = created_at + interval '1 microsecond'
        WHERE (market_id, sequence) = (SELECT market_id, min(sequence) FROM order_events
        WHERE market_id = 2 GROUP BY 1) AND is_placement",
        [0, 0, 1],
        "; created_at: expected ",
    ),
    (
        "order_events",
        "DELETE FROM order_events WHERE market_id = 2 AND sequence =
        (SELECT max(sequence) FROM order_events WHERE market_id = 2) AND is_placement",
        [1, 0, 0],
        "missing (BTC_USDC)",
    ),
    (
        "balance_changes",
        "UPDATE balance_changes SET available = available - 1
        WHERE market_id = 0 AND sequence = 8",
        [0, 0, 1],
        "different (accounts)",
    ),
    (
        "balance_changes",
        "UPDATE balance_changes SET other_locked = NULL
        WHERE ctid = (SELECT min(ctid) FROM balance_changes WHERE other_locked IS NOT NULL)",
        [0, 0, 1],
        "found NULL",
    ),
    (
        "transfers",
        "UPDATE transfers SET transfer_id = '00000000-0000-0001-0000-000000000005'
        WHERE sequence = 10",
        [0, 0, 1],
        "; transfer_id: expected 0000000000000000, found ",
    ),
    ("transfers", "DELETE FROM transfers WHERE sequence = 10", [1, 0, 0], "sequence=10"),
    (
        "transfers",
        "UPDATE transfers SET sequence = 9 WHERE sequence = 10",
        [1, 1, 0],
        "too many (accounts)",
    ),
    (
        "klines",
        "UPDATE klines SET high_ticks = high_ticks + 1
        WHERE market_id = 1 AND resolution = 15",
        [0, 0, 1],
        "interval=1month",
    ),
    (
        "klines",
        "DELETE FROM klines WHERE ctid =
        (SELECT min(ctid) FROM klines WHERE resolution = 0)",
        [1, 0, 0],
        "interval=1s",
    ),
    (
        "klines",
        "INSERT INTO klines SELECT market_id, resolution, open_time + interval '1 minute',
        1, 2, 3, 4, 3, 4, 5, 6, 7 FROM klines WHERE market_id = 2 AND resolution = 12
        ORDER BY open_time LIMIT 1",
        [0, 1, 0],
        "too many (BTC_USDC): interval=1d",
    ),
    (
        "klines",
        "UPDATE klines SET lots = lots + 0.5 WHERE market_id = 2 AND resolution = 15",
        [0, 0, 1],
        "with a fraction",
    ),
    (
        "klines",
        "UPDATE klines SET resolution = 16 WHERE market_id = 2 AND resolution = 15",
        [1, 1, 0],
        "resolution=of no interval",
    ),
    (
        "klines",
        "INSERT INTO klines SELECT 55, resolution, open_time, 1, 2, 3, 4, 3, 4, 5, 6, 7
        FROM klines WHERE market_id = 2 AND resolution = 15",
        [0, 1, 0],
        "market 55",
    ),
    (
        "kept_order_events",
        "INSERT INTO kept_order_events SELECT * FROM order_events
        WHERE market_id = 1 AND is_placement;
        UPDATE kept_order_events SET lots_left = lots_left + 7 WHERE sequence =
        (SELECT max(sequence) FROM kept_order_events)",
        [0, 0, 1],
        "; lots_left: expected ",
    ),
    (
        "kept_order_events",
        "INSERT INTO kept_order_events SELECT * FROM order_events
        WHERE market_id = 2 AND is_placement;
        UPDATE kept_order_events SET sequence = sequence + 1000000 WHERE sequence =
        (SELECT max(sequence) FROM kept_order_events)",
        [0, 1, 0],
        "too many (BTC_USDC)",
    ),
];
