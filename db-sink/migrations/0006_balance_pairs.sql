-- One row for each account that a frame changed, of up to two assets, instead of one for each
-- balance: rows and their keys are what costs most. Rows written before have one asset each and mean
-- the same.
ALTER TABLE balance_changes
    -- NULL where the frame changed one asset of the account alone.
    ADD COLUMN other_asset_id  smallint,
    ADD COLUMN other_available bigint,
    ADD COLUMN other_locked    bigint;

-- A row for each balance. The sum of a cell's rows is its balance.
CREATE VIEW balance_cells AS
    SELECT account_id, ts, sequence, market_id, cause, asset_id, available, locked
    FROM balance_changes
    UNION ALL
    SELECT account_id, ts, sequence, market_id, cause, other_asset_id, other_available, other_locked
    FROM balance_changes WHERE other_asset_id IS NOT NULL;
