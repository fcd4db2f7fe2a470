-- Who did what, and who was refused what. Rows are only added, and each is a link of a chain of hashes, so that a row
-- that was changed, removed or put in later is found: `onceward audit verify`.
--
-- It replaces `interventions`, whose rows were deleted together with their transactions.

create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp()
        check (at >= timestamptz '1970-01-01 00:00Z' and at < timestamptz '9999-01-01 00:00Z'),
    -- Who: the principal, its credential (never a secret), from where, and in which request. No foreign keys, here and
    -- below: the audit outlives what it is about.
    principal text not null,
    kind text not null check (kind in ('anonymous', 'client', 'user', 'external', 'command_line')),
    credential text,
    address inet check (masklen(address) = case family(address) when 4 then 32 else 128 end),
    request_id text,
    -- What, and on what, such as `transaction:<id>`, `client:<name>` or `posting`. The names are in
    -- crates/domain/src/audit.rs.
    action text not null check (action ~ '^[a-z_]+$'),
    object text not null,
    outcome text not null default 'done' check (outcome in ('done', 'refused')),
    -- What of the object has changed. `json` keeps the text that the hash is made of.
    before json,
    after json,
    reason text,
    -- The act of which this one is a part, such as `bulk_retry:<id>`.
    part_of text
);

create index audit_by_time on audit (at, id);
create index audit_by_object on audit (object, at, id);
create index audit_by_principal on audit (principal, at, id);
create index audit_by_action on audit (action, at, id);

-- The numbers have no gaps, unlike the ids of the rows, and are in the order of the commits.
create table audit_chain (
    number bigint primary key check (number > 0),
    audit_id bigint not null unique,
    hash bytea not null check (octet_length(hash) = 32)
);

-- A link's hash is the SHA-256 of the hash before it (32 zeros before the first) and of the row's columns in their order:
-- each the length of its text in four bytes, then its text in UTF-8; for a null only the length -1. A time's text is its
-- microseconds since 1970. crates/access/src/audit/verify.rs computes the same.
--
-- It runs at the commit, when all other locks are held and no further one will be needed: so no two commits wait for each
-- other in a circle, and the chain is locked for no longer than a commit takes. It runs with the rights of the owner,
-- because those who write the audit may not write the chain.
create function chain_audit() returns trigger
    language plpgsql security definer
    as $$
    declare
        last_number bigint;
        last_hash bytea;
        columns bytea;
    begin
        -- It has the rights of the owner. On another table, whoever may create one could chain what is no entry.
        if tg_relid <> 'audit'::regclass then
            raise exception 'only entries of the audit are chained' using errcode = 'insufficient_privilege';
        end if;
        select string_agg(
            case when field is null then int4send(-1)
                else int4send(octet_length(field)) || convert_to(field, 'UTF8') end,
            ''::bytea order by position
        )
        into columns
        from unnest(array[
            new.id::text, (extract(epoch from new.at) * 1000000)::bigint::text, new.principal, new.kind, new.credential,
            host(new.address), new.request_id, new.action, new.object, new.outcome, new.before::text, new.after::text,
            new.reason, new.part_of
        ]) with ordinality as fields (field, position);
        -- No statement timeout holds in a commit.
        set local lock_timeout = '3s';
        -- Held until the end of the commit. The next query sees what was committed before it was granted.
        perform pg_advisory_xact_lock(hashtextextended('onceward audit_chain', 0));
        select number, hash into last_number, last_hash from audit_chain order by number desc limit 1;
        insert into audit_chain (number, audit_id, hash) values (
            coalesce(last_number, 0) + 1,
            new.id,
            sha256(coalesce(last_hash, decode(repeat('00', 32), 'hex')) || columns)
        );
        return null;
    end;
    $$;

-- Whoever calls it finds these tables, and no temporary ones of the same names.
do $$
begin
    execute format('alter function chain_audit() set search_path = %I, pg_temp', current_schema());
end;
$$;

revoke execute on function chain_audit() from public;

create constraint trigger chain_inserted after insert on audit
    deferrable initially deferred for each row execute function chain_audit();

-- Grants keep the serving role from changing the audit; these also keep the owner from it by mistake. An owner can drop
-- them: what is changed then breaks the chain.
create function refuse_change_of_audit() returns trigger
    language plpgsql
    as $$
    begin
        raise exception 'the table % is append-only', tg_table_name using errcode = 'insufficient_privilege';
    end;
    $$;

create trigger append_only before update or delete or truncate on audit
    for each statement execute function refuse_change_of_audit();
create trigger append_only before update or delete or truncate on audit_chain
    for each statement execute function refuse_change_of_audit();

-- Default privileges, as the documentation recommended them, have given the serving role every right.
do $$
declare
    given record;
begin
    for given in
        select distinct c.oid::regclass as relation, c.relname = 'audit_chain' as is_chain,
            case acl.grantee when 0 then 'public' else acl.grantee::regrole::text end as grantee
        from pg_class c, aclexplode(c.relacl) acl
        where c.oid in ('audit'::regclass, 'audit_chain'::regclass) and acl.grantee <> c.relowner
    loop
        execute format('revoke update, delete, truncate on %s from %s', given.relation, given.grantee);
        if given.is_chain then
            execute format('revoke insert on %s from %s', given.relation, given.grantee);
        end if;
    end loop;
end;
$$;

-- A bulk retry acts for whoever asked for it, in each of its batches.
alter table bulk_retries add column actor json;
update bulk_retries set actor = json_build_object('principal', principal, 'kind', 'anonymous');
alter table bulk_retries alter column actor set not null, drop column principal;

-- Until now there was no authentication: everybody was anonymous.
insert into audit (at, principal, kind, action, object, before, after, reason, part_of)
select * from (
    select at, principal, 'anonymous', action,
        coalesce('transaction:' || transaction_id, 'posting'),
        case when from_state is not null then json_build_object('status', from_state) end,
        case when to_state is not null then json_build_object('status', to_state) end,
        reason, 'bulk_retry:' || bulk_retry_id
    from interventions
    union all
    select requested_at, actor ->> 'principal', 'anonymous', 'bulk_retry', 'bulk_retry:' || id,
        null, json_build_object('filter', filter), reason, null
    from bulk_retries
) earlier
order by 1;

drop table interventions;
