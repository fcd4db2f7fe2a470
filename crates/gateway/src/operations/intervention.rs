//! Interventions of operators and clients: cancel, retry, resolve. Each is recorded in the audit, in the statement
//! that makes the change.

use domain::{
    Actor, Intervened, Intervention, NotPermitted, Scope, State, Transaction, Unreadable,
};
use sqlx::PgExecutor;
use thiserror::Error;
use uuid::Uuid;

use crate::{
    EngineError, Gateway,
    job::{Job, POSTING, Queue, VERIFICATION},
};

/// How often a change is tried when the transaction changes between the read and the change.
const TRIES: usize = 10;

/// Why an intervention was not made.
#[derive(Debug, Error)]
pub enum InterventionError {
    /// There is no such transaction.
    #[error("there is no transaction with this id")]
    NoSuchTransaction,
    /// The transaction's state does not permit it.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// The transaction kept changing.
    #[error("the transaction is changing; try again")]
    Changing,
    /// The table could not be read or written.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl InterventionError {
    /// Whether a retry may succeed.
    pub fn retryable(&self) -> bool {
        match self {
            Self::NoSuchTransaction | Self::NotPermitted(_) => false,
            Self::Changing => true,
            Self::Engine(error) => error.retryable(),
        }
    }
}

impl Gateway {
    /// Intervenes in a transaction on behalf of an actor, and returns it as it is afterwards.
    ///
    /// # Errors
    /// See [`InterventionError`].
    pub async fn intervene(
        &self,
        actor: &Actor,
        id: Uuid,
        intervention: Intervention,
        reason: Option<&str>,
    ) -> Result<Transaction, InterventionError> {
        for _ in 0..TRIES {
            let row = sqlx::query!(
                r#"select state, fence, exists (
                    select from attempts a
                    where a.transaction_id = t.id and a.outcome is distinct from 'not_sent'
                ) as "sent!"
                from transactions t where id = $1"#,
                id,
            )
            .fetch_optional(&self.pool)
            .await
            .map_err(EngineError::from)?
            .ok_or(InterventionError::NoSuchTransaction)?;
            let state: State = row
                .state
                .parse()
                .map_err(|_| EngineError::from(Unreadable::column(id, "state")))?;
            let to = intervention.leads_to(state, row.sent)?;
            let by = By { actor, reason, bulk_retry: None };
            let changed = match intervention {
                Intervention::Retry => retry(&self.pool, &[(id, row.fence)], by).await,
                Intervention::Cancel | Intervention::Resolve(_) => {
                    conclude(&self.pool, id, row.fence, state, to, intervention, by).await
                }
            };
            if changed.map_err(EngineError::from)? == 1 {
                if to == State::Pending {
                    self.wake_ups.new_job(Queue::Posting);
                    self.wake_ups.new_job(Queue::Verification);
                }
                let transaction = self.transaction(&Scope::All, id).await?;
                return transaction.ok_or(InterventionError::NoSuchTransaction);
            }
        }
        Err(InterventionError::Changing)
    }

    /// The interventions in a transaction, first to last.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn interventions(&self, id: Uuid) -> Result<Vec<Intervened>, EngineError> {
        let rows = sqlx::query_as!(
            Intervened,
            "select at, principal, action, before ->> 'status' as from_status, after ->> 'status' as to_status,
                reason
             from audit where object = 'transaction:' || $1::uuid and outcome = 'done' order by id",
            id,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows)
    }
}

/// On whose behalf an intervention is made, and why.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    pub actor: &'a Actor,
    pub reason: Option<&'a str>,
    pub bulk_retry: Option<Uuid>,
}

/// Puts a transaction into a final state if its state and its fence are still these. Returns how many
/// transactions changed.
async fn conclude(
    executor: impl PgExecutor<'_>,
    id: Uuid,
    fence: i64,
    from: State,
    to: State,
    intervention: Intervention,
    by: By<'_>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        with moved as (
            update transactions set
                state = $4, fence = fence + 1, claimed_by = null, next_attempt_at = null,
                completed_at = clock_timestamp(),
                error = case when $4 = 'completed' then null else coalesce($6, error) end,
                changed_in = current_change()
            where id = $1 and fence = $2 and state = $3
            returning id
        ),
        over as (delete from apalis.jobs using moved where jobs.id = $7),
        recorded as (
            insert into audit
                (principal, kind, credential, address, request_id, action, object, before, after, reason)
            select $8, $9, $10, $11::text::inet, $12, $5, 'transaction:' || id,
                json_build_object('status', $3::text), json_build_object('status', $4::text), $6
            from moved
        )
        select count(*) as "count!" from moved
        "#,
        id,
        fence,
        from.as_str(),
        to.as_str(),
        intervention.as_str(),
        by.reason,
        Job::id_of(id),
        by.actor.principal.as_str(),
        by.actor.kind.as_str(),
        by.actor.credential,
        by.actor.address_text(),
        by.actor.request_id,
    )
    .fetch_one(executor)
    .await
}

/// Makes transactions due at once if they may be retried and their fences are still these. Returns how
/// many changed.
///
/// A failed transaction, or one in doubt, gets all its attempts again. A verification comes first, because
/// an earlier attempt may have arrived; the visibility window counts from the end of the transaction.
pub async fn retry(
    executor: impl PgExecutor<'_>,
    claims: &[(Uuid, i64)],
    by: By<'_>,
) -> Result<i64, sqlx::Error> {
    let (ids, fences): (Vec<Uuid>, Vec<i64>) = claims.iter().copied().unzip();
    let job_ids: Vec<String> = ids.iter().copied().map(Job::id_of).collect();
    sqlx::query_scalar!(
        r#"
        with given as (
            select given.*, t.state
            from unnest($1::uuid[], $2::bigint[], $3::text[]) as given (id, fence, job_id)
            join transactions t on t.id = given.id and t.fence = given.fence
            where t.state in ('pending', 'failed', 'in_doubt')
            order by t.id
            for update of t
        ),
        moved as (
            update transactions t set
                state = 'pending', fence = t.fence + 1, claimed_by = null,
                next_attempt_at = clock_timestamp(), completed_at = null, lost_claims = 0,
                attempts = case given.state when 'pending' then t.attempts else 0 end,
                verifications = case given.state when 'pending' then t.verifications else 0 end,
                doubt_since = case given.state when 'pending' then t.doubt_since
                    else coalesce(t.doubt_since, t.completed_at, clock_timestamp()) end,
                doubt_window = case given.state when 'pending' then t.doubt_window
                    else coalesce(t.doubt_window, 'visibility') end,
                changed_in = current_change()
            from given
            where t.id = given.id
            returning t.id, t.doubt_since, t.next_attempt_at, given.job_id, given.state
        ),
        due as (
            insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
            select job_id, case when doubt_since is null then $4 else $5 end,
                convert_to('"' || id || '"', 'UTF8'), 'Pending', 0, 1, next_attempt_at, 0
            from moved
            on conflict (id) do update set
                job_type = excluded.job_type, status = 'Pending', attempts = 0,
                run_at = excluded.run_at, lock_by = null, lock_at = null
        ),
        recorded as (
            insert into audit
                (principal, kind, credential, address, request_id, action, object, before, after, reason, part_of)
            select $8, $9, $10, $11::text::inet, $12, 'retry', 'transaction:' || id,
                json_build_object('status', state), json_build_object('status', 'pending'), $6,
                'bulk_retry:' || $7::uuid
            from moved
        )
        select count(*) as "count!" from moved
        "#,
        &ids,
        &fences,
        &job_ids,
        POSTING,
        VERIFICATION,
        by.reason,
        by.bulk_retry,
        by.actor.principal.as_str(),
        by.actor.kind.as_str(),
        by.actor.credential,
        by.actor.address_text(),
        by.actor.request_id,
    )
    .fetch_one(executor)
    .await
}
