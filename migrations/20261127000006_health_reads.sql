-- What health reads each second. On a table that was not analysed since it grew, the planner takes few rows for many
-- and many for few, and reads all of them. The settings of these functions leave it only the index that fits.

-- How many transactions are claimed, from the index `transactions_claimed`.
create function claimed_transactions() returns bigint
language sql stable
set enable_seqscan = off
as $$
    select count(*) from transactions where claimed_by is not null
$$;

-- When the oldest transactions that are not final were submitted: at most `max_rows` of each state, oldest first, from
-- the index `transactions_by_state`, read backwards.
create function oldest_unfinished(submitted_before timestamptz, max_rows bigint) returns setof timestamptz
language sql stable
set enable_sort = off
set enable_bitmapscan = off
set enable_seqscan = off
as $$
    select t.submitted_at
    from unnest(array['pending', 'processing', 'in_doubt']) as s (state)
    cross join lateral (
        select submitted_at from transactions
        where transactions.state = s.state and submitted_at < submitted_before
        order by submitted_at, id
        limit max_rows
    ) t
$$;
