-- Who may do what: until now everyone who reached the port could do everything.

-- A client is a program's account, a user is a person. Transactions name their principal, and keep its name for
-- ever; so a principal is disabled, never deleted or renamed.
create table principals (
    id uuid primary key,
    name text not null unique check (name ~ '^[a-z0-9][a-z0-9._@-]{0,63}$'),
    kind text not null check (kind in ('user', 'client')),
    role text not null check (role in ('viewer', 'submitter', 'operator', 'approver', 'admin')),
    -- Its own rate limit, such as `100/s`, instead of the setting's.
    rate_limit text,
    created_at timestamptz not null default clock_timestamp(),
    disabled_at timestamptz,
    -- `anonymous` is the caller where authentication is off, `command-line` is whoever runs the program's commands.
    check (name not in ('anonymous', 'command-line')),
    -- For foreign keys of what only one kind has.
    unique (id, kind)
);

-- The keys of clients. Only a hash of the secret is stored: it has 256 random bits, so a slow hash adds nothing.
create table client_keys (
    id text primary key check (id ~ '^[0-9A-Za-z]{16}$'),
    client_id uuid not null,
    client_kind text not null default 'client' check (client_kind = 'client'),
    secret_sha256 bytea not null check (octet_length(secret_sha256) = 32),
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    -- To the minute.
    last_used_at timestamptz,
    revoked_at timestamptz,
    foreign key (client_id, client_kind) references principals (id, kind)
);

create index client_keys_by_client on client_keys (client_id);

create table users (
    id uuid primary key,
    kind text not null default 'user' check (kind = 'user'),
    -- argon2id, in PHC string format. None: the user can only use a one-time link.
    password_hash text,
    password_changed_at timestamptz,
    totp_secret bytea,
    -- The first code was entered.
    totp_confirmed_at timestamptz,
    -- The time step of the last code that was accepted: a code is accepted once.
    totp_last_step bigint,
    foreign key (id, kind) references principals (id, kind)
);

create table recovery_codes (
    user_id uuid not null references users (id),
    code_sha256 bytea not null check (octet_length(code_sha256) = 32),
    used_at timestamptz,
    primary key (user_id, code_sha256)
);

-- A session's id is a secret of 256 bits in a cookie; only its hash is stored. The handle names the session to its
-- owner and in the audit.
create table sessions (
    id_sha256 bytea primary key check (octet_length(id_sha256) = 32),
    handle uuid not null unique,
    user_id uuid not null references users (id),
    created_at timestamptz not null default clock_timestamp(),
    -- To the minute.
    last_seen_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    address inet,
    user_agent text
);

create index sessions_by_user on sessions (user_id);

-- A link with which a user sets a password once: the first administrator's, or after a reset.
create table one_time_links (
    token_sha256 bytea primary key check (octet_length(token_sha256) = 32),
    user_id uuid not null references users (id),
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    used_at timestamptz
);

-- Failed sign-ins, by account and by address, which slow down the next ones. In the database, so that it makes no
-- difference which process is asked.
create table sign_in_failures (
    subject text primary key,
    failures integer not null check (failures > 0),
    last_failed_at timestamptz not null
);

-- The key pairs with which Onceward signs tokens. The newest signs; older ones verify until their last token expires.
create table signing_keys (
    id text primary key,
    -- PKCS #8.
    private_key bytea not null,
    -- A JSON Web Key.
    public_key json not null,
    created_at timestamptz not null default clock_timestamp()
);
