//! Listening for what other processes announce.

use std::{io, time::Duration};

use sqlx::{
    Acquire, Connection, PgPool,
    postgres::{PgListener, PgNotification},
};
use tokio::time::{sleep, timeout};

use super::{JOBS, PAUSE, WakeUps};
use crate::job::Queue;

/// After this time without an announcement, the connection is tested: it may be lost without a word.
const TEST_AFTER: Duration = Duration::from_secs(3);
/// How long a test, or a new connection, may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// The delay before another connection, which doubles with each failure.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(100);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Passes on what other processes announce, for ever. The connection is one of its own to the database of
/// this pool. While there is none, nothing is lost: the heartbeat finds what is due.
pub async fn listen(pool: &PgPool, wake_ups: &WakeUps) {
    let mut delay = FIRST_RETRY_DELAY;
    loop {
        match connect(pool).await {
            Ok(listener) => {
                delay = FIRST_RETRY_DELAY;
                let error = follow(listener, wake_ups).await;
                tracing::info!(%error, "the connection for announcements was lost");
            }
            Err(error) => tracing::debug!(%error, "cannot listen for announcements yet"),
        }
        sleep(delay).await;
        delay = (delay * 2).min(MAX_RETRY_DELAY);
    }
}

async fn connect(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    // A pool for each connection, because a listener returns a lost one to its pool.
    let one = pool.options().clone().min_connections(0).max_connections(1);
    let one = one.idle_timeout(None).max_lifetime(None);
    let one = one.connect_lazy_with(pool.connect_options().as_ref().clone());
    let connecting = timeout(ANSWER_TIMEOUT, async {
        let mut listener = PgListener::connect_with(&one).await?;
        listener.eager_reconnect(false);
        listener.listen_all([JOBS, PAUSE]).await?;
        Ok(listener)
    });
    connecting.await.unwrap_or_else(|_| Err(timed_out()))
}

/// Passes on announcements until the connection is lost.
async fn follow(mut listener: PgListener, wake_ups: &WakeUps) -> sqlx::Error {
    loop {
        match timeout(TEST_AFTER, listener.try_recv()).await {
            Ok(Ok(Some(announcement))) => pass_on(&announcement, wake_ups),
            Ok(Ok(None)) => return sqlx::Error::Io(io::ErrorKind::ConnectionAborted.into()),
            Ok(Err(error)) => return error,
            Err(_) => {
                let tested =
                    timeout(ANSWER_TIMEOUT, async { listener.acquire().await?.ping().await });
                if let Err(error) = tested.await.unwrap_or_else(|_| Err(timed_out())) {
                    return error;
                }
            }
        }
    }
}

fn pass_on(announcement: &PgNotification, wake_ups: &WakeUps) {
    if announcement.channel() == PAUSE {
        return wake_ups.wake_for_pause();
    }
    let Some((process_id, queue)) = announcement.payload().split_once(' ') else { return };
    // This process has woken its own dispatchers already.
    if process_id == wake_ups.process_id().to_string() {
        return;
    }
    for known in Queue::ALL {
        if known.name() == queue {
            wake_ups.wake(known);
        }
    }
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into())
}
