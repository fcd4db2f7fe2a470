-- A submitter sees its own transactions only: it lists them, counts them and follows them.

-- Its list. Where authentication is off there is one principal, and no entry to write.
create index transactions_by_principal on transactions (principal, state, submitted_at desc, id desc)
    where principal <> 'anonymous';

-- Its counts: as those of all, kept by the triggers, so that they cost the same however many there are.
alter table transaction_counts add column principal text not null default 'anonymous';

create or replace function count_transactions() returns trigger
    language plpgsql
    as $$
    begin
        case tg_op
            when 'INSERT' then
                insert into transaction_counts (state, tried, queue, principal, added)
                select state, fence > 0, queue_of(next_attempt_at, doubt_since), principal, count(*)
                from new_rows group by 1, 2, 3, 4;
            when 'UPDATE' then
                insert into transaction_counts (state, tried, queue, principal, added)
                select state, tried, queue, principal, sum(added) from (
                    select state, fence > 0 as tried, queue_of(next_attempt_at, doubt_since) as queue,
                        principal, 1 as added
                    from new_rows
                    union all
                    select state, fence > 0, queue_of(next_attempt_at, doubt_since), principal, -1 from old_rows
                ) changed
                group by 1, 2, 3, 4 having sum(added) <> 0;
            when 'DELETE' then
                insert into transaction_counts (state, tried, queue, principal, added)
                select state, fence > 0, queue_of(next_attempt_at, doubt_since), principal, -count(*)
                from old_rows group by 1, 2, 3, 4;
            when 'TRUNCATE' then
                -- No other session changes transactions now. Not a delete: it would miss a sum that is being
                -- compacted.
                truncate transaction_counts;
        end case;
        return null;
    end;
    $$;

-- Replacing a function drops its settings: see 20261127002003_search_path.sql.
do $$
begin
    if current_schema() <> 'public' then
        alter function count_transactions() set search_path from current;
    end if;
end;
$$;

-- Creating the index has locked the table against other writers until this is committed. Where all transactions are
-- those of `anonymous`, the default is right already.
do $$
begin
    if exists (select from transactions where principal <> 'anonymous') then
        truncate transaction_counts;
        insert into transaction_counts (state, tried, queue, principal, added)
        select state, fence > 0, queue_of(next_attempt_at, doubt_since), principal, count(*)
        from transactions group by 1, 2, 3, 4;
    end if;
end;
$$;

-- Now that each row says whose it is, a process of an earlier version must not compact the rows without saying so: its
-- statement fails, which it takes for a disturbance.
alter table transaction_counts alter column principal drop default;
