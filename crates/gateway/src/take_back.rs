//! Taking a claim back from a worker that will not finish it. Its fence is raised, so whatever that
//! worker still does changes nothing. An attempt under way is a doubt since its beginning, and is not
//! given up before its own time: its worker may be alive, and cut off from the database only.

use sqlx::PgPool;
use uuid::Uuid;

use crate::job::{Job, QUEUE};

/// Why claims are taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The worker died over it. Counted: what kills its worker must not do so for ever.
    WorkerLost,
    /// The worker gave it back, or could not reach the database.
    GivenBack,
}

/// Makes the claims that still hold due again, with a job each. Gives how many did hold.
pub async fn take_back(
    pool: &PgPool,
    claims: &[(Uuid, i64)],
    cause: Cause,
) -> Result<usize, sqlx::Error> {
    if claims.is_empty() {
        return Ok(0);
    }
    let (ids, fences): (Vec<Uuid>, Vec<i64>) = claims.iter().copied().unzip();
    let job_ids: Vec<String> = ids.iter().copied().map(Job::id_of).collect();
    let rows = sqlx::query_scalar!(
        r#"
        with given as (
            select * from unnest($1::uuid[], $2::bigint[], $3::text[]) as given (id, fence, job_id)
        ),
        freed as (
            update transactions t set
                state = case t.state when 'processing' then 'pending' else t.state end,
                fence = t.fence + 1,
                claimed_by = null,
                lost_claims = t.lost_claims + $4,
                -- The first time at once; what is lost again and again comes back ever later.
                next_attempt_at = clock_timestamp() + least(t.lost_claims, 60) * interval '1 second',
                changed_in = current_change()
            from given
            where t.id = given.id and t.fence = given.fence and t.claimed_by is not null
            returning t.id, given.fence, given.job_id, t.next_attempt_at
        ),
        ended as (
            update attempts set
                ended_at = clock_timestamp(), outcome = 'unknown',
                transport_error = 'the worker stopped before the answer came'
            from freed
            where attempts.transaction_id = freed.id and attempts.fence = freed.fence
                and attempts.ended_at is null
        ),
        due as (
            insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
            select job_id, $5, convert_to('"' || id || '"', 'UTF8'), 'Pending', 0, 1, next_attempt_at, 0
            from freed
            on conflict (id) do update set
                status = 'Pending', attempts = 0, run_at = excluded.run_at, lock_by = null, lock_at = null
        )
        select id as "id!" from freed
        "#,
        &ids,
        &fences,
        &job_ids,
        i32::from(cause == Cause::WorkerLost),
        QUEUE,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.len())
}
