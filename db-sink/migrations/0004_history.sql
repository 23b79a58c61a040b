-- What histories need: deposits and withdrawals with a number each and what a withdrawal was asked
-- for; and a way to one order.

-- One numbering for all of them. Clients read it as a signed 32-bit number.
CREATE SEQUENCE transfer_number AS integer;

ALTER TABLE transfers ADD COLUMN number integer NOT NULL DEFAULT nextval('transfer_number');

ALTER SEQUENCE transfer_number OWNED BY transfers.number;

-- To find the transfer of a withdrawal. Transfers are few, so the sink can afford it.
CREATE INDEX transfers_transfer_id ON transfers (transfer_id);

-- What a client asked of the gateway. Written before the engine is told, so that a debit never
-- lacks its address; whether it happened, the engine's transfer says (`transfers`).
CREATE TABLE withdrawal_requests (
    number      integer     PRIMARY KEY DEFAULT nextval('transfer_number'),
    account_id  integer     NOT NULL,
    -- The client's own name for it; asked twice, it happens once.
    client_id   text        CHECK (char_length(client_id) BETWEEN 1 AND 255),
    blockchain  text        NOT NULL,
    address     text        NOT NULL CHECK (char_length(address) BETWEEN 1 AND 256),
    asset_id    smallint    NOT NULL,
    units       bigint      NOT NULL,
    fee_units   bigint      NOT NULL,
    -- The protocol's TransferId, most significant byte first; made of account and client_id where
    -- there is one.
    transfer_id uuid        NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    -- How often the engine was asked: a refused request is forgotten by its only asker.
    submissions integer     NOT NULL DEFAULT 1,
    -- When the gateway heard of the debit: listed from then on, before the sink has the transfer.
    debited_at  timestamptz
);

CREATE INDEX withdrawal_requests_listed ON withdrawal_requests (account_id, created_at, number);

-- Every look at one order, and at where a maker came to rest, goes by its id; without this it walks
-- all of the account's rows. It is the one index beside the keys that the sink has to keep, and a
-- sixth more work for the server.
CREATE INDEX order_events_order ON order_events (order_id);
