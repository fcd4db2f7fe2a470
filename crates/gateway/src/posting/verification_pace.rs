//! How fast verifications are sent: as fast as admission control permits, but slowly while most of them fail.
//!
//! A verification that fails is repeated, so a posting service whose look-ups do not work would be asked about every
//! transaction in doubt over and over. While more than half of the latest [`WINDOW`] verifications of this process
//! have failed, at most one is sent in each [`SLOW_INTERVAL`]. Once look-ups work again, as many successes end that:
//! within a few seconds.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use tokio::time::{Instant, sleep_until};

/// How many of the latest verifications count.
const WINDOW: usize = 20;
/// Between two verifications while most of them fail.
const SLOW_INTERVAL: Duration = Duration::from_millis(100);

/// The pace of the verifications of one process.
#[derive(Default)]
pub struct VerificationPace {
    /// Whether each of the latest verifications failed.
    latest: Mutex<VecDeque<bool>>,
    /// When the next verification may be sent at the slow pace. Locked while a caller waits for that time, so that
    /// callers are served in the order in which they came.
    next_at: tokio::sync::Mutex<Option<Instant>>,
}

impl VerificationPace {
    /// Whether most of the latest verifications failed.
    pub fn is_slow(&self) -> bool {
        let latest = self.latest();
        latest.len() == WINDOW && latest.iter().filter(|failed| **failed).count() > WINDOW / 2
    }

    /// Waits until a verification may be sent.
    pub async fn wait(&self) {
        if !self.is_slow() {
            return;
        }
        let mut next_at = self.next_at.lock().await;
        // The pace may have changed while others waited.
        if let Some(at) = *next_at
            && self.is_slow()
        {
            sleep_until(at).await;
        }
        *next_at = Some(Instant::now() + SLOW_INTERVAL);
    }

    /// Reports whether a verification failed.
    pub fn report(&self, failed: bool) {
        let mut latest = self.latest();
        if latest.len() == WINDOW {
            latest.pop_front();
        }
        latest.push_back(failed);
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, VecDeque<bool>> {
        self.latest.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes to send so many verifications that end like this, as many at once as are allowed.
    async fn time_of(pace: &VerificationPace, count: usize, failed: bool) -> Duration {
        let began_at = Instant::now();
        futures::future::join_all((0..count).map(async |_| {
            pace.wait().await;
            pace.report(failed);
        }))
        .await;
        began_at.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn verifications_are_slow_while_most_of_them_fail() {
        let pace = VerificationPace::default();
        assert_eq!(time_of(&pace, WINDOW, true).await, Duration::ZERO);
        // One at once, and each other one an interval after the one before.
        let hundred = time_of(&pace, 100, true).await;
        assert!((SLOW_INTERVAL * 99..SLOW_INTERVAL * 101).contains(&hundred), "{hundred:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn verifications_are_fast_again_soon_after_they_succeed_again() {
        let pace = VerificationPace::default();
        time_of(&pace, WINDOW, true).await;
        let thousand = time_of(&pace, 1_000, false).await;
        assert!(thousand < SLOW_INTERVAL * (WINDOW as u32), "{thousand:?}");
        assert!(!pace.is_slow());
    }

    #[tokio::test(start_paused = true)]
    async fn some_failures_do_not_slow_verifications_down() {
        let pace = VerificationPace::default();
        for failed in [true, false].into_iter().cycle().take(200) {
            assert_eq!(time_of(&pace, 1, failed).await, Duration::ZERO);
        }
    }
}
