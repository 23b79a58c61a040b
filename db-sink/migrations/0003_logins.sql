-- Browser accounts: who signs in with a password, for how long, and what keys may do.

-- One row a person. The account is the engine's, and has no other login.
CREATE TABLE logins (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- In lower case.
    email         text        NOT NULL CHECK (char_length(email) <= 254),
    password_hash text        NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    account_id    bigint      NOT NULL UNIQUE REFERENCES accounts (id),
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX logins_email ON logins (lower(email));

-- What a cookie opens. Only the SHA-256 of the token is kept, so this table opens nothing; the CSRF
-- token follows from the token and is kept nowhere.
CREATE TABLE sessions (
    token_hash bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    login_id   bigint      NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    -- Set: opens nothing any more, from within a second on every gateway.
    revoked_at timestamptz
);

CREATE INDEX sessions_login ON sessions (login_id, created_at);

ALTER TABLE api_keys
    -- True: signs for nothing that changes something.
    ADD COLUMN read_only         boolean NOT NULL DEFAULT false,
    -- IP addresses it may be used from; none: from any.
    ADD COLUMN allowed_addresses text[]  NOT NULL DEFAULT '{}';

-- Demo funds that were given: once an account, asset and day (UTC).
CREATE TABLE faucet_grants (
    account_id bigint      NOT NULL REFERENCES accounts (id),
    asset_id   integer     NOT NULL,
    day        date        NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, asset_id, day)
);
