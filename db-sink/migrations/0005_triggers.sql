-- Orders that wait for a trigger, and orders that are amended.
--
-- order_events.kind, further codes: 5 waits for its trigger, 6 refused when it fired (see refusal).
-- An order has a row with is_placement when it is placed, when it fires and when it is amended, each
-- telling the order as it stands from there on. Finished: kind NOT IN (1, 5).
-- order_events.reason, further codes: 8 price impact
-- balance_changes.cause, further codes: 6 an order fired, 7 amend

ALTER TABLE order_events
    ADD COLUMN trigger_price_ticks bigint,
    -- 0 not said, 1 last price, 2 mark price, 3 index price
    ADD COLUMN trigger_by smallint,
    -- Of the rows of the frame by which an order fired.
    ADD COLUMN triggered_at timestamptz,
    -- The number of the protocol's Refusal.
    ADD COLUMN refusal smallint;

-- What ends an order that fired long ago does not tell its trigger. Few rows are in here.
CREATE INDEX order_events_fired ON order_events (account_id, order_id)
    WHERE triggered_at IS NOT NULL;
