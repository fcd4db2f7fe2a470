//! The change feed: every transaction that changed, in its latest version, in an order that misses
//! none, whichever process changed it.
//!
//! Each change stamps its row with the number of its database transaction. A number that is below
//! every database transaction still running can have no predecessor that becomes visible later, so
//! the feed reads up to there and remembers how far it came. PostgreSQL is asked only while somebody
//! listens, and once for all listeners of a process.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use domain::{Counts, PostingStatus, Transaction};
use tokio::{
    sync::{Mutex, broadcast},
    time::sleep,
};

use crate::{
    EngineError,
    database::bounded_pool::BoundedPool,
    monitoring::{counts::counts, posting_status::posting},
    queries::row::Row,
};

/// How often PostgreSQL is asked for changes.
const INTERVAL: Duration = Duration::from_millis(200);
/// How often the states are counted, while something changes, and posting as a whole is looked at.
const COUNTING_INTERVAL: Duration = Duration::from_secs(1);
/// Transactions in one change at most; of more, the latest are shown. A page cannot show more.
const MOST: i64 = 200;

/// Transactions that changed at about the same time.
#[derive(Debug, Clone)]
pub struct Change {
    /// How far the feed has come: give it back to [`Changes::since`] to go on from there.
    pub position: i64,
    /// Each in its latest version, oldest change first.
    pub transactions: Arc<[Transaction]>,
    /// How many are in each state now, where that was counted.
    pub counts: Option<Counts>,
    /// How posting as a whole stands, where that has changed.
    pub posting: Option<PostingStatus>,
}

/// The feed of one process. Cheap to clone.
#[derive(Clone)]
pub struct Changes {
    pool: BoundedPool,
    reader: Arc<Mutex<Weak<broadcast::Sender<Change>>>>,
}

/// Somebody who listens; the feed is read for as long as there is one.
pub struct Listener {
    changes: broadcast::Receiver<Change>,
    _reader: Arc<broadcast::Sender<Change>>,
}

impl Listener {
    /// The next change. A listener that was too slow goes on with what is there now.
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

    /// What has changed since a position, as one change; without one, how far the feed has come.
    /// Counted either way, and with how posting stands.
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
        counted: now,
        posting: None,
        looked: now,
    };
    while let Some(sender) = listeners.upgrade() {
        match reading.next().await {
            Ok(Some(change)) => {
                let _ = sender.send(change);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the change feed could not be read"),
        }
        drop(sender);
        sleep(INTERVAL).await;
    }
}

/// How far one reader has come.
struct Reading {
    pool: BoundedPool,
    position: Option<i64>,
    /// Whether something has changed since the states were counted.
    uncounted: bool,
    counted: Instant,
    /// As it was told last.
    posting: Option<PostingStatus>,
    looked: Instant,
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
        if self.uncounted && self.counted.elapsed() >= COUNTING_INTERVAL {
            change.counts = Some(counts(&self.pool).await?);
            self.uncounted = false;
            self.counted = Instant::now();
        }
        if self.looked.elapsed() >= COUNTING_INTERVAL {
            let posting = posting(&self.pool).await?;
            if self.posting.as_ref() != Some(&posting) {
                change.posting = Some(posting.clone());
                self.posting = Some(posting);
            }
            self.looked = Instant::now();
        }
        let news = change.counts.is_some() || change.posting.is_some();
        Ok((news || !change.transactions.is_empty()).then_some(change))
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
    // Read first: what ends in between is seen the next time, not missed.
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
        MOST,
    )
    .fetch_all(pool)
    .await?;
    rows.reverse();
    let transactions = rows.into_iter().map(Transaction::try_from).collect::<Result<_, _>>()?;
    Ok(Change { position: horizon, transactions, counts: None, posting: None })
}
