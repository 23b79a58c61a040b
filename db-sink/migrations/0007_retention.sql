-- Where old rows go by policy, what an order was placed as that was open then moves here first: its
-- end, however late, is told with it. Gateways look in both. Of each order it is the latest
-- placement, and the one by which it fired. Its columns are those of order_events, in their order:
-- a migration that adds one there adds it here.
CREATE TABLE kept_order_events (LIKE order_events INCLUDING INDEXES);
