//! What must hold for all tables, at every instant and after any fault.
#![allow(dead_code)]

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgPool};
use ulid::Ulid;
use uuid::Uuid;

/// Each with a query that returns the rows that violate it.
const INVARIANTS: &[(&str, &str)] = &[
    (
        "the counts equal those of the table",
        "select state from (
            select state, fence > 0, queue_of(next_attempt_at, doubt_since), 1 as added from transactions
            union all select state, tried, queue, -added from transaction_counts
         ) counted (state, tried, queue, added)
         group by state, tried, queue having sum(added) <> 0",
    ),
    (
        "a transaction that waits has one job, due at the same time, in the queue of its next step",
        "select t.id::text from transactions t left join job j on j.transaction_id = t.id
         where t.claimed_by is null and t.next_attempt_at is not null
         group by t.id
         having count(j.id) <> 1 or bool_or(j.run_at <> t.next_attempt_at)
            or bool_or(j.job_type <> case when t.doubt_since is null then 'transactions' else 'verifications' end)",
    ),
    (
        "a transaction with nothing scheduled has no job",
        "select t.id::text from transactions t join job j on j.transaction_id = t.id
         where t.claimed_by is null and t.next_attempt_at is null",
    ),
    (
        "a claimed transaction has at most one job",
        "select t.id::text from transactions t join job j on j.transaction_id = t.id
         where t.claimed_by is not null group by t.id having count(*) > 1",
    ),
    (
        "every job belongs to a transaction",
        "select j.id from job j where not exists (select from transactions t where t.id = j.transaction_id)",
    ),
    (
        "a claimed transaction does not wait, and one that waits is pending or in doubt",
        "select id::text from transactions
         where claimed_by is not null and (next_attempt_at is not null or state not in ('processing', 'in_doubt'))
            or next_attempt_at is not null and state not in ('pending', 'in_doubt')",
    ),
    (
        "an attempt is open only while the claim that made it holds",
        "select t.id::text from transactions t join attempts a on a.transaction_id = t.id
         where a.fence > t.fence or a.ended_at is null and (t.claimed_by is null or a.fence <> t.fence)",
    ),
    (
        "the attempts that may have been sent since the last retry from failed or in doubt are counted",
        "select t.id::text from transactions t where t.attempts <> (
            select count(*) from attempts a
            where a.transaction_id = t.id and a.outcome is distinct from 'not_sent'
                and a.started_at > (select at from anew where anew.id = t.id)
         )",
    ),
    (
        "the verifications since the latest attempt and since that retry are counted",
        "select t.id::text from transactions t where t.verifications <> (
            select coalesce(sum(count), 0) from verifications v
            where v.transaction_id = t.id and v.started_at > (select at from anew where anew.id = t.id)
                and v.fence = (select max(fence) from attempts a where a.transaction_id = t.id)
         )",
    ),
    (
        "an attempt that may have arrived is a doubt until its absence is proven",
        "select t.id::text from transactions t join latest l on l.transaction_id = t.id
         where t.completed_at is null and t.doubt_since is null
            and (l.outcome is null or l.outcome = 'unknown' and not exists (
                select from verifications v
                where v.transaction_id = t.id and v.fence = l.fence and v.finding = 'absent'
            ))",
    ),
    (
        "a transaction that was never sent has no doubt",
        "select t.id::text from transactions t
         left join latest l on l.transaction_id = t.id
         where t.doubt_since is not null and t.completed_at is null
            and (l.fence is null or l.outcome = 'not_sent')
            and (select at from anew where anew.id = t.id) = '-infinity'",
    ),
    (
        "a completed transaction was seen at the posting service or resolved by an operator",
        "select t.id::text from transactions t where t.state = 'completed'
            and not exists (select from attempts a where a.transaction_id = t.id and a.outcome = 'posted')
            and not exists (
                select from interventions i
                where i.transaction_id = t.id and i.action = 'resolve' and i.to_state = 'completed'
            )",
    ),
    (
        "a failed transaction was refused, is proven absent, or was resolved by an operator",
        "select t.id::text from transactions t join latest l on l.transaction_id = t.id
         where t.state = 'failed' and l.outcome <> 'refused'
            and 'absent' is distinct from (
                select finding from verifications v
                where v.transaction_id = t.id and v.fence = l.fence order by v.id desc limit 1
            )
            and not exists (
                select from interventions i
                where i.transaction_id = t.id and i.action = 'resolve' and i.to_state = 'failed'
            )",
    ),
    (
        "a cancelled transaction was cancelled once and never sent",
        "select t.id::text from transactions t where
            (select count(*) from interventions i where i.transaction_id = t.id and i.action = 'cancel')
                <> (t.state = 'cancelled')::int
            or t.state = 'cancelled' and exists (
                select from attempts a
                where a.transaction_id = t.id and a.outcome is distinct from 'not_sent'
            )",
    ),
    (
        "every intervention was permitted in the state before it",
        "select i.id::text from interventions i
         where i.action = 'cancel' and (i.from_state, i.to_state) <> ('pending', 'cancelled')
            or i.action = 'resolve'
                and (i.from_state <> 'in_doubt' or i.to_state not in ('completed', 'failed'))
            or i.action = 'retry'
                and (i.from_state not in ('pending', 'failed', 'in_doubt') or i.to_state <> 'pending')",
    ),
    (
        "at most one attempt is known to have posted",
        "select transaction_id::text from attempts where outcome = 'posted'
         group by transaction_id having count(*) > 1",
    ),
    (
        "a change is stamped with the database transaction that made it",
        "select id::text from transactions where xmin::text::bigint <> changed_in & 4294967295",
    ),
    (
        "a bulk retry counts what it has retried, and has a job until it is finished",
        "select b.id::text from bulk_retries b where b.retried > b.examined
            or b.retried <> (select count(*) from interventions i where i.part_of = 'bulk_retry:' || b.id)
            or (b.finished_at is null)::int <> (
                select count(*) from apalis.jobs j
                where j.job_type = 'bulk_retries' and convert_from(j.job, 'UTF8') = '\"' || b.id || '\"'
            )",
    ),
    (
        "posting is paused exactly when pauses outnumber resumptions by one",
        "select 'paused' where (select count(*) from posting_pause) <> (
            select count(*) filter (where action = 'pause') - count(*) filter (where action = 'resume')
            from interventions
         )",
    ),
];

/// The views that the queries read.
const VIEWS: &str = r#"
    with job as (
        select *, btrim(convert_from(job, 'UTF8'), '"')::uuid as transaction_id
        from apalis.jobs where job_type in ('transactions', 'verifications')
    ),
    interventions as (
        select id, at, action, part_of, before ->> 'status' as from_state, after ->> 'status' as to_state,
            case when object like 'transaction:%' then substr(object, 13)::uuid end as transaction_id
        from audit where outcome = 'done'
    ),
    latest as (
        select distinct on (transaction_id) * from attempts order by transaction_id, fence desc
    ),
    anew as (
        select t.id, coalesce(max(i.at), '-infinity') as at
        from transactions t
        left join interventions i on i.transaction_id = t.id
            and i.action = 'retry' and i.from_state in ('failed', 'in_doubt')
        group by t.id
    )"#;

/// All queries in one statement, because the tables may be changing.
static QUESTION: LazyLock<String> = LazyLock::new(|| {
    let questions = INVARIANTS.iter().map(|(invariant, question)| {
        format!("select '{invariant}' as invariant, found.* from ({question}) found (id)")
    });
    format!("{VIEWS} {}", questions.collect::<Vec<_>>().join(" union all "))
});

/// Fails if any invariant is violated.
pub async fn check(pool: &PgPool, context: &str) {
    let found: Vec<(String, String)> =
        sqlx::query_as(AssertSqlSafe(QUESTION.as_str())).fetch_all(pool).await.unwrap();
    let mut broken: Vec<_> =
        found.into_iter().map(|(invariant, id)| format!("{invariant}: {id}")).collect();
    let text = AssertSqlSafe(format!("{VIEWS} select id, transaction_id from job"));
    let jobs: Vec<(String, Uuid)> = sqlx::query_as(text).fetch_all(pool).await.unwrap();
    for (id, transaction_id) in jobs {
        if id != Ulid::from_bytes(transaction_id.into_bytes()).to_string() {
            broken
                .push(format!("a job must have the id of its transaction: {id}, {transaction_id}"));
        }
    }
    if !broken.is_empty() {
        let rows: Vec<String> = sqlx::query_scalar(
            "select row_to_json(t)::text from (
                select id, state, fence, attempts, verifications, lost_claims, doubt_since,
                    doubt_window, claimed_by, next_attempt_at, error,
                    (select json_agg(row_to_json(a)) from attempts a where transaction_id = t.id) as made,
                    (select json_agg(json_build_array(finding, fence, count)) from verifications v
                        where transaction_id = t.id) as verified,
                    (select json_agg(json_build_array(action, before, after)) from audit a
                        where object = 'transaction:' || t.id) as interventions,
                    (select json_agg(json_build_array(job_type, status, run_at)) from apalis.jobs j
                        where convert_from(job, 'UTF8') = '\"' || t.id || '\"') as jobs
                from transactions t order by changed_in desc limit 3
             ) t",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        panic!("{context}\n{}\n{}", broken.join("\n"), rows.join("\n"));
    }
}
