//! The change feed: every transaction that changed, in its latest version, in an order that misses none,
//! whichever process changed it.
//!
//! Each change stamps its row with the number of its database transaction. Below the number of the oldest
//! database transaction still running, no further change can become visible later. So the feed reads up to
//! there and remembers its position. PostgreSQL is polled only while there are listeners, and once for all
//! listeners of a process.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use domain::{Counts, PostingStatus, Transaction};
use futures::FutureExt;
use tokio::{
    sync::{Mutex, broadcast},
    time::sleep,
};

use super::{counts::counts, posting_status::posting};
use crate::{EngineError, database::BoundedPool, queries::Row};

/// How often PostgreSQL is polled for changes.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How often the states are counted, while transactions change, and the posting status is read.
const COUNTING_INTERVAL: Duration = Duration::from_secs(1);
/// The most transactions in one change; if there are more, it has the latest. A page cannot show more.
const MAX_TRANSACTIONS: i64 = 200;

/// Transactions that changed at about the same time.
#[derive(Debug, Clone)]
pub struct Change {
    /// The position of the feed: pass it to [`Changes::since`] to continue from there.
    pub position: i64,
    /// Each in its latest version, oldest change first.
    pub transactions: Arc<[Transaction]>,
    /// How many are in each state now, if they were counted.
    pub counts: Option<Counts>,
    /// The posting status, if it has changed.
    pub posting: Option<PostingStatus>,
}

/// The feed of one process. Cheap to clone.
#[derive(Clone)]
pub struct Changes {
    pool: BoundedPool,
    reader: Arc<Mutex<Weak<broadcast::Sender<Change>>>>,
}

/// A listener of the feed, which is read while there is at least one.
pub struct Listener {
    changes: broadcast::Receiver<Change>,
    _reader: Arc<broadcast::Sender<Change>>,
}

impl Listener {
    /// The next change. A listener that was too slow continues with the changes that are still buffered.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            match self.changes.recv().await {
                Ok(change) => return Some(change),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Changes {
    pub(crate) fn new(pool: BoundedPool) -> Self {
        Self { pool, reader: Arc::default() }
    }

    /// Listens from now on.
    pub async fn listen(&self) -> Listener {
        let mut reader = self.reader.lock().await;
        let sender = reader.upgrade().unwrap_or_else(|| {
            let sender = Arc::new(broadcast::channel(64).0);
            tokio::spawn(read(self.pool.clone(), Arc::downgrade(&sender)));
            sender
        });
        *reader = Arc::downgrade(&sender);
        Listener { changes: sender.subscribe(), _reader: sender }
    }

    /// The changes since a position, as one change; without a position, the current position of the feed.
    /// With the counts and the posting status in either case.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn since(&self, position: Option<i64>) -> Result<Change, EngineError> {
        let mut change = match position {
            Some(position) => since(&self.pool, position).await?,
            None => {
                let position = horizon(&self.pool).await?;
                Change { position, transactions: Arc::new([]), counts: None, posting: None }
            }
        };
        change.counts = Some(counts(&self.pool).await?);
        change.posting = Some(posting(&self.pool).await?);
        Ok(change)
    }
}

async fn read(pool: BoundedPool, listeners: Weak<broadcast::Sender<Change>>) {
    let now = Instant::now();
    let mut reading = Reading {
        pool,
        position: None,
        uncounted: false,
        counted_at: now,
        posting: None,
        posting_read_at: now,
    };
    while let Some(sender) = listeners.upgrade() {
        // Listeners would wait for ever for a reader that has panicked.
        match AssertUnwindSafe(reading.next()).catch_unwind().await {
            Ok(Ok(Some(change))) => {
                let _ = sender.send(change);
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the change feed could not be read"),
            Err(_) => tracing::error!("reading the change feed panicked"),
        }
        drop(sender);
        sleep(POLL_INTERVAL).await;
    }
}

/// The progress of one reader.
struct Reading {
    pool: BoundedPool,
    position: Option<i64>,
    /// Whether a transaction has changed since the states were counted.
    uncounted: bool,
    counted_at: Instant,
    /// As it was last reported.
    posting: Option<PostingStatus>,
    posting_read_at: Instant,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Change>, EngineError> {
        let Some(position) = self.position else {
            self.position = Some(horizon(&self.pool).await?);
            return Ok(None);
        };
        let mut change = since(&self.pool, position).await?;
        self.position = Some(change.position);
        self.uncounted |= !change.transactions.is_empty();
        if self.uncounted && self.counted_at.elapsed() >= COUNTING_INTERVAL {
            change.counts = Some(counts(&self.pool).await?);
            self.uncounted = false;
            self.counted_at = Instant::now();
        }
        if self.posting_read_at.elapsed() >= COUNTING_INTERVAL {
            let posting = posting(&self.pool).await?;
            if self.posting.as_ref() != Some(&posting) {
                change.posting = Some(posting.clone());
                self.posting = Some(posting);
            }
            self.posting_read_at = Instant::now();
        }
        let has_news = change.counts.is_some() || change.posting.is_some();
        Ok((has_news || !change.transactions.is_empty()).then_some(change))
    }
}

/// The number below which every database transaction has ended.
async fn horizon(pool: &BoundedPool) -> Result<i64, EngineError> {
    Ok(sqlx::query_scalar!(
        r#"select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as "horizon!""#
    )
    .fetch_one(pool)
    .await?)
}

async fn since(pool: &BoundedPool, position: i64) -> Result<Change, EngineError> {
    // Read first: a database transaction that ends in between is seen the next time, not missed.
    let horizon = horizon(pool).await?;
    let mut rows = sqlx::query_as!(
        Row,
        r#"select id, state, amount, currency, reference, idempotency_key, description, occurred_at,
            source_account, destination_account, metadata, submitted_at, completed_at, error,
            attempts, next_attempt_at
        from transactions where changed_in >= $1 and changed_in < $2
        order by changed_in desc limit $3"#,
        position,
        horizon,
        MAX_TRANSACTIONS,
    )
    .fetch_all(pool)
    .await?;
    rows.reverse();
    let transactions = rows.into_iter().map(Transaction::try_from).collect::<Result<_, _>>()?;
    Ok(Change { position: horizon, transactions, counts: None, posting: None })
}
