//! Whether commits succeed, by the submissions of this process or, while it has none, by a probe that writes.
//! PostgreSQL may answer every query and still commit nothing, for example with a full disk.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::database::{BoundedPool, CommitFault};

/// For how long a result counts. It also bounds how often the probe runs.
const FRESH: Duration = Duration::from_secs(1);
/// Between two lines of the log about one fault.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Does what a submission needs, and changes nothing: it takes the table's lock, is a change, needs room on the
/// disk for a temporary file, and waits for its own commit.
const PROBE: &str = "
    set local work_mem = '64kB';
    lock table transactions in row exclusive mode;
    update workers set expires_at = expires_at where false;
    select count(*) from (
        select repeat('x', 1000) || n as text from generate_series(1, 256) as n order by 1 offset 0
    ) as sorted;
    select pg_current_xact_id()";

/// The results of the last commits. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Commits(Arc<Inner>);

#[derive(Default)]
struct Inner {
    last: Mutex<Last>,
    /// Held by the probe in flight.
    probing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Last {
    at: Option<Instant>,
    failing: Option<Failing>,
}

/// Commits that fail, one after the other.
struct Failing {
    fault: CommitFault,
    since: Instant,
    count: u64,
    logged_at: Instant,
}

impl Commits {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a commit.
    pub fn record(&self, result: Result<(), CommitFault>) {
        let mut last = self.last();
        let now = Instant::now();
        last.at = Some(now);
        let Err(fault) = result else {
            if let Some(failed) = last.failing.take() {
                let seconds = failed.since.elapsed().as_secs();
                tracing::info!(failures = failed.count, seconds, "commits succeed again");
            }
            return;
        };
        match &mut last.failing {
            Some(failing) if failing.fault == fault => {
                failing.count += 1;
                if failing.logged_at.elapsed() > LOG_INTERVAL {
                    failing.logged_at = now;
                    let seconds = failing.since.elapsed().as_secs();
                    tracing::error!(
                        reason = fault.reason(),
                        failures = failing.count,
                        seconds,
                        "commits still fail"
                    );
                }
            }
            failing => {
                tracing::error!(reason = fault.reason(), "commits fail");
                *failing = Some(Failing { fault, since: now, count: 1, logged_at: now });
            }
        }
    }

    /// The result of a commit within the last moment.
    fn fresh(&self) -> Option<Result<(), CommitFault>> {
        let last = self.last();
        last.at.filter(|at| at.elapsed() < FRESH)?;
        Some(last.failing.as_ref().map_or(Ok(()), |failing| Err(failing.fault)))
    }

    /// Whether commits succeed: by the last one, or by a probe if that was long ago.
    ///
    /// # Errors
    /// Why they fail.
    pub async fn check(&self, pool: &BoundedPool) -> Result<(), CommitFault> {
        if let Some(result) = self.fresh() {
            return result;
        }
        let _probing = self.0.probing.lock().await;
        // Another caller's probe may have ended meanwhile.
        if let Some(result) = self.fresh() {
            return result;
        }
        let probed = sqlx::raw_sql(PROBE).execute(pool).await;
        let result = probed.map(|_| ()).map_err(|error| CommitFault::of(&error));
        self.record(result);
        result
    }
}
