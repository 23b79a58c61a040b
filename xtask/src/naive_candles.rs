//! What candles must be, by SQL from the trades alone: what tests and benches hold those against
//! that the sink has made, trade by trade and batch by batch.

/// Lengths in the order of `klines.resolution`; the last one, the month, has none.
const LENGTHS: [&str; 15] = [
    "1 second",
    "1 minute",
    "3 minutes",
    "5 minutes",
    "15 minutes",
    "30 minutes",
    "1 hour",
    "2 hours",
    "4 hours",
    "6 hours",
    "8 hours",
    "12 hours",
    "1 day",
    "3 days",
    "7 days",
];

/// How many resolutions there are.
pub const RESOLUTIONS: usize = LENGTHS.len() + 1;

/// A statement that answers the candles of one resolution, and how many of them are missing, too
/// many or other than the trades say.
pub fn comparison(resolution: usize) -> String {
    // The first Monday; days, hours and threes of days count from the epoch.
    let origin = if resolution == 14 { "1970-01-05" } else { "1970-01-01" };
    let open_time = match LENGTHS.get(resolution) {
        Some(length) => format!("date_bin('{length}', ts, '{origin} 00:00+00')"),
        None => "date_trunc('month', ts, 'UTC')".to_owned(),
    };
    format!(
        "WITH naive AS (
            SELECT market_id, {open_time} AS open_time,
                min(trade_id) AS first_trade_id, max(trade_id) AS last_trade_id,
                (array_agg(price_ticks ORDER BY trade_id))[1] AS open_ticks,
                max(price_ticks) AS high_ticks, min(price_ticks) AS low_ticks,
                (array_agg(price_ticks ORDER BY trade_id DESC))[1] AS close_ticks,
                sum(lots) AS lots, sum(quote_units) AS quote_units, count(*) AS trades
            FROM trades GROUP BY 1, 2
        ), kept AS (
            SELECT market_id, open_time, first_trade_id, last_trade_id, open_ticks, high_ticks,
                low_ticks, close_ticks, lots, quote_units, trades
            FROM klines WHERE resolution = {resolution}
        )
        SELECT (SELECT count(*) FROM naive),
            (SELECT count(*) FROM ((TABLE naive EXCEPT TABLE kept)
                UNION ALL (TABLE kept EXCEPT TABLE naive)) AS differing)"
    )
}
