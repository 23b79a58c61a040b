-- Where old rows go by policy, what an order that is still open was placed as moves here first: its
-- end, however late, is told with it. Gateways look in both.
CREATE TABLE kept_order_events (LIKE order_events INCLUDING INDEXES);
