//! Queries for one transaction. Those for many are in `list.rs` and `export.rs`.

use domain::{Attempt, Finding, Outcome, Principal, Transaction, Verification};
use uuid::Uuid;

use super::row::Row;
use crate::{EngineError, Gateway};

impl Gateway {
    /// The transaction with this id, or `None` if there is none.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn transaction(&self, id: Uuid) -> Result<Option<Transaction>, EngineError> {
        let row = sqlx::query_as!(
            Row,
            r#"select id, state, amount, currency, reference, idempotency_key, description, occurred_at,
                source_account, destination_account, metadata, submitted_at, completed_at, error,
                attempts, next_attempt_at
            from transactions where id = $1"#,
            id,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Transaction::try_from).transpose()
    }

    /// The transaction with this reference of this principal, or `None` if there is none.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn transaction_of_reference(
        &self,
        principal: &Principal,
        reference: &str,
    ) -> Result<Option<Transaction>, EngineError> {
        let row = sqlx::query_as!(
            Row,
            r#"select id, state, amount, currency, reference, idempotency_key, description, occurred_at,
                source_account, destination_account, metadata, submitted_at, completed_at, error,
                attempts, next_attempt_at
            from transactions where principal = $1 and reference = $2"#,
            principal.as_str(),
            reference,
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Transaction::try_from).transpose()
    }

    /// All attempts of a transaction, first to last, each with the verifications that followed it.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn attempts(&self, id: Uuid) -> Result<Vec<Attempt>, EngineError> {
        let rows = sqlx::query!(
            r#"select a.fence, a.started_at, a.ended_at, a.outcome, a.http_status,
                a.transport_error, a.answer_excerpt,
                v.started_at as "verified_from?", v.ended_at as "verified_to?",
                v.finding as "finding?", v.http_status as verification_status,
                v.error as verification_error
            from attempts a
            left join verifications v on v.transaction_id = a.transaction_id and v.fence = a.fence
            where a.transaction_id = $1
            order by a.fence, v.id"#,
            id,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut fence = None;
        for row in rows {
            if fence.replace(row.fence) != Some(row.fence) {
                attempts.push(Attempt {
                    number: attempts.len() as u32 + 1,
                    started_at: row.started_at,
                    ended_at: row.ended_at,
                    outcome: row.outcome.map(|text| outcome(id, &text)).transpose()?,
                    http_status: row.http_status.and_then(|status| status.try_into().ok()),
                    transport_error: row.transport_error,
                    answer_excerpt: row.answer_excerpt,
                    verifications: Vec::new(),
                });
            }
            if let (Some(attempt), Some(started_at), Some(ended_at), Some(text)) =
                (attempts.last_mut(), row.verified_from, row.verified_to, row.finding)
            {
                attempt.verifications.push(Verification {
                    started_at,
                    ended_at,
                    finding: finding(id, &text)?,
                    http_status: row.verification_status.and_then(|status| status.try_into().ok()),
                    error: row.verification_error,
                });
            }
        }
        Ok(attempts)
    }

    /// Whether PostgreSQL answers.
    ///
    /// # Errors
    /// [`EngineError::Database`] if it does not.
    pub async fn ping(&self) -> Result<(), EngineError> {
        sqlx::query_scalar!(r#"select true as "alive!""#).fetch_one(&self.pool).await?;
        Ok(())
    }
}

fn outcome(id: Uuid, text: &str) -> Result<Outcome, EngineError> {
    let known = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    known.ok_or(EngineError::Unreadable { id, column: "outcome" })
}

fn finding(id: Uuid, text: &str) -> Result<Finding, EngineError> {
    let known = Finding::ALL.into_iter().find(|finding| finding.as_str() == text);
    known.ok_or(EngineError::Unreadable { id, column: "finding" })
}
