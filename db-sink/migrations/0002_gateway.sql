-- The gateway's own records: who may sign for which account, and what administrators did. Balances
-- are not here: the engine has them.

-- One row an account that the engine opened; the id is the engine's.
CREATE TABLE accounts (
    id         bigint      PRIMARY KEY CHECK (id BETWEEN 1 AND 4294967295),
    label      text        CHECK (char_length(label) <= 200),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- ED25519 public keys. One key belongs to one account; an account may have several.
CREATE TABLE api_keys (
    public_key  bytea       PRIMARY KEY CHECK (octet_length(public_key) = 32),
    account_id  bigint      NOT NULL REFERENCES accounts (id),
    label       text        CHECK (char_length(label) <= 200),
    created_at  timestamptz NOT NULL DEFAULT now(),
    -- Set: the key signs nothing any more.
    disabled_at timestamptz,
    -- Moved by every change, so that gateways read only what is new.
    changed_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX api_keys_changed ON api_keys (changed_at);
CREATE INDEX api_keys_account ON api_keys (account_id);

-- Every call of the administration. Written before the call does anything; the status when it is
-- done,
-- NULL if the gateway ended meanwhile.
CREATE TABLE admin_audit (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now(),
    remote text        NOT NULL,
    method text        NOT NULL,
    path   text        NOT NULL,
    -- The beginning of it.
    body   text        NOT NULL,
    status smallint
);

CREATE INDEX admin_audit_at ON admin_audit (at);
