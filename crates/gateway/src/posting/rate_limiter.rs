//! The limit of requests a second to the posting service.

use std::time::Duration;

use tokio::time::sleep_until;

/// Spaces requests evenly.
pub struct RateLimiter {
    interval: Duration,
    /// When the next request may be sent. Locked while a caller waits for that time, so that callers are
    /// served in the order in which they came.
    next_at: tokio::sync::Mutex<tokio::time::Instant>,
    /// Lets only one POST at a time queue for `next_at`. Verifications hold a claim while they queue there,
    /// so they must not wait behind many POSTs.
    posts: tokio::sync::Mutex<()>,
}

impl RateLimiter {
    /// At most so many requests a second.
    pub fn new(per_second: f64) -> Self {
        Self {
            interval: Duration::from_secs_f64(1.0 / per_second),
            next_at: tokio::sync::Mutex::new(tokio::time::Instant::now()),
            posts: tokio::sync::Mutex::default(),
        }
    }

    /// Waits until a POST may be sent.
    pub async fn wait_to_post(&self) {
        let _first = self.posts.lock().await;
        self.wait().await;
    }

    /// Waits until a request may be sent.
    pub async fn wait(&self) {
        let mut next_at = self.next_at.lock().await;
        sleep_until(*next_at).await;
        *next_at = (*next_at).max(tokio::time::Instant::now()) + self.interval;
    }
}
