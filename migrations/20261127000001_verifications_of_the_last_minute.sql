-- Health knows whether verifications fail: each worker reports those of its last minute with its lease, as it reports
-- its attempts. A worker of the version before reports none.
alter table workers
    add column verifications_ended bigint not null default 0,
    add column verifications_failed bigint not null default 0;
