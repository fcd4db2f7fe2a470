//! Claiming a transaction: from here until its fence is raised again it is one worker's.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Amount, Currency, TraceParent, Window,
    protocol::{Doubt, Policy, Progress},
};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{BootInstant, EngineError, database::interval, job::Purpose, posting::Posting};

/// A claimed transaction.
#[derive(Debug)]
pub struct Claim {
    /// What to post.
    pub posting: Posting,
    /// The number that every further change must know.
    pub fence: i64,
    /// What is known of its way so far.
    pub progress: Progress,
    /// When it was asked for: no later than its attempt was written.
    pub asked: BootInstant,
    claimed_at: DateTime<Utc>,
    claimed: Instant,
}

impl Claim {
    /// The time by the database's clock, never ahead of it.
    pub fn now(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.claimed.elapsed()).unwrap_or(TimeDelta::MAX);
        self.claimed_at.checked_add_signed(elapsed).unwrap_or(self.claimed_at)
    }
}

/// Claims a transaction that is due, for a worker; `None` where it is not there, not due, claimed, in
/// doubt where it is to be posted, or without a doubt where it is to be verified. While posting is
/// paused nothing is claimed that would be posted.
///
/// Where an attempt is left, a claim that is to post begins it: it is written and counted in the same
/// statement, together with the doubt that it is from now on.
pub async fn claim(
    pool: &PgPool,
    id: Uuid,
    worker: Uuid,
    purpose: Purpose,
    policy: &Policy,
) -> Result<Option<Claim>, EngineError> {
    let asked = BootInstant::now();
    let row = sqlx::query!(
        r#"
        with due as (
            select id, doubt_since is null and attempts < $3 as begins
            from transactions
            where id = $1
                and state in ('pending', 'in_doubt')
                and claimed_by is null
                and next_attempt_at <= clock_timestamp()
                and case when $5 then doubt_since is null and not exists (select from posting_pause)
                    else doubt_since is not null end
            for update
        ),
        claimed as (
            update transactions t set
                state = case t.state when 'pending' then 'processing' else t.state end,
                fence = t.fence + 1,
                claimed_by = $2,
                attempts = t.attempts + due.begins::int,
                verifications = case when due.begins then 0 else t.verifications end,
                doubt_since = case when due.begins then clock_timestamp() + $4 else t.doubt_since end,
                doubt_window = case when due.begins then 'settle' else t.doubt_window end,
                next_attempt_at = null,
                changed_in = current_change()
            from due
            where t.id = due.id
            returning t.*, due.begins
        ),
        begun as (
            insert into attempts (transaction_id, fence) select id, fence from claimed where begins
        )
        select
            fence, attempts, verifications, doubt_since, doubt_window, begins,
            amount, currency, description, occurred_at, metadata, submitted_at, traceparent,
            clock_timestamp() as "claimed_at!"
        from claimed
        "#,
        id,
        worker,
        policy.max_attempts as i32,
        interval(policy.gives_up_within())?,
        purpose == Purpose::Post,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let claimed = Instant::now();
    let begun = row.begins.unwrap_or_default();
    let unreadable = |column| EngineError::Unreadable { id, column };
    // The attempt that was begun just now is not one that is in doubt already.
    let doubt = match (row.doubt_since, row.doubt_window.as_deref()) {
        (Some(_), Some(_)) if begun => None,
        (Some(since), Some("settle")) => Some(Doubt { since, window: Window::Settle }),
        (Some(since), Some("visibility")) => Some(Doubt { since, window: Window::Visibility }),
        (None, None) => None,
        _ => return Err(unreadable("doubt_window")),
    };
    Ok(Some(Claim {
        posting: Posting {
            id,
            amount: Amount::from_stored(row.amount),
            currency: Currency::parse(&row.currency).map_err(|_| unreadable("currency"))?,
            description: row.description,
            timestamp: row.occurred_at.unwrap_or(row.submitted_at),
            metadata: match row.metadata {
                None => None,
                Some(Value::Object(map)) => Some(map),
                Some(_) => return Err(unreadable("metadata")),
            },
            trace_parent: match row.traceparent {
                None => TraceParent::of_transaction(id),
                Some(text) => text.parse().map_err(|_| unreadable("traceparent"))?,
            },
        },
        fence: row.fence,
        progress: Progress {
            attempts: row.attempts.unsigned_abs(),
            begun,
            doubt,
            verifications: row.verifications.unsigned_abs(),
            claims: u32::try_from(row.fence).unwrap_or(u32::MAX),
        },
        asked,
        claimed_at: row.claimed_at,
        claimed,
    }))
}
