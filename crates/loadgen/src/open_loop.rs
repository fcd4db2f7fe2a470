//! The open loop: every request is sent when it is due, whether or not earlier ones are answered.

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
use crate::interrupts::Interrupts;
use crate::pacing;
use crate::progress::Progress;
use crate::tally::{Outcome, Submitted, Tally};
use crate::transaction::Transaction;

/// How long one request may take before it is repeated.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The backoff before the first repetition; it doubles with every further one.
const BACKOFF_BASE: Duration = Duration::from_millis(100);

/// The longest backoff without `Retry-After`.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// The longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// What all submissions share.
#[derive(Debug)]
struct Submitter {
    client: Client,
    url: String,
    connections: Semaphore,
    /// When submissions that are not accepted are given up.
    deadline: Instant,
    interrupts: Interrupts,
}

/// Offers all transactions, each when it is due, and returns when the last one has its outcome. The first
/// interrupt ends it early.
pub(crate) async fn offer(
    config: &LoadConfig,
    client: &Client,
    target: &str,
    start: Instant,
    deadline: Instant,
    progress: &Progress,
) -> Result<Tally, LoadError> {
    let submitter = Arc::new(Submitter {
        client: client.clone(),
        url: format!("{target}/api/transactions"),
        connections: Semaphore::new(config.max_connections),
        deadline,
        interrupts: config.interrupts.clone(),
    });
    let stop = &config.interrupts.first;
    let in_flight = Arc::new(Semaphore::new(config.max_in_flight));
    let mut tally = Tally::new().map_err(LoadError::internal)?;
    let mut submissions = JoinSet::new();

    let mut due_times =
        pacing::due_times(start, config.rate, config.total()).map_err(LoadError::internal)?;
    let mut number = 0;
    while let Some(due) = stop.run_until_cancelled(due_times.recv()).await.flatten() {
        while let Some(submitted) = submissions.try_join_next() {
            record(submitted, &mut tally, progress)?;
        }
        let permit = match Arc::clone(&in_flight).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                tally.in_flight_bound_hits += 1;
                let free = Arc::clone(&in_flight).acquire_owned();
                let Some(permit) = stop.run_until_cancelled(free).await else { break };
                permit.map_err(LoadError::internal)?
            }
        };
        let transaction = Transaction::draw(config.seed, number);
        submissions.spawn(submit(Arc::clone(&submitter), transaction, due, permit));
        progress.offered();
        number += 1;
    }
    while let Some(submitted) = submissions.join_next().await {
        record(submitted, &mut tally, progress)?;
    }
    Ok(tally)
}

fn record(
    submitted: Result<Result<Submitted, LoadError>, JoinError>,
    tally: &mut Tally,
    progress: &Progress,
) -> Result<(), LoadError> {
    let submitted = submitted.map_err(LoadError::internal)??;
    if matches!(submitted.outcome, Outcome::Accepted { .. }) {
        progress.accepted();
    }
    tally.add(submitted);
    Ok(())
}

/// Sends one transaction until it is accepted, rejected, or out of time.
async fn submit(
    submitter: Arc<Submitter>,
    transaction: Transaction,
    due: Instant,
    _permit: OwnedSemaphorePermit,
) -> Result<Submitted, LoadError> {
    let body = transaction.body().map_err(LoadError::internal)?;
    let Interrupts { first, second } = &submitter.interrupts;
    let stopped =
        || Outcome::GaveUp { last_failure: "no answer when the run was stopped".to_owned() };
    let mut send_delay = None;
    let mut waited_for_connection = false;
    let mut repeats = 0;
    let mut last_failure = None;
    let outcome = loop {
        waited_for_connection |= submitter.connections.available_permits() == 0;
        let connection = second.run_until_cancelled(submitter.connections.acquire()).await;
        let Some(connection) = connection else { break stopped() };
        let connection = connection.map_err(LoadError::internal)?;
        send_delay.get_or_insert_with(|| due.elapsed());
        let answer = second.run_until_cancelled(submitter.send(body.clone())).await;
        drop(connection);
        let Some(answer) = answer else { break stopped() };
        let (failure, pause) = match answer {
            Answer::Accepted => break Outcome::Accepted { latency: due.elapsed() },
            Answer::Rejected { status } => break Outcome::Rejected { status },
            Answer::Retry { failure, after } => {
                (failure, after.unwrap_or_else(|| backoff(repeats)))
            }
        };
        let now = Instant::now();
        if now >= submitter.deadline {
            // The deadline cut this request short, so the failure before it is the reason.
            break Outcome::GaveUp { last_failure: last_failure.unwrap_or(failure) };
        }
        if now + pause >= submitter.deadline {
            break Outcome::GaveUp { last_failure: failure };
        }
        if first.run_until_cancelled(sleep(pause)).await.is_none() {
            break Outcome::GaveUp { last_failure: failure };
        }
        last_failure = Some(failure);
        repeats += 1;
    };
    let send_delay = send_delay.unwrap_or_default();
    Ok(Submitted { transaction, outcome, send_delay, waited_for_connection, repeats })
}

/// The answer to one request.
#[derive(Debug)]
enum Answer {
    Accepted,
    Rejected {
        status: u16,
    },
    /// The request may have arrived, or is to be sent later. A retry is safe: the id stays the
    /// same.
    Retry {
        failure: String,
        after: Option<Duration>,
    },
}

impl Submitter {
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
            Err(error) => return Answer::Retry { failure: kind_of(&error), after: None },
        };
        let status = response.status();
        let after = retry_after(&response);
        // The body is read to its end so that the connection can be reused; only the status
        // matters.
        let _ = response.bytes().await;
        match status {
            status if status.is_success() => Answer::Accepted,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Answer::Retry { failure: format!("status {}", status.as_u16()), after }
            }
            status => Answer::Rejected { status: status.as_u16() },
        }
    }
}

/// The kind of a transport error, without the address, so that equal errors are counted together.
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
    // Never zero: even "0" must not cause a storm of requests.
    Some(Duration::from_secs(seconds).clamp(BACKOFF_BASE, RETRY_AFTER_MAX))
}

/// Half of it is fixed and half random, so that requests that failed together do not retry
/// together.
fn backoff(repeats: u64) -> Duration {
    let doublings = u32::try_from(repeats).unwrap_or(u32::MAX).min(16);
    let longest = (BACKOFF_BASE * 2_u32.pow(doublings)).min(BACKOFF_MAX);
    longest.mul_f64(rand::rng().random_range(0.5..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_doubles_up_to_its_maximum() {
        for (repeats, longest_ms) in [(0, 100), (1, 200), (4, 1600), (5, 2000), (u64::MAX, 2000)] {
            let pause = backoff(repeats);
            let longest = Duration::from_millis(longest_ms);
            assert!(pause >= longest / 2 && pause <= longest, "{repeats}: {pause:?}");
        }
    }
}
