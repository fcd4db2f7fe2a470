-- The transactions that a process has found it cannot read: damaged, or written by a later version. Whoever finds one
-- notes it here, so that health and the metrics of every process can count them without reading all rows. Housekeeping
-- deletes the note when the row can be read again, or is gone. No foreign key: a note must not hold up a deletion.
create table unreadable_transactions (
    id uuid primary key,
    reason text not null,
    noted_at timestamptz not null default clock_timestamp()
);
