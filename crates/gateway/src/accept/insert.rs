//! Storing submissions: those that arrive while earlier commits are in flight become one multi-row statement,
//! which inserts the transactions and their apalis jobs.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{Fingerprint, IdempotencyKey, Principal, Reference, Submission};
use futures::FutureExt;
use rust_decimal::Decimal;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    database::{
        Batcher, BatcherError, BatcherLimits, BoundedPool, CommitFault, is_caused_by_one_row,
    },
    job::{Job, POSTING, Queue},
    monitoring::Commits,
    wake_ups::WakeUps,
};

const BATCHER_LIMITS: BatcherLimits =
    BatcherLimits { max_queued: 4096, max_statements: 2, max_extra_statements: 2, max_calls: 256 };
/// How long a submission waits for its commit before it is looked up.
const ACCEPT_TIMEOUT: Duration = Duration::from_millis(1300);

/// A submission that is to be stored.
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

    fn reference(&self) -> Option<&str> {
        self.submission.reference.as_ref().map(Reference::as_str)
    }
}

/// The result of storing an entry.
pub enum Accepted {
    /// This call has stored it.
    New { submitted_at: DateTime<Utc> },
    /// A transaction with its id, its reference or its idempotency key exists already.
    Existing,
}

/// Why an entry is not known to be stored.
pub enum StoreError {
    /// The queue is full.
    Overloaded,
    /// PostgreSQL did not answer in time.
    TimedOut,
    /// PostgreSQL answered with an error.
    Database(Arc<sqlx::Error>),
}

/// Stores submissions in batches.
#[derive(Clone)]
pub struct Accept {
    batcher: Batcher<Entry, Accepted>,
    commits: Commits,
}

impl Accept {
    /// Every commit wakes the dispatchers, and `commits` learns how each one ended.
    pub fn new(pool: BoundedPool, wake_ups: WakeUps, commits: Commits) -> Self {
        let record = commits.clone();
        let batcher = Batcher::new(BATCHER_LIMITS, move |entries| {
            let (pool, wake_ups, commits) = (pool.clone(), wake_ups.clone(), record.clone());
            async move {
                metrics::histogram!("onceward_accept_batch_rows").record(entries.len() as f64);
                let accepted = insert_with_retry(&pool, entries).await;
                match &accepted {
                    Ok(_) => commits.record(Ok(())),
                    // It says nothing about other rows.
                    Err(error) if is_caused_by_one_row(error) => {}
                    Err(error) => commits.record(Err(CommitFault::of(error))),
                }
                wake_ups.new_job(Queue::Posting);
                accepted
            }
            .boxed()
        });
        Self { batcher, commits }
    }

    /// Stores an entry, together with the other queued ones.
    pub async fn store(&self, entry: Entry) -> Result<Accepted, StoreError> {
        match timeout(ACCEPT_TIMEOUT, self.batcher.call(entry)).await {
            Ok(Ok(accepted)) => Ok(accepted),
            Ok(Err(BatcherError::Full)) => Err(StoreError::Overloaded),
            Ok(Err(BatcherError::Database(error))) => Err(StoreError::Database(error)),
            Ok(Err(BatcherError::Abandoned)) => Err(StoreError::TimedOut),
            Err(_) => {
                // Its statement goes on, for longer than health may be wrong.
                self.commits.record(Err(CommitFault::TimedOut));
                Err(StoreError::TimedOut)
            }
        }
    }
}

/// Inserts the batch, and retries once if its connection was lost. The ids are fixed beforehand, so the retry
/// finds the rows that a commit whose answer was lost has stored. A deadlock is left to the batcher, which
/// retries the rows one by one: the insert of a single row holds no lock that another insert waits for.
async fn insert_with_retry(
    pool: &BoundedPool,
    batch: &[Entry],
) -> Result<Vec<Accepted>, sqlx::Error> {
    match insert(pool, batch).await {
        Err(error) if is_transient(&error) => {
            tracing::warn!(%error, rows = batch.len(), "retrying to store submissions");
            insert(pool, batch).await
        }
        result => result,
    }
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        // Its callers have timed out.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => false,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // The server is shutting down.
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P01"),
        _ => false,
    }
}

/// One statement, hence one database transaction.
async fn insert(pool: &BoundedPool, batch: &[Entry]) -> Result<Vec<Accepted>, sqlx::Error> {
    // Of several entries with one id only the first is inserted; the others are replays of it, or conflicts.
    let mut ids = HashSet::new();
    let are_first: Vec<bool> = batch.iter().map(|entry| ids.insert(entry.id)).collect();
    let firsts = batch.iter().zip(&are_first).filter(|(_, is_first)| **is_first);
    let mut entries: Vec<&Entry> = firsts.map(|(entry, _)| entry).collect();
    // Batches that share keys, references or ids take their locks in the same order.
    entries.sort_by_key(|entry| (entry.idempotency_key(), entry.reference(), entry.id));
    let texts = |of: fn(&Submission) -> Option<&str>| -> Vec<Option<&str>> {
        entries.iter().map(|entry| of(&entry.submission)).collect()
    };
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
    let principals: Vec<_> = entries.iter().map(|entry| entry.principal.as_str()).collect();
    let references: Vec<_> = entries.iter().map(|entry| entry.reference()).collect();
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
    // It belongs to a traceparent, and is stored only with one.
    let tracestates: Vec<_> = entries
        .iter()
        .map(|entry| {
            let submission = &entry.submission;
            let state = submission.trace_parent.and(submission.trace_state.as_ref());
            state.map(|state| state.as_str())
        })
        .collect();
    let fingerprints: Vec<_> = entries.iter().map(|entry| entry.fingerprint.as_bytes()).collect();
    let job_ids: Vec<_> = ids.iter().copied().map(Job::id_of).collect();

    let rows = sqlx::query!(
        r#"
        with given as (
            select * from unnest(
                $1::uuid[], $2::text[], $3::text[], $4::numeric[], $5::text[], $6::text[],
                $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::bytea[], $12::text[],
                $13::text[], $14::text[], $16::text[]
            ) as given (
                id, principal, reference, amount, currency, description,
                occurred_at, source_account, destination_account, metadata, fingerprint, job_id,
                idempotency_key, traceparent, tracestate
            )
        ),
        stored as (
            insert into transactions (
                id, principal, reference, amount, currency, description,
                occurred_at, source_account, destination_account, metadata, fingerprint,
                idempotency_key, traceparent, tracestate
            )
            select
                id, principal, reference, amount, currency, description,
                occurred_at, source_account, destination_account, metadata::json, fingerprint,
                idempotency_key, traceparent, tracestate
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
        &tracestates as &[Option<&str>],
    )
    .fetch_all(pool)
    .await?;
    let stored: HashMap<Uuid, DateTime<Utc>> =
        rows.into_iter().map(|row| (row.id, row.submitted_at)).collect();
    let answers =
        batch.iter().zip(are_first).map(|(entry, is_first)| match stored.get(&entry.id) {
            Some(&submitted_at) if is_first => Accepted::New { submitted_at },
            _ => Accepted::Existing,
        });
    Ok(answers.collect())
}
