//! Questions about stored transactions.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use domain::{
    Attempt, Counts, Finding, Outcome, Page, Principal, State, Transaction, Verification,
};
use sqlx::{PgPool, Postgres, QueryBuilder};
use thiserror::Error;
use uuid::Uuid;

use crate::{EngineError, Filter, Gateway, row::Row};

/// The most transactions in one page.
pub const MAX_PAGE: u32 = 200;

/// Where in the list, newest first, a page begins: after this transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    submitted_at: DateTime<Utc>,
    id: Uuid,
}

impl Cursor {
    /// The place right after a transaction.
    pub(crate) fn after(transaction: &Transaction) -> Self {
        Self { submitted_at: transaction.submitted_at, id: transaction.transaction_id }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.submitted_at.timestamp_micros(), self.id.simple())
    }
}

/// The text is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a nextCursor that an earlier page gave")]
pub struct BadCursor;

impl FromStr for Cursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (micros, id) = text.split_once('_').ok_or(BadCursor)?;
        let submitted_at = micros.parse().ok().and_then(DateTime::from_timestamp_micros);
        Ok(Self {
            submitted_at: submitted_at.ok_or(BadCursor)?,
            id: id.parse().map_err(|_| BadCursor)?,
        })
    }
}

impl Gateway {
    /// One transaction, or `None` where there is none with this id.
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

    /// The transaction that has this reference of this principal's, or `None` where there is none.
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

    /// The transactions that pass `filter`, newest first, from `cursor` on; at most `limit` and
    /// [`MAX_PAGE`].
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn transactions(
        &self,
        filter: &Filter,
        cursor: Option<&Cursor>,
        limit: u32,
    ) -> Result<Page, EngineError> {
        let limit = limit.clamp(1, MAX_PAGE) as usize;
        // Built, so that each combination of filters is planned for itself.
        let mut query = QueryBuilder::<Postgres>::new(
            "select id, state, amount, currency, reference, idempotency_key, description, occurred_at,
                source_account, destination_account, metadata, submitted_at, completed_at, error,
                attempts, next_attempt_at
            from transactions where true",
        );
        filter.push(&mut query);
        if let Some(cursor) = cursor {
            query.push(" and (submitted_at, id) < (").push_bind(cursor.submitted_at);
            query.push(", ").push_bind(cursor.id).push(")");
        }
        // One more than asked for tells whether there is a next page.
        query.push(" order by submitted_at desc, id desc limit ").push_bind(limit as i64 + 1);
        let mut rows: Vec<Row> = query.build_query_as().fetch_all(&self.pool).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().map(|row| Cursor { submitted_at: row.submitted_at, id: row.id });
        Ok(Page {
            data: rows.into_iter().map(Transaction::try_from).collect::<Result<_, _>>()?,
            next_cursor: last.filter(|_| more).map(|cursor| cursor.to_string()),
        })
    }

    /// Every attempt of a transaction, first to last, each with the verifications after it.
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

    /// How many transactions are in each state, at one instant.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn counts(&self) -> Result<Counts, EngineError> {
        counts(&self.pool).await
    }

    /// Whether PostgreSQL answers.
    ///
    /// # Errors
    /// [`EngineError::Database`] where it does not.
    pub async fn ping(&self) -> Result<(), EngineError> {
        sqlx::query_scalar!(r#"select true as "alive!""#).fetch_one(&self.pool).await?;
        Ok(())
    }
}

pub async fn counts(pool: &PgPool) -> Result<Counts, EngineError> {
    let rows =
        sqlx::query!(r#"select state, count(*) as "count!" from transactions group by state"#)
            .fetch_all(pool)
            .await?;
    let mut counts = Counts::default();
    for row in rows {
        if let Ok(state) = row.state.parse::<State>() {
            *counts.of_mut(state) = row.count.unsigned_abs();
        }
    }
    Ok(counts)
}

fn outcome(id: Uuid, text: &str) -> Result<Outcome, EngineError> {
    let known = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    known.ok_or(EngineError::Unreadable { id, column: "outcome" })
}

fn finding(id: Uuid, text: &str) -> Result<Finding, EngineError> {
    let known = Finding::ALL.into_iter().find(|finding| finding.as_str() == text);
    known.ok_or(EngineError::Unreadable { id, column: "finding" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text() {
        let submitted_at = DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap();
        let cursor = Cursor { submitted_at, id: Uuid::now_v7() };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "_", "1_", "x_7c9e667974254", "99999999999999999999_0"] {
            assert_eq!(text.parse::<Cursor>(), Err(BadCursor), "{text}");
        }
    }
}
