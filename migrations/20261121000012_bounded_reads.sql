-- What is asked all the time must not take longer with every row that is there. Three answers did.

-- The list as a whole is put together from its states, as its filters are: see crates/gateway/src/list.rs.
-- Over this index the planner went wherever it had to guess the state or the time: "at least one attempt",
-- from somewhere in the middle, read half a million rows for the states that had none. Without it nothing
-- else is slower, and each transaction has three entries less to write.
drop index transactions_by_age;

-- How many wait in each queue is counted with the states. What waits for its time has one job, in the queue of
-- what is next.
create function queue_of(next_attempt_at timestamptz, doubt_since timestamptz) returns text
    language sql immutable
    as $$
        select case
            when next_attempt_at is null then null
            when doubt_since is null then 'transactions'
            else 'verifications'
        end
    $$;

-- None where it does not wait.
alter table transaction_counts add column queue text;

create or replace function count_transactions() returns trigger
    language plpgsql
    as $$
    begin
        case tg_op
            when 'INSERT' then
                insert into transaction_counts (state, tried, queue, added)
                select state, fence > 0, queue_of(next_attempt_at, doubt_since), count(*)
                from new_rows group by 1, 2, 3;
            when 'UPDATE' then
                insert into transaction_counts (state, tried, queue, added)
                select state, tried, queue, sum(added) from (
                    select state, fence > 0 as tried, queue_of(next_attempt_at, doubt_since) as queue,
                        1 as added
                    from new_rows
                    union all
                    select state, fence > 0, queue_of(next_attempt_at, doubt_since), -1 from old_rows
                ) changed
                group by 1, 2, 3 having sum(added) <> 0;
            when 'DELETE' then
                insert into transaction_counts (state, tried, queue, added)
                select state, fence > 0, queue_of(next_attempt_at, doubt_since), -count(*)
                from old_rows group by 1, 2, 3;
            when 'TRUNCATE' then
                -- Nobody else changes transactions now. Not a delete: it would miss the sum that is
                -- being put together.
                truncate transaction_counts;
        end case;
        return null;
    end;
    $$;

-- Since the index was dropped nobody else can write until this is committed.
truncate transaction_counts;
insert into transaction_counts (state, tried, queue, added)
select state, fence > 0, queue_of(next_attempt_at, doubt_since), count(*) from transactions group by 1, 2, 3;

-- The share of attempts that did not post in the last minute is told by the workers, with their lease. Nobody
-- looks for attempts by their time any more.
alter table workers
    add column attempts_ended bigint not null default 0,
    add column attempts_posted bigint not null default 0;
drop index attempts_by_start;
