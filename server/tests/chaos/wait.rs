//! Waiting for a condition, with a bound: what is stuck fails, and says what was waited for.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::Fallible;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks again and again until there is something to see.
pub async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    limit: Duration,
    mut look: impl FnMut() -> F,
) -> Fallible<T> {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            pause().await;
        }
    };
    let seen = timeout(limit, looking).await;
    seen.map_err(|_| format!("waited {} s in vain: {what}", limit.as_secs()).into())
}

/// Between two looks at the same thing.
pub async fn pause() {
    sleep(PAUSE).await;
}
