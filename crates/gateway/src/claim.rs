//! Claiming a transaction: from here until its fence is raised again it is one worker's.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Amount, Currency, Window,
    protocol::{Doubt, Policy, Progress},
};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{EngineError, database::interval, posting::Posting};

/// A claimed transaction.
#[derive(Debug)]
pub struct Claim {
    /// What to post.
    pub posting: Posting,
    /// The number that every further change must know.
    pub fence: i64,
    /// What is known of its way so far.
    pub progress: Progress,
    /// Whether the claim has begun an attempt, in the same commit.
    pub attempt_begun: bool,
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

/// Claims a transaction that is due, for a worker; `None` where it is not there, not due, or claimed.
///
/// Where no earlier attempt may have reached the posting service and one is left, the next step can
/// only be a POST: its attempt is written and counted in the same statement.
pub async fn claim(
    pool: &PgPool,
    id: Uuid,
    worker: Uuid,
    policy: &Policy,
) -> Result<Option<Claim>, EngineError> {
    let row = sqlx::query!(
        r#"
        with claimed as (
            update transactions set
                state = case state when 'pending' then 'processing' else state end,
                fence = fence + 1,
                claimed_by = $2,
                attempts = attempts + case when doubt_since is null and attempts < $3 then 1 else 0 end,
                next_attempt_at = null,
                changed_in = current_change()
            where id = $1
                and state in ('pending', 'in_doubt')
                and claimed_by is null
                and next_attempt_at <= clock_timestamp()
            returning *
        ),
        -- What the update did: counted where there was no doubt and an attempt was left before.
        begun as (
            insert into attempts (transaction_id, fence, gives_up_at)
            select claimed.id, claimed.fence, clock_timestamp() + $4
            from claimed
            join transactions before on before.id = claimed.id
            where before.attempts < claimed.attempts
            returning fence
        )
        select
            fence, attempts, verifications, lost_claims, doubt_since, doubt_window,
            amount, currency, description, occurred_at, metadata, submitted_at,
            clock_timestamp() as "claimed_at!",
            exists (select from begun) as "attempt_begun!"
        from claimed
        "#,
        id,
        worker,
        policy.max_attempts as i32,
        interval(policy.timeout)?,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let claimed = Instant::now();
    let unreadable = |column| EngineError::Unreadable { id, column };
    let doubt = match (row.doubt_since, row.doubt_window.as_deref()) {
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
        },
        fence: row.fence,
        progress: Progress {
            attempts: row.attempts.unsigned_abs(),
            doubt,
            verifications: row.verifications.unsigned_abs(),
            lost_claims: row.lost_claims.unsigned_abs(),
        },
        attempt_begun: row.attempt_begun,
        claimed_at: row.claimed_at,
        claimed,
    }))
}
