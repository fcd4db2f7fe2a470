//! Entries that are written in the background: refusals, which come in floods. A request that is refused does not wait
//! for the database, and many entries are one statement.

use std::{
    collections::VecDeque,
    mem,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{Action, Actor, AuditOutcome};
use serde_json::json;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{entry::Entry, record::insert};
use crate::Access;

/// The most entries that wait; further ones are counted and lost.
const MAX_WAITING: usize = 10_000;
/// How many refusals are noted at once, and how many a second after that; further ones are counted and lost. Whoever is
/// refused may try again without end, and no entry is ever deleted.
const REFUSALS_AT_ONCE: f64 = 2_000.0;
const REFUSALS_PER_SECOND: f64 = 5.0;
/// The most entries in one statement. The chain is locked for as long as they are committed.
const BATCH: usize = 500;
/// The delay before a batch that failed is tried again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Entries that wait to be written. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug)]
struct Waiting {
    entries: VecDeque<(Option<DateTime<Utc>>, Entry)>,
    /// How many were lost since the last batch.
    lost: u64,
    /// How many refusals may be noted now.
    refusals: f64,
    refusals_at: Instant,
}

impl Default for Waiting {
    fn default() -> Self {
        let refusals_at = Instant::now();
        Self { entries: VecDeque::new(), lost: 0, refusals: REFUSALS_AT_ONCE, refusals_at }
    }
}

impl Waiting {
    /// Whether there is room for an entry.
    fn admits(&mut self, entry: &Entry) -> bool {
        if self.entries.len() >= MAX_WAITING {
            return false;
        }
        if entry.outcome == AuditOutcome::Done {
            return true;
        }
        let now = Instant::now();
        let since = now.duration_since(self.refusals_at).as_secs_f64();
        self.refusals = (self.refusals + since * REFUSALS_PER_SECOND).min(REFUSALS_AT_ONCE);
        self.refusals_at = now;
        let admits = self.refusals >= 1.0;
        if admits {
            self.refusals -= 1.0;
        }
        admits
    }
}

impl Noted {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next batch; `None` if nothing waits.
    fn next_batch(&self) -> Option<Vec<(Option<DateTime<Utc>>, Entry)>> {
        let mut waiting = self.waiting();
        let count = waiting.entries.len().min(BATCH);
        let mut batch: Vec<_> = waiting.entries.drain(..count).collect();
        let lost = mem::take(&mut waiting.lost);
        if lost > 0 {
            let entry = Entry::done(&Actor::anonymous(), Action::LoseEntries, "audit");
            batch.push((Some(Utc::now()), entry.after(json!({"entries": lost}))));
        }
        (!batch.is_empty()).then_some(batch)
    }
}

impl Access {
    /// Notes an entry, which [`Access::write_noted`] writes soon. Never waits. If too many wait already, it is lost, and
    /// an entry says how many were.
    pub fn note(&self, entry: Entry) {
        let mut waiting = self.noted.waiting();
        if waiting.admits(&entry) {
            waiting.entries.push_back((Some(Utc::now()), entry.shortened()));
        } else {
            waiting.lost += 1;
            metrics::counter!("onceward_audit_entries_lost_total").increment(1);
        }
        drop(waiting);
        self.noted.0.arrived.notify_one();
    }

    /// Writes what is noted, until `until` ends, and then what is left. What cannot be written is tried again, but not
    /// any more after that. To be run once.
    pub async fn write_noted(&self, until: impl Future<Output = ()>) {
        let mut until = pin!(until);
        let mut is_over = false;
        while !is_over {
            tokio::select! {
                () = self.noted.0.arrived.notified() => {}
                () = &mut until => is_over = true,
            }
            while let Some(batch) = self.noted.next_batch() {
                while let Err(error) = insert(&self.pool, &batch).await {
                    if is_over {
                        tracing::error!(%error, entries = batch.len(), "the last entries of the audit are lost");
                        return;
                    }
                    tracing::warn!(%error, entries = batch.len(), "entries of the audit are written again");
                    tokio::select! {
                        () = sleep(RETRY_DELAY) => {}
                        () = &mut until => is_over = true,
                    }
                }
            }
        }
    }
}
