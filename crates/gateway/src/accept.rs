//! The group commit. Whatever arrives while the last commits are under way becomes one multi-row
//! statement, which inserts the transactions and their apalis jobs. A lone submission commits at
//! once: there is no timer.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{Fingerprint, IdempotencyKey, Principal, Submission};
use rust_decimal::Decimal;
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    time::timeout,
};
use uuid::Uuid;

use crate::{
    bounded_pool::BoundedPool,
    job::{Job, POSTING},
};

/// Submissions that may wait for a commit. Beyond that the answer is "overloaded", at once.
const QUEUE_LENGTH: usize = 4096;
/// Rows in one statement at most.
const BATCH: usize = 256;
/// Commits under way at once.
const COMMITTERS: usize = 3;
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

/// The rows that a statement stored, by id.
type Stored = HashMap<Uuid, StoredRow>;

/// What tells whose row it is, where several entries of a batch have the same id.
struct StoredRow {
    principal: String,
    fingerprint: Vec<u8>,
    idempotency_key: Option<String>,
    submitted_at: DateTime<Utc>,
}

impl StoredRow {
    fn is_of(&self, entry: &Entry) -> bool {
        self.principal == entry.principal.as_str()
            && self.fingerprint == entry.fingerprint.as_bytes()
            && self.idempotency_key.as_deref() == entry.idempotency_key()
    }
}

struct Waiting {
    entry: Entry,
    answer: oneshot::Sender<Result<Accepted, Refusal>>,
}

/// The way into the group commit.
#[derive(Clone)]
pub struct Accept {
    queue: mpsc::Sender<Waiting>,
}

impl Accept {
    /// Starts the committers. They end when the last clone of this is dropped.
    pub fn start(pool: BoundedPool, wake: Arc<Notify>) -> Self {
        let (queue, arrivals) = mpsc::channel(QUEUE_LENGTH);
        let arrivals = Arc::new(Mutex::new(arrivals));
        for _ in 0..COMMITTERS {
            tokio::spawn(commit_arrivals(pool.clone(), arrivals.clone(), wake.clone()));
        }
        Self { queue }
    }

    /// Stores an entry, together with whatever else is waiting.
    pub async fn store(&self, entry: Entry) -> Result<Accepted, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { entry, answer }).map_err(|_| Refusal::Overloaded)?;
        match timeout(WAIT, answered).await {
            Ok(Ok(result)) => result,
            // The committer is gone (Ok(Err)), or PostgreSQL does not answer.
            _ => Err(Refusal::TimedOut),
        }
    }
}

async fn commit_arrivals(
    pool: BoundedPool,
    arrivals: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    wake: Arc<Notify>,
) {
    loop {
        let mut batch = Vec::new();
        // The lock is held while waiting, so the next arrivals are one committer's, not spread.
        if arrivals.lock().await.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        // Nobody is served by storing what its client was told did not work in time.
        batch.retain(|waiting| !waiting.answer.is_closed());
        if batch.is_empty() {
            continue;
        }
        metrics::histogram!("onceward_accept_batch_rows").record(batch.len() as f64);
        commit(&pool, batch).await;
        wake.notify_one();
    }
}

async fn commit(pool: &BoundedPool, batch: Vec<Waiting>) {
    match insert_retrying(pool, &batch).await {
        Ok(mut stored) => {
            for waiting in batch {
                let id = waiting.entry.id;
                let is_new = stored.get(&id).is_some_and(|row| row.is_of(&waiting.entry));
                // Taken out, so that a second entry like it in this batch is a repetition.
                let accepted = match is_new.then(|| stored.remove(&id)).flatten() {
                    Some(row) => Accepted::New { submitted_at: row.submitted_at },
                    None => Accepted::Existing,
                };
                let _ = waiting.answer.send(Ok(accepted));
            }
        }
        // One row that PostgreSQL will not take must not take the others along.
        Err(error) if batch.len() > 1 && is_of_one_row(&error) => {
            for waiting in batch {
                Box::pin(commit(pool, vec![waiting])).await;
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for waiting in batch {
                let _ = waiting.answer.send(Err(Refusal::Database(error.clone())));
            }
        }
    }
}

/// Inserts the batch, and once more where its connection was lost or it was the victim of a
/// deadlock. Ids are fixed before, so what a commit whose answer was lost did store is found.
async fn insert_retrying(pool: &BoundedPool, batch: &[Waiting]) -> Result<Stored, sqlx::Error> {
    match insert(pool, batch).await {
        Err(error) if is_passing(&error) => {
            tracing::warn!(%error, rows = batch.len(), "storing once more");
            insert(pool, batch).await
        }
        result => result,
    }
}

/// SQLSTATE classes 22 (data exception) and 23 (integrity constraint violation).
fn is_of_one_row(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("22") || code.starts_with("23"))
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        // Whoever waited for it was told so.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => false,
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        // Deadlock, serialization failure, and a server that is shutting down.
        sqlx::Error::Database(error) => {
            matches!(error.code().as_deref(), Some("40P01" | "40001" | "57P01"))
        }
        _ => false,
    }
}

/// One statement, hence one database transaction.
async fn insert(pool: &BoundedPool, batch: &[Waiting]) -> Result<Stored, sqlx::Error> {
    let mut entries: Vec<&Entry> = batch.iter().map(|waiting| &waiting.entry).collect();
    // Two batches that share keys, references or ids take their locks in the same order.
    entries.sort_by_key(|entry| {
        (entry.idempotency_key(), entry.submission.reference.as_deref(), entry.id)
    });
    let texts = |of: fn(&Submission) -> Option<&str>| -> Vec<Option<String>> {
        entries.iter().map(|entry| of(&entry.submission).map(str::to_owned)).collect()
    };
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
    let principals: Vec<_> =
        entries.iter().map(|entry| entry.principal.as_str().to_owned()).collect();
    let references = texts(|submission| submission.reference.as_deref());
    let keys: Vec<_> =
        entries.iter().map(|entry| entry.idempotency_key().map(str::to_owned)).collect();
    let amounts: Vec<Decimal> =
        entries.iter().map(|entry| entry.submission.amount.as_decimal()).collect();
    let currencies: Vec<_> =
        entries.iter().map(|entry| entry.submission.currency.code().to_owned()).collect();
    let descriptions = texts(|submission| submission.description.as_deref());
    let occurred_ats: Vec<_> = entries.iter().map(|entry| entry.submission.timestamp).collect();
    let source_accounts = texts(|submission| submission.source_account.as_deref());
    let destination_accounts = texts(|submission| submission.destination_account.as_deref());
    let metadata: Vec<Option<String>> = entries
        .iter()
        .map(|entry| entry.submission.metadata.clone())
        .map(|map| map.map(|map| serde_json::Value::Object(map).to_string()))
        .collect();
    let traceparents: Vec<_> = entries
        .iter()
        .map(|entry| entry.submission.trace_parent.map(|trace| trace.to_string()))
        .collect();
    let fingerprints: Vec<_> =
        entries.iter().map(|entry| entry.fingerprint.as_bytes().to_vec()).collect();
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
            returning id, principal, fingerprint, idempotency_key, submitted_at
        ),
        jobs as (
            insert into apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
            select distinct
                given.job_id, $15, convert_to('"' || stored.id || '"', 'UTF8'), 'Pending', 0, 1, now(), 0
            from stored
            join given on given.id = stored.id
        )
        select id as "id!", principal as "principal!", fingerprint as "fingerprint!",
            idempotency_key as "idempotency_key?", submitted_at as "submitted_at!"
        from stored
        "#,
        &ids,
        &principals,
        &references as &[Option<String>],
        &amounts,
        &currencies,
        &descriptions as &[Option<String>],
        &occurred_ats as &[Option<DateTime<Utc>>],
        &source_accounts as &[Option<String>],
        &destination_accounts as &[Option<String>],
        &metadata as &[Option<String>],
        &fingerprints,
        &job_ids,
        &keys as &[Option<String>],
        &traceparents as &[Option<String>],
        POSTING,
    )
    .fetch_all(pool)
    .await?;
    let stored = rows.into_iter().map(|row| {
        let stored = StoredRow {
            principal: row.principal,
            fingerprint: row.fingerprint,
            idempotency_key: row.idempotency_key,
            submitted_at: row.submitted_at,
        };
        (row.id, stored)
    });
    Ok(stored.collect())
}
