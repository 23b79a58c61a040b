-- What the engine decided, as rows. Everything is an integer as the engine has it: prices in ticks,
-- quantities in lots of the market, amounts and fees in the asset's smallest units. `ts` is the
-- engine's event time, so the same event is always the same row, however often it is delivered.
-- Turning the tables into hypertables is no migration: the sink does it at start where it can.
-- Hence each unique key holds `ts`, and there are no other indexes: one costs an eighth of the
-- rate.
--
-- Codes, the numbers of the protocol:
--   side, taker_side        0 bid, 1 ask
--   order_type              0 limit, 1 market by lots, 2 market by quote
--   time_in_force           0 GTC, 1 IOC, 2 FOK
--   self_trade_prevention   0 reject taker, 1 reject maker, 2 reject both
--   reason                  1 by request, 2 IOC, 3 FOK, 4 self-trade prevention, 5 liquidity,
--                           6 trades limit
--   market_id               0 for the stream of accounts
--   account_id              0 for the fees collected by the exchange

-- Where each event stream stands. Moved in the transaction that writes the rows.
CREATE TABLE sink_position (
    stream        text        PRIMARY KEY,
    -- Sequence of the last frame whose rows are here; 0 before the first.
    last_sequence bigint      NOT NULL,
    -- Its id in the Redis stream.
    last_id       text        NOT NULL,
    -- The sink that may move the row; the next sink to start takes a higher one.
    epoch         bigint      NOT NULL,
    updated_at    timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE SEQUENCE sink_epoch AS bigint;

-- Newest first of a market: ORDER BY ts DESC, trade_id DESC. The buyer was the maker when
-- taker_side = 1.
CREATE TABLE trades (
    market_id      smallint    NOT NULL,
    taker_side     smallint    NOT NULL,
    ts             timestamptz NOT NULL,
    trade_id       bigint      NOT NULL,
    sequence       bigint      NOT NULL,
    price_ticks    bigint      NOT NULL,
    lots           bigint      NOT NULL,
    quote_units    bigint      NOT NULL,
    maker_order_id bigint      NOT NULL,
    taker_order_id bigint      NOT NULL,
    CONSTRAINT trades_key UNIQUE (market_id, ts, trade_id)
);

-- Each trade from the side of each of its two accounts.
CREATE TABLE fills (
    account_id   integer     NOT NULL,
    sub          integer     NOT NULL,
    ts           timestamptz NOT NULL,
    sequence     bigint      NOT NULL,
    market_id    smallint    NOT NULL,
    -- The account's own side.
    side         smallint    NOT NULL,
    is_maker     boolean     NOT NULL,
    -- What the account received, which its fee is taken from.
    fee_asset_id smallint    NOT NULL,
    trade_id     bigint      NOT NULL,
    order_id     bigint      NOT NULL,
    -- The taker's; a maker's stands in the placement of its order (order_events).
    client_id    bigint,
    price_ticks  bigint      NOT NULL,
    lots         bigint      NOT NULL,
    quote_units  bigint      NOT NULL,
    fee_units    bigint      NOT NULL,
    CONSTRAINT fills_key UNIQUE (account_id, ts, sequence, sub)
);

-- Placements and ends. One row tells what became of an order when it was placed (is_placement); an
-- order that came to rest then has one more row, when it ended. Finished: kind <> 1.
CREATE TABLE order_events (
    account_id            integer     NOT NULL,
    sub                   integer     NOT NULL,
    ts                    timestamptz NOT NULL,
    sequence              bigint      NOT NULL,
    order_id              bigint      NOT NULL,
    market_id             smallint    NOT NULL,
    -- 1 rested, 2 filled, 3 cancelled (asked for), 4 expired (see reason)
    kind                  smallint    NOT NULL,
    side                  smallint    NOT NULL,
    is_placement          boolean     NOT NULL,
    reason                smallint,
    -- The end of a maker that was filled by a trade knows the price and that nothing is left; the
    -- columns that are NULL there stand in its placement, and the sums in its fills.
    order_type            smallint,
    time_in_force         smallint,
    self_trade_prevention smallint,
    post_only             boolean,
    client_id             bigint,
    -- NULL for market orders.
    price_ticks           bigint,
    -- As placed; NULL for a market order by quote, which has asked_quote_units instead.
    lots                  bigint,
    asked_quote_units     bigint,
    lots_left             bigint      NOT NULL,
    -- Since the order was placed, this event included.
    executed_lots         bigint,
    executed_quote_units  bigint,
    created_at            timestamptz,
    CONSTRAINT order_events_key UNIQUE (account_id, ts, sequence, sub)
);

-- One row for each balance that a frame changed: by how much, never to how much. The sum of a
-- cell's rows is its balance. Frames leave available + locked unchanged per asset but for
-- transfers.
CREATE TABLE balance_changes (
    account_id integer     NOT NULL,
    sub        integer     NOT NULL,
    ts         timestamptz NOT NULL,
    sequence   bigint      NOT NULL,
    asset_id   smallint    NOT NULL,
    -- The command that caused it: 1 deposit, 2 withdrawal, 3 place, 4 cancel, 5 cancel all
    cause      smallint    NOT NULL,
    market_id  smallint    NOT NULL,
    available  bigint      NOT NULL,
    locked     bigint      NOT NULL,
    CONSTRAINT balance_changes_key UNIQUE (account_id, ts, sequence, sub)
);

-- Deposits and withdrawals. Kept for ever, so never a hypertable.
CREATE TABLE transfers (
    account_id  integer     NOT NULL,
    -- 1 deposit, 2 withdrawal
    kind        smallint    NOT NULL,
    asset_id    smallint    NOT NULL,
    ts          timestamptz NOT NULL,
    sequence    bigint      NOT NULL,
    units       bigint      NOT NULL,
    -- The protocol's TransferId, most significant byte first.
    transfer_id uuid        NOT NULL,
    CONSTRAINT transfers_key UNIQUE (account_id, ts, sequence)
);

-- Candles, written beside the trades in the same transaction; those without trades do not exist.
CREATE TABLE klines (
    market_id      smallint    NOT NULL,
    -- 0 1s, 1 1m, 2 3m, 3 5m, 4 15m, 5 30m, 6 1h, 7 2h, 8 4h, 9 6h, 10 8h, 11 12h, 12 1d, 13 3d,
    -- 14 1w, 15 1month: the place in protocol's Interval::ALL
    resolution     smallint    NOT NULL,
    open_time      timestamptz NOT NULL,
    first_trade_id bigint      NOT NULL,
    last_trade_id  bigint      NOT NULL,
    open_ticks     bigint      NOT NULL,
    high_ticks     bigint      NOT NULL,
    low_ticks      bigint      NOT NULL,
    close_ticks    bigint      NOT NULL,
    -- Sums may pass 63 bits over a month.
    lots           numeric     NOT NULL,
    quote_units    numeric     NOT NULL,
    trades         bigint      NOT NULL,
    PRIMARY KEY (market_id, resolution, open_time)
) WITH (fillfactor = 80);
