//! Waiting for something to become so.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::error::Fallible;

/// How often it is looked at: short beside what is measured with it.
const INTERVAL: Duration = Duration::from_millis(5);

/// Looks again and again; false where it has not become so in time.
///
/// # Errors
/// Of looking.
pub async fn until(
    patience: Duration,
    mut look: impl AsyncFnMut() -> Fallible<bool>,
) -> Fallible<bool> {
    let until = Instant::now() + patience;
    while !look().await? {
        if Instant::now() > until {
            return Ok(false);
        }
        sleep(INTERVAL).await;
    }
    Ok(true)
}
