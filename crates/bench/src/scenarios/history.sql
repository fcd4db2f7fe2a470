-- {history} rows that are final or in doubt and {waiting} pending rows, over the last thirty days, in the
-- order in which they would have arrived. The harness inserts the numbers.
set synchronous_commit = off;

insert into transactions (
    id, principal, reference, amount, currency, description, occurred_at, source_account,
    destination_account, metadata, fingerprint, state, fence, attempts, doubt_since, doubt_window,
    next_attempt_at, error, submitted_at, completed_at
)
select
    gen_random_uuid(), 'anonymous', case when n % 2 = 0 then 'order-' || n end,
    (n % 90000 + 1) + (n % 100) / 100.0, currency,
    'Invoice ' || lpad(n::text, 8, '0') || ', goods of the spring collection', submitted_at,
    'DE89370400440532013000', 'FR1420041010050500013M02606',
    json_build_object('order_id', lpad(n::text, 8, '0')), sha256(n::text::bytea),
    state, attempts, attempts,
    case when state = 'in_doubt' then submitted_at + interval '1 minute' end,
    case when state = 'in_doubt' then 'settle' end,
    case when state = 'pending' then now() + interval '30 days' + n * interval '1 second' end,
    case when state in ('failed', 'in_doubt', 'pending') then 'the posting service answered 503' end,
    submitted_at,
    case when state in ('completed', 'failed', 'cancelled')
        then submitted_at + attempts * interval '2 seconds' + interval '40 milliseconds' end
from (
    select
        n,
        now() - interval '30 days' + n * (interval '30 days' / ({history} + {waiting})) as submitted_at,
        state,
        case
            when n % 10000 = 1234 then 'KWD'
            when n % 10 = 0 then 'GBP'
            when n % 10 in (1, 2) then 'USD'
            else 'EUR'
        end as currency,
        case
            when state = 'cancelled' then 0
            when state = 'pending' then 1
            -- Nine in ten need one attempt; the most need twenty.
            when luck < 900 then 1
            when luck < 990 then 2 + n % 3
            when luck < 999 then 5 + n % 5
            else 10 + n % 11
        end as attempts
    from (
        select
            n,
            n::bigint * 7919 % 1000 as luck,
            case
                -- Pending rows are spread evenly among the others.
                when n::bigint * {waiting} % ({history} + {waiting}) < {waiting} then 'pending'
                when n * 31 % 1000 < 5 then 'failed'
                when n * 31 % 1000 < 8 then 'in_doubt'
                when n * 31 % 1000 < 12 then 'cancelled'
                else 'completed'
            end as state
        from generate_series(1::bigint, {history} + {waiting}) as n
    ) as drawn
) as given;

insert into attempts (
    transaction_id, fence, started_at, ended_at, outcome, http_status, answer_excerpt
)
select
    id, number, submitted_at + number * interval '2 seconds',
    submitted_at + number * interval '2 seconds' + interval '30 milliseconds',
    case
        when number < attempts or state in ('in_doubt', 'pending') then 'unknown'
        when state = 'failed' then 'refused'
        else 'posted'
    end,
    case
        when number < attempts or state in ('in_doubt', 'pending') then 503
        when state = 'failed' then 422
        else 201
    end,
    '{"id":"' || id || '"}'
from transactions, generate_series(1, attempts) as number
order by submitted_at, number;

-- Each pending transaction has its job, with the id that the engine would assign: the transaction's
-- 128 bits as a ULID, five bits per character.
insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
select
    (
        select string_agg(
            substr(
                '0123456789ABCDEFGHJKMNPQRSTVWXYZ',
                substring(bits from 1 + 5 * place for 5)::bit(5)::integer + 1,
                1
            ),
            '' order by place
        )
        from generate_series(0, 25) as place
    ),
    'transactions', convert_to('"' || id || '"', 'UTF8'), 'Pending', 0, 1, next_attempt_at, 0
from (
    select id, next_attempt_at, B'00' || ('x' || replace(id::text, '-', ''))::bit(128) as bits
    from transactions
    where state = 'pending'
    order by submitted_at
) as pending;
