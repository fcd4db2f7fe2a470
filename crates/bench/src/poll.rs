//! Polling until a condition holds.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::Fallible;

/// The interval between polls: short compared to the durations measured with it.
const INTERVAL: Duration = Duration::from_millis(5);

/// Polls until the condition holds; returns false if it does not before the timeout.
///
/// # Errors
/// The condition's error.
pub async fn until(
    timeout: Duration,
    mut condition: impl AsyncFnMut() -> Fallible<bool>,
) -> Fallible<bool> {
    let deadline = Instant::now() + timeout;
    while !condition().await? {
        if Instant::now() > deadline {
            return Ok(false);
        }
        sleep(INTERVAL).await;
    }
    Ok(true)
}
