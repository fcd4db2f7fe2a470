//! Waits for a condition with a timeout: what is stuck fails, and the error says what was waited
//! for.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::Fallible;

/// Between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// Polls until the condition returns a value.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    within: Duration,
    mut poll: impl FnMut() -> F,
) -> Fallible<T> {
    let polling = async {
        loop {
            if let Some(found) = poll().await {
                return found;
            }
            pause().await;
        }
    };
    let found = timeout(within, polling).await;
    found.map_err(|_| format!("timed out after {} s: {what}", within.as_secs()).into())
}

/// The pause between two polls.
pub async fn pause() {
    sleep(POLL_INTERVAL).await;
}
