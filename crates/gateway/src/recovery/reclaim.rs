//! Reclaiming a claim from a worker that will not finish it. Reclaiming raises the fence, so that worker can
//! no longer change the transaction. It leaves the doubt about an attempt in flight as the claim wrote it: the
//! windows begin when the worker must have given up on its request, because the worker may be alive and only
//! cut off from the database.

use domain::protocol::{Policy, QUARANTINED};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::job::{Job, POSTING, VERIFICATION};

/// Why claims are reclaimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReclaimCause {
    /// The worker died while it held the claim. Counted: a transaction that keeps killing its workers is
    /// quarantined.
    WorkerDied,
    /// The worker released the claim, or could not reach the database.
    Released,
}

/// Makes the transactions whose claims still hold due again, with a job each. A transaction whose workers died
/// too often in a row is quarantined: it is put in doubt, without a job, for an operator. Returns how many
/// claims still held.
pub async fn reclaim(
    pool: impl PgExecutor<'_>,
    claims: &[(Uuid, i64)],
    cause: ReclaimCause,
    policy: &Policy,
) -> Result<usize, sqlx::Error> {
    if claims.is_empty() {
        return Ok(0);
    }
    let (ids, fences): (Vec<Uuid>, Vec<i64>) = claims.iter().copied().unzip();
    let job_ids: Vec<String> = ids.iter().copied().map(Job::id_of).collect();
    let rows = sqlx::query_scalar!(
        r#"
        with given as (
            select given.*, t.lost_claims, $4 and t.lost_claims + 1 >= $5 as quarantined
            from unnest($1::uuid[], $2::bigint[], $3::text[]) as given (id, fence, job_id)
            join transactions t on t.id = given.id and t.fence = given.fence
            where t.claimed_by is not null
            -- In the order of the ids: processes that reclaim the same claims must not deadlock.
            order by t.id
            for update of t
        ),
        freed as (
            update transactions t set
                state = case when given.quarantined then 'in_doubt'
                    when t.state = 'processing' then 'pending' else t.state end,
                fence = t.fence + 1,
                claimed_by = null,
                lost_claims = t.lost_claims + $4::int,
                -- At once the first time, then later each time.
                next_attempt_at = case when not given.quarantined
                    then clock_timestamp() + least(t.lost_claims, 60) * interval '1 second' end,
                error = case when given.quarantined
                    then $8 || ' ' || t.lost_claims + 1 || ' times in a row'
                    else t.error end,
                changed_in = current_change()
            from given
            where t.id = given.id
            returning t.id, t.doubt_since, given.fence, given.job_id, t.next_attempt_at
        ),
        ended as (
            update attempts set
                ended_at = clock_timestamp(), outcome = 'unknown',
                transport_error = case when $4 then 'the worker stopped before the answer came'
                    else 'the execution was interrupted before its answer was recorded' end
            from freed
            where attempts.transaction_id = freed.id and attempts.fence = freed.fence
                and attempts.ended_at is null
        ),
        due as (
            insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
            select job_id, case when doubt_since is null then $6 else $7 end,
                convert_to('"' || id || '"', 'UTF8'), 'Pending', 0, 1, next_attempt_at, 0
            from freed
            where next_attempt_at is not null
            on conflict (id) do update set
                job_type = excluded.job_type, status = 'Pending', attempts = 0,
                run_at = excluded.run_at, lock_by = null, lock_at = null
        ),
        over as (
            delete from apalis.jobs using freed
            where jobs.id = freed.job_id and freed.next_attempt_at is null
        )
        select id as "id!" from freed
        "#,
        &ids,
        &fences,
        &job_ids,
        cause == ReclaimCause::WorkerDied,
        i32::try_from(policy.max_worker_deaths()).unwrap_or(i32::MAX),
        POSTING,
        VERIFICATION,
        QUARANTINED,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.len())
}
