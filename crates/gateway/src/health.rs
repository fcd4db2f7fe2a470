//! How the whole is doing, from the tables alone: every process gives the same answer.

use serde::Serialize;

use crate::{Gateway, QueryError};

/// A transaction that has been due for this long says that posting does not keep up.
const LATE_SECONDS: f64 = 60.0;
/// A share of failed attempts above this says that the posting service is in trouble.
const MANY_ERRORS: f64 = 0.5;

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is well.
    Healthy,
    /// Transactions are accepted, but posting them is late, or most attempts fail.
    Degraded,
    /// Transactions cannot be accepted.
    Unhealthy,
}

/// What `GET /api/health` says of the engine.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The verdict.
    pub status: Status,
    /// Transactions that wait for a worker.
    pub queue_depth: u64,
    /// Transactions that a worker has claimed.
    pub in_flight: u64,
    /// Of those that wait, the ones that had an attempt before.
    pub retry_count: u64,
    /// Transactions whose outcome is unknown with no attempts left.
    pub in_doubt: u64,
    /// Of the attempts that ended in the last minute, the share that did not post, from 0 to 1.
    pub error_rate: f64,
    /// For how long the transaction that has been due for longest has been due.
    pub oldest_pending_seconds: f64,
}

impl Health {
    /// What is said where PostgreSQL does not answer.
    pub fn unreachable() -> Self {
        Self {
            status: Status::Unhealthy,
            queue_depth: 0,
            in_flight: 0,
            retry_count: 0,
            in_doubt: 0,
            error_rate: 0.0,
            oldest_pending_seconds: 0.0,
        }
    }
}

impl Gateway {
    /// How the engine is doing.
    ///
    /// # Errors
    /// See [`QueryError`]; [`Health::unreachable`] is the answer then.
    pub async fn health(&self) -> Result<Health, QueryError> {
        let waiting = sqlx::query!(
            r#"select
                count(*) filter (where state = 'pending') as "queue_depth!",
                count(*) filter (where claimed_by is not null) as "in_flight!",
                count(*) filter (where state = 'pending' and fence > 0) as "retry_count!",
                count(*) filter (where state = 'in_doubt') as "in_doubt!",
                coalesce(extract(epoch from
                    clock_timestamp() - min(next_attempt_at) filter (where state = 'pending')
                ), 0)::float8 as "oldest_pending_seconds!"
            from transactions
            where state in ('pending', 'processing', 'in_doubt')"#
        )
        .fetch_one(&self.pool)
        .await?;
        let error_rate = sqlx::query_scalar!(
            r#"select coalesce(avg((outcome <> 'posted')::int), 0)::float8 as "error_rate!"
            from attempts
            where started_at > now() - interval '2 minutes' and ended_at > now() - interval '1 minute'"#
        )
        .fetch_one(&self.pool)
        .await?;
        let oldest_pending_seconds = waiting.oldest_pending_seconds.max(0.0);
        let degraded = oldest_pending_seconds > LATE_SECONDS || error_rate > MANY_ERRORS;
        Ok(Health {
            status: if degraded { Status::Degraded } else { Status::Healthy },
            queue_depth: waiting.queue_depth.unsigned_abs(),
            in_flight: waiting.in_flight.unsigned_abs(),
            retry_count: waiting.retry_count.unsigned_abs(),
            in_doubt: waiting.in_doubt.unsigned_abs(),
            error_rate,
            oldest_pending_seconds,
        })
    }
}
