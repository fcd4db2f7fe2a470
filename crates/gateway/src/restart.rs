//! Tasks without which posting stops: one that panics is started again.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use tokio::time::sleep;

/// The delay before a task that panicked is started again.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Runs a task until it returns, and starts it again whenever it panics.
pub(crate) async fn restarted<T: Future<Output = ()>>(
    task: &'static str,
    mut start: impl FnMut() -> T,
) {
    while AssertUnwindSafe(start()).catch_unwind().await.is_err() {
        tracing::error!(task, "a task panicked and is started again");
        sleep(RESTART_DELAY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_started_again_until_it_returns() {
        let mut starts = 0;
        restarted("test", || {
            starts += 1;
            let nth = starts;
            async move { assert!(nth == 3, "unlucky") }
        })
        .await;
        assert_eq!(starts, 3);
    }
}
