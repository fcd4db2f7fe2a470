//! Accepting: whatever arrives while the last commits are under way becomes one multi-row statement,
//! which inserts the transactions and their apalis jobs.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{Fingerprint, IdempotencyKey, Principal, Submission};
use futures::FutureExt;
use rust_decimal::Decimal;
use tokio::{sync::Notify, time::timeout};
use uuid::Uuid;

use crate::{
    database::batcher::{Batcher, BatcherError, BatcherLimits},
    database::bounded_pool::BoundedPool,
    job::{Job, POSTING},
};

const BOUNDS: BatcherLimits =
    BatcherLimits { waiting: 4096, statements: 2, further: 2, calls: 256 };
/// How long a submission waits for its commit before its client is told to come again.
const WAIT: Duration = Duration::from_millis(1500);

/// A submission on its way into the table.
pub struct Entry {
    pub id: Uuid,
    pub principal: Principal,
    pub submission: Submission,
    pub fingerprint: Fingerprint,
}

impl Entry {
    fn idempotency_key(&self) -> Option<&str> {
        self.submission.idempotency_key.as_ref().map(IdempotencyKey::as_str)
    }
}

/// What became of an entry.
pub enum Accepted {
    /// It is stored, by this call.
    New { submitted_at: DateTime<Utc> },
    /// The table has its id, its reference or its key already.
    Existing,
}

/// Why an entry was not stored, as far as is known.
pub enum Refusal {
    /// Too many are waiting.
    Overloaded,
    /// PostgreSQL did not answer in time.
    TimedOut,
    /// PostgreSQL answered with an error.
    Database(Arc<sqlx::Error>),
}

/// The way into the group commit.
#[derive(Clone)]
pub struct Accept(Batcher<Entry, Accepted>);

impl Accept {
    /// `wake` is told of every commit.
    pub fn new(pool: BoundedPool, wake: Arc<Notify>) -> Self {
        Self(Batcher::new(BOUNDS, move |entries| {
            let (pool, wake) = (pool.clone(), wake.clone());
            async move {
                metrics::histogram!("onceward_accept_batch_rows").record(entries.len() as f64);
                let accepted = insert_retrying(&pool, entries).await;
                wake.notify_one();
                accepted
            }
            .boxed()
        }))
    }

    /// Stores an entry, together with whatever else is waiting.
    pub async fn store(&self, entry: Entry) -> Result<Accepted, Refusal> {
        match timeout(WAIT, self.0.call(entry)).await {
            Ok(Ok(accepted)) => Ok(accepted),
            Ok(Err(BatcherError::Full)) => Err(Refusal::Overloaded),
            Ok(Err(BatcherError::Database(error))) => Err(Refusal::Database(error)),
            Ok(Err(BatcherError::Abandoned)) | Err(_) => Err(Refusal::TimedOut),
        }
    }
}

/// Inserts the batch, and once more where its connection was lost. Ids are fixed before, so what a commit
/// whose answer was lost did store is found. The victim of a deadlock is left to the group, which takes its
/// rows one by one: whoever inserts a single row holds nothing that others wait for.
async fn insert_retrying(
    pool: &BoundedPool,
    entries: &[Entry],
) -> Result<Vec<Accepted>, sqlx::Error> {
    match insert(pool, entries).await {
        Err(error) if is_passing(&error) => {
            tracing::warn!(%error, rows = entries.len(), "storing once more");
            insert(pool, entries).await
        }
        result => result,
    }
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        // Whoever waited for it was told so.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => false,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // The server is shutting down.
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P01"),
        _ => false,
    }
}

/// One statement, hence one database transaction.
async fn insert(pool: &BoundedPool, given: &[Entry]) -> Result<Vec<Accepted>, sqlx::Error> {
    // Of those with one id the first is given; the others are repetitions of it, or conflicts.
    let mut ids = HashSet::new();
    let are_first: Vec<bool> = given.iter().map(|entry| ids.insert(entry.id)).collect();
    let firsts = given.iter().zip(&are_first).filter(|(_, is_first)| **is_first);
    let mut entries: Vec<&Entry> = firsts.map(|(entry, _)| entry).collect();
    // Two batches that share keys, references or ids take their locks in the same order.
    entries.sort_by_key(|entry| {
        (entry.idempotency_key(), entry.submission.reference.as_deref(), entry.id)
    });
    let texts = |of: fn(&Submission) -> Option<&str>| -> Vec<Option<&str>> {
        entries.iter().map(|entry| of(&entry.submission)).collect()
    };
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
    let principals: Vec<_> = entries.iter().map(|entry| entry.principal.as_str()).collect();
    let references = texts(|submission| submission.reference.as_deref());
    let keys: Vec<_> = entries.iter().map(|entry| entry.idempotency_key()).collect();
    let amounts: Vec<Decimal> =
        entries.iter().map(|entry| entry.submission.amount.as_decimal()).collect();
    let currencies = texts(|submission| Some(submission.currency.code()));
    let descriptions = texts(|submission| submission.description.as_deref());
    let occurred_ats: Vec<_> = entries.iter().map(|entry| entry.submission.timestamp).collect();
    let source_accounts = texts(|submission| submission.source_account.as_deref());
    let destination_accounts = texts(|submission| submission.destination_account.as_deref());
    let metadata: Vec<Option<String>> = entries
        .iter()
        .map(|entry| entry.submission.metadata.as_ref().map(serde_json::to_string).transpose())
        .collect::<Result<_, _>>()
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    let traceparents: Vec<_> = entries
        .iter()
        .map(|entry| entry.submission.trace_parent.map(|trace| trace.to_string()))
        .collect();
    let fingerprints: Vec<_> = entries.iter().map(|entry| entry.fingerprint.as_bytes()).collect();
    let job_ids: Vec<_> = ids.iter().copied().map(Job::id_of).collect();

    let rows = sqlx::query!(
        r#"
        with given as (
            select * from unnest(
                $1::uuid[], $2::text[], $3::text[], $4::numeric[], $5::text[], $6::text[],
                $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::bytea[], $12::text[],
                $13::text[], $14::text[]
            ) as given (
                id, principal, reference, amount, currency, description,
                occurred_at, source_account, destination_account, metadata, fingerprint, job_id,
                idempotency_key, traceparent
            )
        ),
        stored as (
            insert into transactions (
                id, principal, reference, amount, currency, description,
                occurred_at, source_account, destination_account, metadata, fingerprint,
                idempotency_key, traceparent
            )
            select
                id, principal, reference, amount, currency, description,
                occurred_at, source_account, destination_account, metadata::json, fingerprint,
                idempotency_key, traceparent
            from given
            on conflict do nothing
            returning id, submitted_at
        ),
        jobs as (
            insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
            select
                given.job_id, $15, convert_to('"' || stored.id || '"', 'UTF8'), 'Pending', 0, 1, now(), 0
            from stored
            join given on given.id = stored.id
        )
        select id as "id!", submitted_at as "submitted_at!" from stored
        "#,
        &ids,
        &principals as &[&str],
        &references as &[Option<&str>],
        &amounts,
        &currencies as &[Option<&str>],
        &descriptions as &[Option<&str>],
        &occurred_ats as &[Option<DateTime<Utc>>],
        &source_accounts as &[Option<&str>],
        &destination_accounts as &[Option<&str>],
        &metadata as &[Option<String>],
        &fingerprints as &[&[u8]],
        &job_ids,
        &keys as &[Option<&str>],
        &traceparents as &[Option<String>],
        POSTING,
    )
    .fetch_all(pool)
    .await?;
    let stored: HashMap<Uuid, DateTime<Utc>> =
        rows.into_iter().map(|row| (row.id, row.submitted_at)).collect();
    let answers =
        given.iter().zip(are_first).map(|(entry, is_first)| match stored.get(&entry.id) {
            Some(&submitted_at) if is_first => Accepted::New { submitted_at },
            _ => Accepted::Existing,
        });
    Ok(answers.collect())
}
