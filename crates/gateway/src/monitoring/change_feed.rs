//! The change feed: every transaction that changed, in its latest version, in an order that misses none,
//! whichever process changed it.
//!
//! Each change stamps its row with the number of its database transaction. A position in the feed says which of
//! them have been read, as a snapshot of PostgreSQL does: those that are still open are named, and read when they
//! have ended. So no open transaction holds the feed back. PostgreSQL is polled only while there are listeners, and
//! once for all listeners of a process that keep up. One that does not, or that resumes, reads on from its own
//! position until it has caught up; one that is too far behind receives a gap instead.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use domain::{Counts, PostingStatus, Scope, Transaction, Unreadable};
use futures::FutureExt;
use tokio::{
    sync::{
        Mutex,
        broadcast::{self, error::RecvError},
    },
    time::sleep,
};
use uuid::Uuid;

use super::{
    change_page::{Page, Progress, is_in, position_now},
    counts::counts,
    position::Position,
    posting_status::posting,
};
use crate::{EngineError, database::BoundedPool};

/// How often PostgreSQL is polled for changes.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// How often the states are counted, while transactions change, and the posting status is read.
const COUNTING_INTERVAL: Duration = Duration::from_secs(1);
/// How many changes are kept for listeners that are slower than the feed.
const KEPT_CHANGES: usize = 16;

/// Transactions that changed at about the same time.
#[derive(Debug, Clone)]
pub struct Change {
    /// The position of the feed before the change.
    pub from: Position,
    /// The position of the feed after it: pass it to [`Changes::listen`] to continue from there.
    pub position: Position,
    /// Whether the transactions that changed between the two positions are left out, because they are too many.
    pub is_gap: bool,
    /// Each in its latest version, oldest change first.
    pub transactions: Arc<[Transaction]>,
    /// Those that changed and cannot be read.
    pub unreadable: Arc<[Unreadable]>,
    /// Who submitted each of them.
    principals: Arc<HashMap<Uuid, String>>,
    /// How many are in each state now, if they were counted.
    pub counts: Option<Counts>,
    /// The posting status, if it has changed.
    pub posting: Option<PostingStatus>,
}

impl Change {
    fn of_counts(at: Position, counts: Counts) -> Self {
        Self {
            from: at.clone(),
            position: at,
            is_gap: false,
            transactions: Arc::default(),
            unreadable: Arc::default(),
            principals: Arc::default(),
            counts: Some(counts),
            posting: None,
        }
    }

    fn new(from: Position, page: Page) -> Self {
        Self {
            from,
            position: page.end,
            is_gap: page.is_gap,
            transactions: page.transactions.into(),
            unreadable: page.unreadable.into(),
            principals: Arc::new(page.principals),
            counts: None,
            posting: None,
        }
    }

    /// Leaves out what is not in a scope. Posting as a whole concerns no single principal.
    fn restrict(&mut self, scope: &Scope) {
        let is_in = |id: &Uuid| is_in(scope, &self.principals, id);
        let transactions = self.transactions.iter().filter(|it| is_in(&it.transaction_id));
        let unreadable = self.unreadable.iter().filter(|it| is_in(&it.transaction_id));
        (self.transactions, self.unreadable) =
            (transactions.cloned().collect(), unreadable.cloned().collect());
        self.posting = None;
    }

    fn is_empty(&self) -> bool {
        !self.is_gap
            && self.transactions.is_empty()
            && self.unreadable.is_empty()
            && self.counts.is_none()
            && self.posting.is_none()
    }
}

/// The feed of one process. Cheap to clone.
#[derive(Clone)]
pub struct Changes {
    pool: BoundedPool,
    reader: Arc<Mutex<Weak<broadcast::Sender<Change>>>>,
}

impl Changes {
    pub(crate) fn new(pool: BoundedPool) -> Self {
        Self { pool, reader: Arc::default() }
    }

    /// Listens to the changes of this scope from a position on; without one, from now on. A position that this database cannot have given
    /// is taken as the beginning, because nobody knows what its holder has seen.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn listen(
        &self,
        scope: Scope,
        position: Option<Position>,
    ) -> Result<Listener, EngineError> {
        let now = position_now(&self.pool).await?;
        let mut reader = self.reader.lock().await;
        let sender = reader.upgrade().unwrap_or_else(|| {
            let sender = Arc::new(broadcast::channel(KEPT_CHANGES).0);
            tokio::spawn(read(self.pool.clone(), now.clone(), Arc::downgrade(&sender)));
            sender
        });
        *reader = Arc::downgrade(&sender);
        Ok(Listener {
            pool: self.pool.clone(),
            scope,
            progress: Progress::new(
                position.map_or(now.clone(), |position| position.known_at(&now)),
            ),
            is_behind: true,
            is_uncounted: false,
            changes: sender.subscribe(),
            _reader: sender,
        })
    }
}

/// A listener of the feed, which is read while there is at least one.
pub struct Listener {
    pool: BoundedPool,
    scope: Scope,
    progress: Progress,
    /// Whether it reads the changes itself until it has caught up with the feed.
    is_behind: bool,
    /// Whether the states of its scope, which is not that of the feed, are to be counted.
    is_uncounted: bool,
    changes: broadcast::Receiver<Change>,
    _reader: Arc<broadcast::Sender<Change>>,
}

impl Listener {
    /// The next change; the first is returned at once. Whenever the listener has caught up, the change has the
    /// counts and the posting status. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            if self.is_behind {
                match self.catch_up().await {
                    Ok(change) => return Some(change),
                    Err(error) => {
                        // The reader of the feed warns of the same.
                        tracing::debug!(%error, "a listener of the change feed could not catch up");
                        sleep(POLL_INTERVAL).await;
                    }
                }
                continue;
            }
            if self.is_uncounted {
                match counts(&self.pool, &self.scope).await {
                    Ok(counts) => {
                        self.is_uncounted = false;
                        return Some(Change::of_counts(self.progress.at.clone(), counts));
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a listener of the change feed could not count");
                        sleep(POLL_INTERVAL).await;
                    }
                }
            }
            match self.changes.recv().await {
                Ok(change) => {
                    if let Some(change) = self.follow(change) {
                        return Some(change);
                    }
                }
                // The next change that is received begins behind the listener's position.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// Reads a page of its own.
    async fn catch_up(&mut self) -> Result<Change, EngineError> {
        let page = self.progress.page(&self.pool).await?;
        let (counts, posting) = if page.is_last {
            (Some(counts(&self.pool, &self.scope).await?), Some(posting(&self.pool).await?))
        } else {
            (None, None)
        };
        let from = self.progress.at.clone();
        self.progress.pass(&page);
        self.is_behind = !page.is_last;
        let change = Change { counts, posting, ..Change::new(from, page) };
        Ok(self.restricted(change))
    }

    /// Takes a change of the feed, without what the listener has read itself.
    fn follow(&mut self, mut change: Change) -> Option<Change> {
        let position = &self.progress.at;
        if !position.covers(&change.from) {
            self.is_behind = true;
            return None;
        }
        if change.position.at() < change.from.at() {
            self.progress = Progress::new(change.position.clone());
            return Some(change);
        }
        change.from = position.clone();
        if position.covers(&change.position) {
            // The listener may have read later versions of these transactions.
            change.position = position.clone();
            change.is_gap = false;
            change.transactions = Arc::default();
            change.unreadable = Arc::default();
        } else {
            change.position = position.joined(&change.position);
            self.progress = Progress::new(change.position.clone());
        }
        if self.scope != Scope::All {
            // The feed counts those of all.
            self.is_uncounted |= change.counts.take().is_some();
        }
        let change = self.restricted(change);
        (!change.is_empty()).then_some(change)
    }

    /// A change without what is not in the listener's scope.
    fn restricted(&self, mut change: Change) -> Change {
        if self.scope != Scope::All {
            change.restrict(&self.scope);
        }
        change
    }
}

/// Reads the feed for all listeners, for as long as there are any.
async fn read(pool: BoundedPool, position: Position, listeners: Weak<broadcast::Sender<Change>>) {
    let now = Instant::now();
    let mut reading = Reading {
        pool,
        progress: Progress::new(position.clone()),
        sent: position,
        uncounted: false,
        counted_at: now,
        posting: None,
        posting_read_at: now,
    };
    while let Some(sender) = listeners.upgrade() {
        let has_more = match AssertUnwindSafe(reading.next()).catch_unwind().await {
            Ok(Ok((change, has_more))) => {
                if !change.is_empty() {
                    reading.sent = change.position.clone();
                    let _ = sender.send(change);
                }
                has_more
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the change feed could not be read");
                false
            }
            // Listeners would wait for ever for a reader that has panicked.
            Err(_) => {
                tracing::error!("reading the change feed panicked");
                false
            }
        };
        drop(sender);
        if !has_more {
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// The progress of one reader.
struct Reading {
    pool: BoundedPool,
    progress: Progress,
    /// The position after the last change that was sent.
    sent: Position,
    /// Whether a transaction has changed since the states were counted.
    uncounted: bool,
    counted_at: Instant,
    /// As it was last reported.
    posting: Option<PostingStatus>,
    posting_read_at: Instant,
}

impl Reading {
    /// The next change, and whether there are more already. If it fails, the same is read again.
    async fn next(&mut self) -> Result<(Change, bool), EngineError> {
        let page = self.progress.page(&self.pool).await?;
        self.uncounted |=
            page.is_gap || !page.transactions.is_empty() || !page.unreadable.is_empty();
        let count_now = self.uncounted && self.counted_at.elapsed() >= COUNTING_INTERVAL;
        let counts = if count_now { Some(counts(&self.pool, &Scope::All).await?) } else { None };
        let read_posting = self.posting_read_at.elapsed() >= COUNTING_INTERVAL;
        let latest = if read_posting { Some(posting(&self.pool).await?) } else { None };

        let has_more = !page.is_last;
        self.progress.pass(&page);
        if count_now {
            self.uncounted = false;
            self.counted_at = Instant::now();
        }
        if read_posting {
            self.posting_read_at = Instant::now();
        }
        let posting = latest.filter(|latest| self.posting.as_ref() != Some(latest));
        if posting.is_some() {
            self.posting.clone_from(&posting);
        }
        Ok((Change { counts, posting, ..Change::new(self.sent.clone(), page) }, has_more))
    }
}
