//! The simulator's state, shared by all request handlers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::Audit;
use crate::counters::Counters;
use crate::entry::{Entry, Submission};
use crate::faults::{Faults, FaultsError};
use crate::ledger::{Ledger, Pending, WriteError};
use crate::tokens::Tokens;

/// How many duplicated ids an audit lists.
const DUPLICATES_NAMED: usize = 100;

/// The shared state.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) seed: u64,
    pub(crate) counters: Arc<Counters>,
    pub(crate) ledger: Ledger,
    pub(crate) tokens: Tokens,
    faults: watch::Sender<Faults>,
    request_counts: Mutex<HashMap<String, IdRequestCounts>>,
    /// Replaced by a cleanup, which cancels the late writes of the previous epoch.
    epoch: Mutex<CancellationToken>,
    /// The work of requests, which outlives a client that disconnects.
    pub(crate) work: TaskTracker,
    /// A graceful shutdown has begun: no new connections, and no more delays.
    pub(crate) drain: CancellationToken,
    /// The end: connections break and work stops at once, as in a crash.
    pub(crate) stop: CancellationToken,
}

/// How many requests have come for one id.
#[derive(Debug, Default)]
struct IdRequestCounts {
    posts: u64,
    gets: u64,
}

impl Service {
    pub(crate) fn new(seed: u64, ledger: Ledger, faults: Faults) -> Self {
        Self {
            seed,
            counters: Arc::default(),
            ledger,
            tokens: Tokens::default(),
            faults: watch::Sender::new(faults),
            request_counts: Mutex::default(),
            epoch: Mutex::default(),
            work: TaskTracker::new(),
            drain: CancellationToken::new(),
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn faults(&self) -> Faults {
        *self.faults.borrow()
    }

    pub(crate) fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        faults.validate()?;
        self.faults.send_replace(faults);
        Ok(())
    }

    /// Changes the faults atomically, so that concurrent changes do not undo each other.
    pub(crate) fn change_faults(
        &self,
        change: impl FnOnce(&Faults) -> Result<Faults, FaultsError>,
    ) -> Result<Faults, FaultsError> {
        let mut outcome = Err(FaultsError::Unreadable);
        self.faults.send_if_modified(|faults| {
            outcome = change(faults);
            if let Ok(changed) = &outcome {
                *faults = *changed;
            }
            outcome.is_ok()
        });
        outcome
    }

    /// Returns at once during an outage; otherwise waits for the next one.
    pub(crate) async fn outage(&self) {
        let mut faults = self.faults.subscribe();
        // The sender lives as long as `self`, so only an outage ends the wait.
        let _ = faults.wait_for(|faults| faults.outage).await;
    }

    /// Counts this POST and returns how many of the same id came before.
    pub(crate) fn posts_before(&self, id: &str) -> u64 {
        self.with_request_counts(id, |requests| {
            requests.posts += 1;
            requests.posts - 1
        })
    }

    /// Counts this GET and returns how many of the same id came before.
    pub(crate) fn gets_before(&self, id: &str) -> u64 {
        self.with_request_counts(id, |requests| {
            requests.gets += 1;
            requests.gets - 1
        })
    }

    fn with_request_counts<T>(&self, id: &str, count: impl FnOnce(&mut IdRequestCounts) -> T) -> T {
        let mut ids = self.request_counts.lock().unwrap_or_else(PoisonError::into_inner);
        match ids.get_mut(id) {
            Some(requests) => count(requests),
            None => count(ids.entry(id.to_owned()).or_default()),
        }
    }

    /// Runs the work of a request in its own task: hyper drops a request's future when the client
    /// disconnects, but a posting service finishes what it has begun.
    pub(crate) fn run_on<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let stop = self.stop.clone();
        self.work.spawn(async move { stop.run_until_cancelled(work).await })
    }

    /// Sleeps, but not once a graceful shutdown has begun.
    pub(crate) async fn pause(&self, duration_ms: u64) {
        if duration_ms == 0 {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(duration_ms)) => {}
            () = self.drain.cancelled() => {}
        }
    }

    /// The current epoch, which the next cleanup cancels.
    pub(crate) fn epoch(&self) -> CancellationToken {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Queues a row, unless a cleanup has ended its epoch.
    pub(crate) fn append_within(
        &self,
        epoch: &CancellationToken,
        submission: Submission,
    ) -> Option<Pending<Arc<Entry>>> {
        // `cleanup` holds this lock while it queues the clearing, so the row is queued either
        // before the clearing or not at all.
        let _guard = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
        (!epoch.is_cancelled()).then(|| self.ledger.append(submission))
    }

    /// Empties the ledger and the counters and cancels late writes; the faults stay.
    pub(crate) async fn cleanup(&self) -> Result<usize, WriteError> {
        let clearing = {
            let mut epoch = self.epoch.lock().unwrap_or_else(PoisonError::into_inner);
            epoch.cancel();
            *epoch = CancellationToken::new();
            self.ledger.clear()
        };
        let count = clearing.await?;
        self.counters.reset();
        self.request_counts.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(count)
    }

    pub(crate) fn audit(&self) -> Audit {
        let ledger = self.ledger.summary(DUPLICATES_NAMED);
        Audit {
            entries: ledger.entries,
            distinct_ids: ledger.distinct_ids,
            duplicated_count: ledger.duplicated_count,
            duplicated_ids: ledger.duplicated_ids,
            requests: self.counters.requests(),
            faults_injected: self.counters.faults_injected(),
            late_writes_pending: self.counters.late_writes_pending(),
            seed: self.seed,
        }
    }
}
