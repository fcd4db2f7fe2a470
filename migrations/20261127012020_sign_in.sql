-- A browser in which a user has signed in before. Its holder's failed sign-ins are counted apart from everybody
-- else's, so that guesses at an account from elsewhere do not slow down its owner. Only a hash of the cookie is stored.
create table known_devices (
    token_sha256 bytea primary key check (octet_length(token_sha256) = 32),
    user_id uuid not null references users (id),
    expires_at timestamptz not null
);

create index known_devices_by_user on known_devices (user_id);

-- How long after a failed sign-in the next attempt of the same subject is refused. The first `free` failures are
-- followed by no delay; then it begins at `first` seconds, and doubles up to `longest`.
create function sign_in_delay(failures integer, free integer, first double precision, longest double precision)
returns interval language sql immutable as $$
    select make_interval(secs => case
        when failures <= free then 0
        else least(longest, first * power(2, least(failures - free - 1, 30)))
    end)
$$;

-- What is out of date is found without reading everything.
create index sign_in_failures_by_time on sign_in_failures (last_failed_at);
