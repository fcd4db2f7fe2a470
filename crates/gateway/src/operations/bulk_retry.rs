//! Retrying all transactions that match a filter: an apalis job that processes them in batches and keeps its
//! progress in the table, so that another worker can continue it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{Actor, Scope, State};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, QueryBuilder, types::Json};
use ulid::Ulid;
use utoipa::ToSchema;
use uuid::Uuid;

use super::intervention::{By, retry};
use crate::{
    EngineError, Filter, Gateway,
    database::StoredTime,
    job::{BULK_RETRIES, Queue},
    queries::{Cursor, push_page},
    wake_ups::WakeUps,
};

/// Transactions in one commit.
const BATCH: usize = 500;
/// The states that are retried in bulk.
const RETRIED: [State; 2] = [State::Failed, State::InDoubt];
/// The delay before a batch that failed is retried.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The job of one bulk retry.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BulkRetryJob(pub Uuid);

/// A bulk retry and its progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BulkRetry {
    /// Its id.
    pub bulk_retry_id: Uuid,
    /// `running` or `finished`.
    pub status: &'static str,
    /// Which transactions it retries: those that match, are failed or in doubt, and were submitted before it
    /// was requested.
    pub filter: Filter,
    /// Transactions that it has examined.
    pub examined: u64,
    /// Examined transactions that it has retried. The others changed meanwhile.
    pub retried: u64,
    /// When it was requested.
    pub requested_at: DateTime<Utc>,
    /// When it finished.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Gateway {
    /// Requests a retry of all transactions that match the filter and are failed or in doubt. A worker
    /// carries it out.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn retry_all(
        &self,
        actor: &Actor,
        filter: Filter,
        reason: Option<&str>,
    ) -> Result<BulkRetry, EngineError> {
        let id = Uuid::now_v7();
        let requested_at = sqlx::query_scalar!(
            r#"
            with requested as (
                insert into bulk_retries (id, actor, reason, filter) values ($1, $2, $3, $4)
                returning requested_at
            ),
            due as (
                insert into apalis.jobs
                    (id, job_type, job, status, attempts, max_attempts, run_at, priority)
                values ($5, $6, convert_to('"' || $1::uuid || '"', 'UTF8'), 'Pending', 0, 1, now(), 0)
            ),
            recorded as (
                insert into audit
                    (principal, kind, credential, address, request_id, action, object, after, reason)
                select $7, $8, $9, $10::text::inet, $11, 'bulk_retry', 'bulk_retry:' || $1::uuid,
                    json_build_object('filter', $4::jsonb), $3
                from requested
            )
            select requested_at from requested
            "#,
            id,
            Json(actor) as _,
            reason,
            Json(&filter) as _,
            job_id(id),
            BULK_RETRIES,
            actor.principal.as_str(),
            actor.kind.as_str(),
            actor.credential,
            actor.address_text(),
            actor.request_id,
        )
        .fetch_one(&self.pool)
        .await?;
        self.wake_ups.new_job(Queue::BulkRetries);
        Ok(BulkRetry {
            bulk_retry_id: id,
            status: status(None),
            filter,
            examined: 0,
            retried: 0,
            requested_at,
            finished_at: None,
        })
    }

    /// The progress of a bulk retry; `None` if there is none with this id.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn bulk_retry(&self, id: Uuid) -> Result<Option<BulkRetry>, EngineError> {
        let row = sqlx::query!(
            r#"select filter as "filter: Json<Filter>", examined, retried, requested_at, finished_at
            from bulk_retries where id = $1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| BulkRetry {
            bulk_retry_id: id,
            status: status(row.finished_at),
            filter: row.filter.0,
            examined: row.examined.unsigned_abs(),
            retried: row.retried.unsigned_abs(),
            requested_at: row.requested_at,
            finished_at: row.finished_at,
        }))
    }
}

fn job_id(id: Uuid) -> String {
    Ulid::from_bytes(id.into_bytes()).to_string()
}

fn status(finished_at: Option<DateTime<Utc>>) -> &'static str {
    if finished_at.is_some() { "finished" } else { "running" }
}

/// Runs a bulk retry to its end, however often the database does not answer. Each batch wakes the
/// dispatchers: what failed is verified, what was never sent is posted.
pub async fn run_bulk_retry(pool: &PgPool, id: Uuid, wake_ups: &WakeUps) {
    loop {
        let result = run_batch(pool, id, BATCH).await;
        wake_ups.new_job(Queue::Posting);
        wake_ups.new_job(Queue::Verification);
        match result {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(bulk_retry_id = %id, %error, "a batch of a bulk retry failed and is retried");
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }
}

/// Runs one batch, in one commit with its progress. Returns false if nothing is left to do.
async fn run_batch(pool: &PgPool, id: Uuid, batch: usize) -> Result<bool, sqlx::Error> {
    #[expect(clippy::disallowed_methods, reason = "runs in a task that is never dropped")]
    let mut tx = pool.begin().await?;
    // Another process that runs the same bulk retry waits here, and then continues where this batch ends.
    let row = sqlx::query!(
        r#"select actor as "actor: Json<Actor>", reason, filter as "filter: Json<Filter>", requested_at,
            at_submitted_at, at_id
        from bulk_retries where id = $1 and finished_at is null
        for update"#,
        id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(false) };
    // The first batch begins with the newest transaction that was submitted before the request.
    let submitted_at = row.at_submitted_at.unwrap_or(row.requested_at);
    let cursor = Cursor { submitted_at, id: row.at_id.unwrap_or(Uuid::max()) };
    let mut query = QueryBuilder::<Postgres>::new("select t.id, t.fence, t.submitted_at from (");
    push_page(&mut query, &Scope::All, &row.filter.0, &RETRIED, Some(&cursor), batch);
    query.push(
        ") page join transactions t using (id) order by page.submitted_at desc, page.id desc",
    );
    let found: Vec<(Uuid, i64, StoredTime)> = query.build_query_as().fetch_all(&mut *tx).await?;

    let claims: Vec<_> = found.iter().map(|(id, fence, _)| (*id, *fence)).collect();
    let by = By { actor: &row.actor.0, reason: row.reason.as_deref(), bulk_retry: Some(id) };
    let retried = retry(&mut *tx, &claims, by).await?;
    let (last, more) = (found.last(), found.len() == batch);
    sqlx::query!(
        "update bulk_retries set
            examined = examined + $2, retried = retried + $3,
            at_id = coalesce($4, at_id), at_submitted_at = coalesce($5, at_submitted_at),
            finished_at = case when $6 then clock_timestamp() end
         where id = $1",
        id,
        found.len() as i64,
        retried,
        last.map(|(id, ..)| *id),
        last.map(|(.., submitted_at)| submitted_at.nearest()),
        !more,
    )
    .execute(&mut *tx)
    .await?;
    if !more {
        sqlx::query!("delete from apalis.jobs where id = $1", job_id(id)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(more)
}
