//! The attempts of a transaction, each with the verifications after it. Both may be many while the posting service is
//! away, so both are read in bounded parts.

use domain::{Attempt, Finding, Outcome, Verification};
use uuid::Uuid;

use crate::{EngineError, Gateway};

/// The maximum number of attempts in a page.
pub const MAX_ATTEMPTS_PAGE: u32 = 200;
/// Runs of verifications that are read for an attempt: the latest.
const VERIFICATIONS_OF_ATTEMPT: i64 = 50;

impl Gateway {
    /// A page of the attempts of a transaction, first to last: at most `limit`, after attempt number `after`.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn attempts(
        &self,
        id: Uuid,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Attempt>, EngineError> {
        let rows = sqlx::query!(
            r#"select a.fence, a.started_at, a.ended_at, a.outcome, a.http_status,
                a.transport_error, a.answer_excerpt, n.verification_count as "verification_count!",
                v.started_at as "verified_from?", v.ended_at as "verified_to?",
                v.first_started_at as "first_verified_from?", v.count as "count?",
                v.finding as "finding?", v.http_status as "verification_status?",
                v.error as "verification_error?"
            from (
                select * from attempts where transaction_id = $1 order by fence offset $2 limit $3
            ) a
            cross join lateral (
                select coalesce(sum(count), 0)::bigint as verification_count from verifications
                where transaction_id = a.transaction_id and fence = a.fence
            ) n
            left join lateral (
                select * from verifications
                where transaction_id = a.transaction_id and fence = a.fence
                order by id desc limit $4
            ) v on true
            order by a.fence, v.id"#,
            id,
            i64::from(after),
            i64::from(limit),
            VERIFICATIONS_OF_ATTEMPT,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut fence = None;
        for row in rows {
            if fence.replace(row.fence) != Some(row.fence) {
                attempts.push(Attempt {
                    number: after.saturating_add(attempts.len() as u32 + 1),
                    started_at: row.started_at,
                    ended_at: row.ended_at,
                    outcome: row.outcome.map(|text| outcome(&text)),
                    http_status: row.http_status.and_then(|status| status.try_into().ok()),
                    transport_error: row.transport_error,
                    answer_excerpt: row.answer_excerpt,
                    verifications: Vec::new(),
                    verification_count: row.verification_count.unsigned_abs(),
                });
            }
            if let (Some(attempt), Some(started_at), Some(ended_at), Some(text)) =
                (attempts.last_mut(), row.verified_from, row.verified_to, row.finding)
            {
                attempt.verifications.push(Verification {
                    started_at,
                    ended_at,
                    first_started_at: row.first_verified_from.unwrap_or(started_at),
                    count: row.count.map_or(1, i32::unsigned_abs),
                    finding: finding(&text),
                    http_status: row.verification_status.and_then(|status| status.try_into().ok()),
                    error: row.verification_error,
                });
            }
        }
        Ok(attempts)
    }

    /// The latest attempts of a transaction, first to last: at most `limit`. The number of the first shows whether
    /// there are earlier ones.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn latest_attempts(&self, id: Uuid, limit: u32) -> Result<Vec<Attempt>, EngineError> {
        let count = sqlx::query_scalar!(
            r#"select count(*) as "count!" from attempts where transaction_id = $1"#,
            id,
        )
        .fetch_one(&self.pool)
        .await?;
        let after = u32::try_from(count).unwrap_or(u32::MAX).saturating_sub(limit);
        // One more may have begun meanwhile.
        self.attempts(id, after, limit.saturating_add(1)).await
    }
}

/// One that a later version has written is unknown to this one.
fn outcome(text: &str) -> Outcome {
    let known = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    known.unwrap_or(Outcome::Unknown)
}

/// One that a later version has written proves nothing to this one.
fn finding(text: &str) -> Finding {
    let known = Finding::ALL.into_iter().find(|finding| finding.as_str() == text);
    known.unwrap_or(Finding::Failed)
}
