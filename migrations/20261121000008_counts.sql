-- How many transactions are in each state is asked each second, and counting a million rows takes a
-- quarter of a second. Every statement that changes some writes what it adds and takes away, in its own
-- commit; the sum is exact in any snapshot. Rows are only added, so that no two commits wait for each
-- other, and now and then put together: see crates/gateway/src/counts.rs.

create table transaction_counts (
    state text not null,
    -- Claimed at least once.
    tried boolean not null,
    added bigint not null
);

create function count_transactions() returns trigger
    language plpgsql
    as $$
    begin
        case tg_op
            when 'INSERT' then
                insert into transaction_counts
                select state, fence > 0, count(*) from new_rows group by 1, 2;
            when 'UPDATE' then
                insert into transaction_counts
                select state, tried, sum(added) from (
                    select state, fence > 0 as tried, 1 as added from new_rows
                    union all select state, fence > 0, -1 from old_rows
                ) changed
                group by 1, 2 having sum(added) <> 0;
            when 'DELETE' then
                insert into transaction_counts
                select state, fence > 0, -count(*) from old_rows group by 1, 2;
            when 'TRUNCATE' then
                -- Nobody else changes transactions now. Not a delete: it would miss the sum that is
                -- being put together.
                truncate transaction_counts;
        end case;
        return null;
    end;
    $$;

create trigger count_inserted after insert on transactions
    referencing new table as new_rows for each statement execute function count_transactions();
create trigger count_updated after update on transactions
    referencing old table as old_rows new table as new_rows
    for each statement execute function count_transactions();
create trigger count_deleted after delete on transactions
    referencing old table as old_rows for each statement execute function count_transactions();
create trigger count_truncated after truncate on transactions
    for each statement execute function count_transactions();

-- With the triggers nobody else can write until this is committed.
insert into transaction_counts select state, fence > 0, count(*) from transactions group by 1, 2;
