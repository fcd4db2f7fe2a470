//! The open loop: every request leaves when it is due, whatever became of those before it.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use crate::config::LoadConfig;
use crate::error::LoadError;
use crate::pacing;
use crate::progress::Progress;
use crate::tally::{Fate, Submitted, Tally};
use crate::transaction::Transaction;

/// How long one request may take before it counts as failed and is repeated.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause before a first repetition, which doubles with every further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// The longest pause that is not asked for.
const BACKOFF_LONGEST: Duration = Duration::from_secs(2);

/// The longest pause that `Retry-After` gets.
const RETRY_AFTER_LONGEST: Duration = Duration::from_secs(60);

/// What every submission needs.
#[derive(Debug)]
struct Gate {
    client: Client,
    url: String,
    connections: Semaphore,
    /// When to give up on what is not accepted by then.
    deadline: Instant,
}

/// Offers everything, each when it is due, and returns when the last one is answered for good.
pub(crate) async fn offer(
    config: &LoadConfig,
    client: &Client,
    target: &str,
    start: Instant,
    deadline: Instant,
    progress: &Progress,
) -> Result<Tally, LoadError> {
    let gate = Arc::new(Gate {
        client: client.clone(),
        url: format!("{target}/api/transactions"),
        connections: Semaphore::new(config.max_connections),
        deadline,
    });
    let in_flight = Arc::new(Semaphore::new(config.max_in_flight));
    let mut tally = Tally::new().map_err(LoadError::internal)?;
    let mut submissions = JoinSet::new();

    let mut due_times =
        pacing::due_times(start, config.rate, config.total()).map_err(LoadError::internal)?;
    let mut number = 0;
    while let Some(due) = due_times.recv().await {
        while let Some(submitted) = submissions.try_join_next() {
            take(submitted, &mut tally, progress)?;
        }
        let slot = match Arc::clone(&in_flight).try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) => {
                tally.in_flight_bound_hits += 1;
                in_flight.clone().acquire_owned().await.map_err(LoadError::internal)?
            }
        };
        let transaction = Transaction::draw(config.seed, number);
        submissions.spawn(submit(Arc::clone(&gate), transaction, due, slot));
        progress.offered();
        number += 1;
    }
    while let Some(submitted) = submissions.join_next().await {
        take(submitted, &mut tally, progress)?;
    }
    Ok(tally)
}

fn take(
    submitted: Result<Result<Submitted, LoadError>, JoinError>,
    tally: &mut Tally,
    progress: &Progress,
) -> Result<(), LoadError> {
    let submitted = submitted.map_err(LoadError::internal)??;
    if matches!(submitted.fate, Fate::Accepted { .. }) {
        progress.accepted();
    }
    tally.add(submitted);
    Ok(())
}

/// Sends one transaction until it is accepted, rejected, or out of time.
async fn submit(
    gate: Arc<Gate>,
    transaction: Transaction,
    due: Instant,
    _slot: OwnedSemaphorePermit,
) -> Result<Submitted, LoadError> {
    let body = transaction.body().map_err(LoadError::internal)?;
    let mut behind = None;
    let mut waited_for_connection = false;
    let mut repeats = 0;
    let mut last_failure = None;
    let fate = loop {
        waited_for_connection |= gate.connections.available_permits() == 0;
        let connection = gate.connections.acquire().await.map_err(LoadError::internal)?;
        behind.get_or_insert_with(|| due.elapsed());
        let answer = gate.send(body.clone()).await;
        drop(connection);
        let (failure, pause) = match answer {
            Answer::Accepted => break Fate::Accepted { latency: due.elapsed() },
            Answer::Rejected { status } => break Fate::Rejected { status },
            Answer::Again { failure, after } => {
                (failure, after.unwrap_or_else(|| backoff(repeats)))
            }
        };
        let now = Instant::now();
        if now >= gate.deadline {
            // The end cut this request short, which says nothing of what was wrong before it.
            break Fate::GaveUp { last: last_failure.unwrap_or(failure) };
        }
        if now + pause >= gate.deadline {
            break Fate::GaveUp { last: failure };
        }
        last_failure = Some(failure);
        sleep(pause).await;
        repeats += 1;
    };
    let behind = behind.unwrap_or_default();
    Ok(Submitted { transaction, fate, behind, waited_for_connection, repeats })
}

/// What one request came to.
#[derive(Debug)]
enum Answer {
    Accepted,
    Rejected {
        status: u16,
    },
    /// Safe to send again, since the id stays the same: it may have arrived, or is to come later.
    Again {
        failure: String,
        after: Option<Duration>,
    },
}

impl Gate {
    async fn send(&self, body: Vec<u8>) -> Answer {
        let time_left = self.deadline.saturating_duration_since(Instant::now());
        let sent = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .timeout(REQUEST_TIMEOUT.min(time_left))
            .body(body)
            .send()
            .await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => return Answer::Again { failure: kind_of(&error), after: None },
        };
        let status = response.status();
        let after = retry_after(&response);
        // Read to its end, so that the connection can be used again. The status has said it all.
        let _ = response.bytes().await;
        match status {
            status if status.is_success() => Answer::Accepted,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Answer::Again { failure: format!("status {}", status.as_u16()), after }
            }
            status => Answer::Rejected { status: status.as_u16() },
        }
    }
}

/// What a transport error is, without the address: so that the same ones count together.
fn kind_of(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    kind.to_owned()
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    // Never nothing at all: even "0" must not make a storm of requests.
    Some(Duration::from_secs(seconds).clamp(BACKOFF_FIRST, RETRY_AFTER_LONGEST))
}

/// Half of it fixed, half of it random: those that failed together shall not come back together.
fn backoff(repeats: u64) -> Duration {
    let doublings = u32::try_from(repeats).unwrap_or(u32::MAX).min(16);
    let longest = (BACKOFF_FIRST * 2_u32.pow(doublings)).min(BACKOFF_LONGEST);
    longest.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_its_longest() {
        for (repeats, longest_ms) in [(0, 100), (1, 200), (4, 1600), (5, 2000), (u64::MAX, 2000)] {
            let pause = backoff(repeats);
            let longest = Duration::from_millis(longest_ms);
            assert!(pause >= longest / 2 && pause <= longest, "{repeats}: {pause:?}");
        }
    }
}
