//! Claiming a transaction: until its fence is raised again, it belongs to one worker.

use std::{collections::HashMap, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Amount, Currency, TraceParent, Window,
    protocol::{Doubt, Policy, Progress},
};
use uuid::Uuid;

use super::{boot_instant::BootInstant, service::PostingRequest};
use crate::{
    EngineError,
    database::{BoundedPool, interval},
    job::Purpose,
};

/// A claimed transaction.
#[derive(Debug)]
pub struct Claim {
    /// The request to post.
    pub request: PostingRequest,
    /// The fence that every later change under this claim must carry.
    pub fence: i64,
    /// What is known of the transaction so far.
    pub progress: Progress,
    /// When the claim was requested: no later than its attempt was written.
    pub requested_at: BootInstant,
    claimed_at: DateTime<Utc>,
    claimed_instant: Instant,
}

impl Claim {
    /// The time by the database's clock, never ahead of it.
    pub fn now(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.claimed_instant.elapsed()).unwrap_or(TimeDelta::MAX);
        self.claimed_at.checked_add_signed(elapsed).unwrap_or(self.claimed_at)
    }
}

/// A transaction, and the purpose to claim it for.
pub type ClaimRequest = (Uuid, Purpose);

/// Claims due transactions for a worker. Returns the claim of each request, in order, or `None` if the
/// transaction does not exist, is not due, is claimed already, is in doubt and the request is to post, or is
/// not in doubt and the request is to verify. While posting is paused, no transaction is claimed to be posted.
///
/// A claim to post begins an attempt if one is left: the same statement writes and counts it, together
/// with the doubt that exists from now on.
pub async fn claim(
    pool: &BoundedPool,
    requests: &[ClaimRequest],
    worker_id: Uuid,
    policy: &Policy,
) -> Result<Vec<Result<Option<Claim>, EngineError>>, sqlx::Error> {
    // Two batches that share ids take their locks in the same order.
    let mut sorted: Vec<&ClaimRequest> = requests.iter().collect();
    sorted.sort_by_key(|(id, _)| *id);
    let ids: Vec<Uuid> = sorted.iter().map(|(id, _)| *id).collect();
    let posts: Vec<bool> = sorted.iter().map(|(_, purpose)| *purpose == Purpose::Post).collect();
    let requested_at = BootInstant::now();
    let rows = sqlx::query!(
        r#"
        with claimed as (
            update transactions t set
                state = case t.state when 'pending' then 'processing' else t.state end,
                fence = t.fence + 1,
                claimed_by = $3,
                attempts = t.attempts + (given.posts and t.attempts < $4)::int,
                verifications = case when given.posts and t.attempts < $4 then 0
                    else t.verifications end,
                doubt_since = case when given.posts and t.attempts < $4
                    then clock_timestamp() + $5 else t.doubt_since end,
                doubt_window = case when given.posts and t.attempts < $4 then 'settle'
                    else t.doubt_window end,
                next_attempt_at = null,
                changed_in = current_change()
            from unnest($1::uuid[], $2::boolean[]) as given (id, posts)
            -- The rows are found by their ids. The case hides the other conditions from the planner: they fit
            -- another index, through which it would read all pending rows.
            where t.id = given.id and case when t.state in ('pending', 'in_doubt')
                and t.claimed_by is null
                and t.next_attempt_at <= clock_timestamp()
                and given.posts = (t.doubt_since is null)
                and not (given.posts and exists (select from posting_pause)) then true end
            -- A row that is claimed to be posted had no doubt before; its doubt is that of the begun attempt.
            returning t.*, given.posts, given.posts and t.doubt_since is not null as begins
        ),
        begun as (
            insert into attempts (transaction_id, fence) select id, fence from claimed where begins
        )
        select
            id, posts, fence, attempts, verifications, doubt_since, doubt_window, begins,
            amount, currency, description, occurred_at, metadata::text as metadata, submitted_at, traceparent, tracestate,
            clock_timestamp() as "claimed_at!"
        from claimed
        "#,
        &ids,
        &posts,
        worker_id,
        policy.max_attempts as i32,
        interval(policy.gives_up_within())?,
    )
    .fetch_all(pool)
    .await?;
    let claimed_instant = Instant::now();
    let mut claims = HashMap::with_capacity(rows.len());
    for row in rows {
        let begun = row.begins.unwrap_or_default();
        let purpose = if row.posts.unwrap_or_default() { Purpose::Post } else { Purpose::Verify };
        let unreadable = |column| EngineError::Unreadable { id: row.id, column };
        let read = || {
            // The attempt that this claim has begun is not in doubt yet.
            let doubt = match (row.doubt_since, row.doubt_window.as_deref()) {
                (Some(_), Some(_)) if begun => None,
                (Some(since), Some("settle")) => Some(Doubt { since, window: Window::Settle }),
                (Some(since), Some("visibility")) => {
                    Some(Doubt { since, window: Window::Visibility })
                }
                (None, None) => None,
                _ => return Err(unreadable("doubt_window")),
            };
            Ok(Claim {
                request: PostingRequest {
                    id: row.id,
                    amount: Amount::from_stored(row.amount),
                    currency: Currency::from_stored(&row.currency)
                        .map_err(|_| unreadable("currency"))?,
                    description: row.description,
                    timestamp: row.occurred_at.unwrap_or(row.submitted_at),
                    // Parsed here, not by sqlx: an unreadable value fails one row, not the whole batch.
                    metadata: match row.metadata.as_deref().map(serde_json::from_str) {
                        None => None,
                        Some(Ok(map)) => Some(map),
                        Some(Err(_)) => return Err(unreadable("metadata")),
                    },
                    trace_parent: match row.traceparent {
                        None => TraceParent::of_transaction(row.id),
                        Some(text) => text.parse().map_err(|_| unreadable("traceparent"))?,
                    },
                    trace_state: row.tracestate.and_then(|text| text.parse().ok()),
                },
                fence: row.fence,
                progress: Progress {
                    attempts: row.attempts.unsigned_abs(),
                    begun,
                    doubt,
                    verifications: row.verifications.unsigned_abs(),
                    claims: u32::try_from(row.fence).unwrap_or(u32::MAX),
                },
                requested_at,
                claimed_at: row.claimed_at,
                claimed_instant,
            })
        };
        claims.insert((row.id, purpose), read());
    }
    // Each claim is returned only once: if two requests are equal, the second one gets none.
    Ok(requests.iter().map(|request| claims.remove(request).transpose()).collect())
}
