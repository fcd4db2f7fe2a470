//! Accepting a transaction: it is committed before the answer, and stored once however often it is sent.

use std::{sync::Arc, time::Duration};

use domain::{
    Fingerprint, IdempotencyKey, Principal, Reference, Scope, State, Submission, Transaction,
};
use thiserror::Error;
use tokio::{sync::Semaphore, time::timeout};
use uuid::Uuid;

use super::insert::{Accepted, Entry, StoreError};
use crate::{CommitFault, EngineError, Gateway};

/// How long a submission whose commit timed out is looked for. Its client is answered within two seconds.
const LOOK_UP_TIMEOUT: Duration = Duration::from_millis(200);
/// The look-ups at once. Each that is not answered costs a connection.
static LOOK_UPS: Semaphore = Semaphore::const_new(4);

/// The result of a submission.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// The transaction as it was when it was stored, regardless of later changes.
    pub transaction: Transaction,
    /// Whether an earlier submission stored it.
    pub replayed: bool,
}

/// Why a submission was not accepted.
#[derive(Debug, Error)]
pub enum SubmitError {
    /// Another transaction, with other content or another idempotency key, has the same id or reference.
    #[error("another transaction has this {}", pointer.trim_start_matches('/'))]
    Conflict {
        /// JSON pointer to the field that is taken: `/id` or `/reference`.
        pointer: &'static str,
    },
    /// The idempotency key is that of a transaction with other content, or another id.
    #[error("this idempotency key was used before, with other content or another id")]
    KeyReused,
    /// Too many submissions are queued.
    #[error("too many submissions are waiting; try again shortly")]
    Overloaded,
    /// PostgreSQL did not confirm in time, or refused. The transaction may be stored under this id; sending
    /// it again with this id is safe.
    #[error("{}; it is safe to send it again with the id {id}", unconfirmed(source.as_deref()))]
    Unconfirmed {
        /// The client's id, or the generated one.
        id: Uuid,
        /// The error, if PostgreSQL answered with one.
        source: Option<Arc<sqlx::Error>>,
    },
    /// The table could not be read.
    #[error(transparent)]
    Query(#[from] EngineError),
}

/// Why a submission is not confirmed, for its client.
fn unconfirmed(source: Option<&sqlx::Error>) -> &'static str {
    match source.map(CommitFault::of) {
        Some(fault) if fault.is_refusal() => fault.reason(),
        _ => "the database did not confirm in time",
    }
}

impl SubmitError {
    /// Why PostgreSQL did not store it, if PostgreSQL is the cause.
    pub fn fault(&self) -> Option<CommitFault> {
        match self {
            Self::Unconfirmed { source, .. } => {
                Some(source.as_deref().map_or(CommitFault::TimedOut, CommitFault::of))
            }
            Self::Query(EngineError::Database(error)) => Some(CommitFault::of(error)),
            _ => None,
        }
    }

    /// Whether the same submission may succeed later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::KeyReused => false,
            Self::Overloaded | Self::Unconfirmed { .. } => true,
            Self::Query(error) => error.retryable(),
        }
    }
}

impl Gateway {
    /// Stores a transaction and its job in one commit, and returns after that commit.
    ///
    /// A submission that repeats another one, by its idempotency key, its id or its reference, is answered
    /// like the first one if the content is the same.
    ///
    /// # Errors
    /// [`SubmitError::KeyReused`] and [`SubmitError::Conflict`] if the content differs; for the others
    /// see [`SubmitError`].
    pub async fn submit(
        &self,
        principal: &Principal,
        mut submission: Submission,
    ) -> Result<Submitted, SubmitError> {
        if let Some(stored) = self.reference_as_stored(principal, &submission).await? {
            submission.reference = Some(stored);
        }
        let fingerprint = Fingerprint::of(&submission);
        let id = submission.id.unwrap_or_else(Uuid::now_v7);
        // A second try, if the conflicting row has disappeared when it is read.
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
                        reference: submission.reference.map(Reference::into_string),
                        idempotency_key: submission.idempotency_key,
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
                    let found = self.find_replayed(id, principal, &submission).await?;
                    if let Some(transaction) = found {
                        return Ok(accepted(transaction, true));
                    }
                }
                Err(StoreError::Overloaded) => return Err(SubmitError::Overloaded),
                Err(StoreError::TimedOut) => {
                    // It may be committed all the same: only its answer may be late, or lost.
                    let found = timeout(LOOK_UP_TIMEOUT, async {
                        let _permit = LOOK_UPS.acquire().await;
                        self.find_replayed(id, principal, &submission).await
                    });
                    return match found.await {
                        Ok(Ok(Some(transaction))) => {
                            // An id of ours cannot have been stored earlier.
                            let is_new =
                                submission.id.is_none() && transaction.transaction_id == id;
                            Ok(accepted(transaction, !is_new))
                        }
                        Ok(Err(refused)) if !refused.retryable() => Err(refused),
                        _ => Err(SubmitError::Unconfirmed { id, source: None }),
                    };
                }
                Err(StoreError::Database(error)) => {
                    return Err(SubmitError::Unconfirmed { id, source: Some(error) });
                }
            }
        }
        Err(SubmitError::Unconfirmed { id, source: None })
    }

    /// The reference of the transaction that was stored with exactly the text that was sent, before references had
    /// one form. It stays as it is, and its repetition must find it. Nothing is read for a reference that was sent in
    /// its one form, as nearly all are.
    async fn reference_as_stored(
        &self,
        principal: &Principal,
        submission: &Submission,
    ) -> Result<Option<Reference>, EngineError> {
        let Some(sent) = submission.reference.as_ref().and_then(Reference::sent_otherwise) else {
            return Ok(None);
        };
        let stored = self.transaction_stored_as(principal, sent).await?;
        Ok(stored.map(|_| Reference::as_stored(sent.to_owned())))
    }

    /// The transaction that this submission repeats, as it was first answered; `None` if it has disappeared
    /// meanwhile.
    async fn find_replayed(
        &self,
        id: Uuid,
        principal: &Principal,
        submission: &Submission,
    ) -> Result<Option<Transaction>, SubmitError> {
        let taken = sqlx::query!(
            r#"select id, principal, fingerprint,
                coalesce(principal = $2 and idempotency_key = $4, false) as "has_the_key!"
             from transactions
             where id = $1
                or (principal = $2 and reference = $3)
                or (principal = $2 and idempotency_key = $4)
             order by 4 desc, (id = $1) desc"#,
            id,
            principal.as_str(),
            submission.reference.as_ref().map(Reference::as_str),
            submission.idempotency_key.as_ref().map(IdempotencyKey::as_str),
        )
        .fetch_all(&self.pool)
        .await
        .map_err(EngineError::from)?;
        let Some(row) = taken.first() else { return Ok(None) };
        // If the client chose an id, only the transaction with that id can be the same: one that is found by
        // the reference or the key, and has another id, is a different transaction.
        let same = Fingerprint::is_repeated(&row.fingerprint, submission)
            && row.principal == principal.as_str()
            && (row.id == id || submission.id.is_none());
        if row.has_the_key && !same {
            return Err(SubmitError::KeyReused);
        }
        // A key that was accepted must be found later: it is stored with its transaction, or not accepted.
        let other_key = submission.idempotency_key.is_some() && !row.has_the_key;
        if !same || other_key || taken.len() > 1 {
            let pointer = if row.id == id { "/id" } else { "/reference" };
            return Err(SubmitError::Conflict { pointer });
        }
        Ok(self.transaction(&Scope::All, row.id).await?.map(Transaction::as_accepted))
    }
}

fn accepted(transaction: Transaction, replayed: bool) -> Submitted {
    let result = if replayed { "replayed" } else { "new" };
    metrics::counter!("onceward_accepted_total", "result" => result).increment(1);
    Submitted { transaction, replayed }
}
