-- Verifications in a row that end alike are one row: a posting service whose look-ups fail for hours would otherwise
-- leave thousands of rows for each transaction. The times of the row are those of the last of them; a row that was
-- written before this migration, or by a process of the version before, is one verification.
alter table verifications
    -- When the first of them was sent; null if it is the only one.
    add column first_started_at timestamptz,
    add column count integer not null default 1 check (count > 0);
