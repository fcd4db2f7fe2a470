//! Whether an apalis worker is still alive. One was seen to stop without an end and without an error, after the
//! database had been out of reach for some time, and one whose fetch is never answered would wait for ever.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// How long a worker with nothing under way may be without a heartbeat before it is given up.
const SILENCE: Duration = Duration::from_secs(10);

/// The pulse of one apalis worker. Cheap to clone.
#[derive(Clone)]
pub struct Watchdog(Arc<Mutex<State>>);

struct State {
    beat_at: Instant,
    under_way: usize,
}

/// Something that the worker has under way, and for which it may wait.
pub struct UnderWay(Watchdog);

impl Watchdog {
    /// A pulse that beats now.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State { beat_at: Instant::now(), under_way: 0 })))
    }

    /// The worker had a heartbeat.
    pub fn beat(&self) {
        self.state().beat_at = Instant::now();
    }

    /// The worker has something to do, until this is dropped.
    pub fn begin(&self) -> UnderWay {
        self.state().under_way += 1;
        UnderWay(self.clone())
    }

    /// Waits until the worker has had neither a heartbeat nor anything to do for [`SILENCE`].
    pub async fn stopped(&self) {
        loop {
            let silent_at = {
                let mut state = self.state();
                if state.under_way > 0 {
                    state.beat_at = Instant::now();
                }
                state.beat_at + SILENCE
            };
            if silent_at <= Instant::now() {
                return;
            }
            sleep_until(silent_at).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= 1;
        state.beat_at = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_stops_when_nothing_beats_and_nothing_is_under_way() {
        let pulse = Watchdog::new();
        let stopped = pulse.stopped();
        tokio::pin!(stopped);
        let under_way = pulse.begin();
        advance(SILENCE * 3).await;
        assert!(futures::poll!(&mut stopped).is_pending());
        drop(under_way);
        for _ in 0..5 {
            advance(SILENCE / 2).await;
            pulse.beat();
            assert!(futures::poll!(&mut stopped).is_pending());
        }
        advance(SILENCE).await;
        stopped.await;
    }
}
