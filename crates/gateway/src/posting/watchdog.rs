//! Detects an apalis worker that has stopped working. One was seen to stop without returning and without an
//! error after the database had been unreachable for some time, and one whose fetch is never answered would
//! wait for ever.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// How long a worker with no job in progress may be without a heartbeat before it is given up.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The watchdog of one apalis worker. Cheap to clone.
#[derive(Clone)]
pub struct Watchdog(Arc<Mutex<State>>);

struct State {
    beat_at: Instant,
    in_progress: usize,
}

/// A job that the worker has in progress, for which it may wait.
pub struct InProgress(Watchdog);

impl Watchdog {
    /// A watchdog that has just had a heartbeat.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { beat_at: Instant::now(), in_progress: 0 })))
    }

    /// The worker had a heartbeat.
    pub fn beat(&self) {
        self.state().beat_at = Instant::now();
    }

    /// The worker has a job in progress until this is dropped.
    pub fn begin(&self) -> InProgress {
        self.state().in_progress += 1;
        InProgress(self.clone())
    }

    /// Waits until the worker has had neither a heartbeat nor a job in progress for [`TIMEOUT`].
    pub async fn timed_out(&self) {
        loop {
            let timeout_at = {
                let mut state = self.state();
                if state.in_progress > 0 {
                    state.beat_at = Instant::now();
                }
                state.beat_at + TIMEOUT
            };
            if timeout_at <= Instant::now() {
                return;
            }
            sleep_until(timeout_at).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_progress -= 1;
        state.beat_at = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_times_out_without_heartbeats_and_jobs_in_progress() {
        let watchdog = Watchdog::new();
        let timed_out = watchdog.timed_out();
        tokio::pin!(timed_out);
        let in_progress = watchdog.begin();
        advance(TIMEOUT * 3).await;
        assert!(futures::poll!(&mut timed_out).is_pending());
        drop(in_progress);
        for _ in 0..5 {
            advance(TIMEOUT / 2).await;
            watchdog.beat();
            assert!(futures::poll!(&mut timed_out).is_pending());
        }
        advance(TIMEOUT).await;
        timed_out.await;
    }
}
