//! Accepting a transaction: stored and committed before the answer, once however often it is sent.

use std::sync::Arc;

use domain::{Fingerprint, Principal, State, Submission, Transaction};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    EngineError, Gateway,
    accept::{Accepted, Entry, Refusal},
};

/// What a submission led to.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The stored transaction.
    pub transaction: Transaction,
    /// Whether an earlier submission had stored it.
    pub replayed: bool,
}

/// Why a submission was not accepted.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// Another transaction, with other content, has the same id or reference.
    #[error("another transaction with other content has this {}", pointer.trim_start_matches('/'))]
    Conflict {
        /// JSON pointer to the field that is taken: `/id` or `/reference`.
        pointer: &'static str,
    },
    /// Too many submissions are waiting.
    #[error("too many submissions are waiting; try again shortly")]
    Overloaded,
    /// PostgreSQL did not confirm in time. The transaction may be stored under this id; sending it
    /// again with it is safe.
    #[error("the database did not confirm in time; it is safe to send it again with the id {id}")]
    Unconfirmed {
        /// The client's id, or the one that was made for it.
        id: Uuid,
        /// What PostgreSQL said, if anything.
        source: Option<Arc<sqlx::Error>>,
    },
    /// The table could not be read.
    #[error(transparent)]
    Query(#[from] EngineError),
}

impl SubmitError {
    /// Whether the same submission may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } => false,
            Self::Overloaded | Self::Unconfirmed { .. } => true,
            Self::Query(error) => error.retryable(),
        }
    }
}

impl Gateway {
    /// Stores a transaction and its job in one commit, and answers when that commit has returned.
    ///
    /// A submission whose id is in the table, or which has none and whose reference is, answers
    /// with that transaction where the content is the same.
    ///
    /// # Errors
    /// [`SubmitError::Conflict`] where the content is another one; otherwise see [`SubmitError`].
    pub async fn submit(
        &self,
        principal: &Principal,
        submission: Submission,
    ) -> Result<Submitted, SubmitError> {
        let fingerprint = Fingerprint::of(&submission);
        let id = submission.id.unwrap_or_else(Uuid::now_v7);
        // Once more where the row that was in the way is gone when we look at it.
        for _ in 0..2 {
            let entry = Entry {
                id,
                principal: principal.clone(),
                submission: submission.clone(),
                fingerprint,
            };
            match self.accept.store(entry).await {
                Ok(Accepted::New { submitted_at }) => {
                    let transaction = Transaction {
                        transaction_id: id,
                        status: State::Pending,
                        amount: submission.amount,
                        currency: submission.currency,
                        reference: submission.reference,
                        description: submission.description,
                        timestamp: submission.timestamp,
                        source_account: submission.source_account,
                        destination_account: submission.destination_account,
                        metadata: submission.metadata,
                        submitted_at,
                        completed_at: None,
                        error: None,
                        attempts: 0,
                        next_attempt_at: Some(submitted_at),
                    };
                    return Ok(accepted(transaction, false));
                }
                Ok(Accepted::Existing) => {
                    let found = self.same(id, principal, &submission, &fingerprint).await?;
                    if let Some(transaction) = found {
                        return Ok(accepted(transaction, true));
                    }
                }
                Err(Refusal::Overloaded) => return Err(SubmitError::Overloaded),
                Err(Refusal::TimedOut) => {
                    return Err(SubmitError::Unconfirmed { id, source: None });
                }
                Err(Refusal::Database(error)) => {
                    return Err(SubmitError::Unconfirmed { id, source: Some(error) });
                }
            }
        }
        Err(SubmitError::Unconfirmed { id, source: None })
    }

    /// The stored transaction that a submission repeats; `None` where it is gone meanwhile.
    async fn same(
        &self,
        id: Uuid,
        principal: &Principal,
        submission: &Submission,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Transaction>, SubmitError> {
        let taken = sqlx::query!(
            "select id, principal, fingerprint from transactions
             where id = $1 or (principal = $2 and reference = $3)
             order by (id = $1) desc",
            id,
            principal.as_str(),
            submission.reference.as_deref(),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(EngineError::from)?;
        let Some(row) = taken.first() else { return Ok(None) };
        let pointer = if row.id == id { "/id" } else { "/reference" };
        // A chosen id is a promise that it is this one; the reference then names another.
        let other_id = row.id != id && submission.id.is_some();
        let same = row.fingerprint == fingerprint.as_bytes() && row.principal == principal.as_str();
        if !same || other_id || taken.len() > 1 {
            return Err(SubmitError::Conflict { pointer });
        }
        Ok(self.transaction(row.id).await?)
    }
}

fn accepted(transaction: Transaction, replayed: bool) -> Submitted {
    let result = if replayed { "replayed" } else { "new" };
    metrics::counter!("onceward_accepted_total", "result" => result).increment(1);
    Submitted { transaction, replayed }
}
