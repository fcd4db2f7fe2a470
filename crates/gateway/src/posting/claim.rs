//! Claiming a transaction: until its fence is raised again, it belongs to one worker.

use std::{collections::HashMap, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Amount, Currency, TraceParent, Unreadable, Window,
    protocol::{Doubt, Policy, Progress},
};
use uuid::Uuid;

use super::{boot_instant::BootInstant, service::PostingRequest};
use crate::{
    database::{BoundedPool, StoredTime, interval},
    job::Purpose,
    queries::note,
};

/// A claimed transaction.
#[derive(Debug)]
pub struct Claim {
    /// The transaction.
    pub id: Uuid,
    /// The request to post, if the transaction can be read. What cannot be read is not sent.
    pub request: Result<PostingRequest, Unreadable>,
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
) -> Result<Vec<Option<Claim>>, sqlx::Error> {
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
            id, posts, fence, attempts, verifications, doubt_since as "doubt_since: StoredTime", doubt_window, begins,
            amount::text as "amount!", currency, description, occurred_at as "occurred_at: StoredTime",
            metadata::text as metadata, submitted_at as "submitted_at: StoredTime", traceparent, tracestate,
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
    let mut unreadable = Vec::new();
    for row in rows {
        let begun = row.begins.unwrap_or_default();
        let purpose = if row.posts.unwrap_or_default() { Purpose::Post } else { Purpose::Verify };
        let column = |name| Unreadable::column(row.id, name);
        // The attempt that this claim has begun is not in doubt yet. Of what cannot be read, the latest time and the
        // longest window are assumed.
        let is_in_doubt = row.doubt_since.is_some() || row.doubt_window.is_some();
        let doubt = (is_in_doubt && !begun).then(|| Doubt {
            since: row.doubt_since.and_then(StoredTime::read).unwrap_or(row.claimed_at),
            window: match row.doubt_window.as_deref() {
                Some("visibility") => Window::Visibility,
                _ => Window::Settle,
            },
        });
        let read = || {
            Ok(PostingRequest {
                id: row.id,
                amount: Amount::from_stored(&row.amount).ok_or_else(|| column("amount"))?,
                currency: Currency::from_stored(&row.currency).map_err(|_| column("currency"))?,
                description: row.description,
                timestamp: match row.occurred_at {
                    Some(time) => time.read().ok_or_else(|| column("occurred_at"))?,
                    None => row.submitted_at.read().ok_or_else(|| column("submitted_at"))?,
                },
                // Parsed here, not by sqlx: an unreadable value concerns one row, not the whole batch.
                metadata: match row.metadata.as_deref().map(serde_json::from_str) {
                    None => None,
                    Some(Ok(map)) => Some(map),
                    Some(Err(_)) => return Err(column("metadata")),
                },
                // A trace is no reason to hold back a payment.
                trace_parent: row
                    .traceparent
                    .and_then(|text| text.parse().ok())
                    .unwrap_or_else(|| TraceParent::of_transaction(row.id)),
                trace_state: row.tracestate.and_then(|text| text.parse().ok()),
            })
        };
        let request = read();
        unreadable.extend(request.as_ref().err().cloned());
        if row.doubt_since.is_some_and(|since| since.read().is_none()) {
            unreadable.push(column("doubt_since"));
        }
        let claim = Claim {
            id: row.id,
            request,
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
        };
        claims.insert((row.id, purpose), claim);
    }
    note(pool, &unreadable).await;
    // Each claim is returned only once: if two requests are equal, the second one gets none.
    Ok(requests.iter().map(|request| claims.remove(request)).collect())
}
