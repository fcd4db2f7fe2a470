//! Counts the outcomes of the submissions, with the histogram of their latencies.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::transaction::Transaction;

/// Longer latencies are recorded as this one.
const MAX_LATENCY_US: u64 = 60 * 60 * 1_000_000;

/// A request sent later than this after it was due counts as sent late.
const SENT_LATE_AFTER: Duration = Duration::from_millis(100);

/// One submission and its outcome.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) transaction: Transaction,
    pub(crate) outcome: Outcome,
    /// How long after it was due it was first sent.
    pub(crate) send_delay: Duration,
    /// Whether it had to wait for a free connection.
    pub(crate) waited_for_connection: bool,
    /// How often it was sent again.
    pub(crate) repeats: u64,
}

/// How a submission ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered with 2xx, this long after it was due.
    Accepted { latency: Duration },
    /// Answered with a status that a repetition would not change.
    Rejected { status: u16 },
    /// Neither until the deadline.
    GaveUp { last_failure: String },
}

/// The counts of all submissions.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) offered: u64,
    pub(crate) accepted: Vec<Transaction>,
    /// Not accepted, but they may have arrived.
    pub(crate) not_accepted: Vec<Transaction>,
    pub(crate) rejected_by_status: BTreeMap<u16, u64>,
    pub(crate) gave_up: BTreeMap<String, u64>,
    pub(crate) retried: u64,
    pub(crate) repeats: u64,
    pub(crate) sent_late: u64,
    pub(crate) sent_late_max: Duration,
    /// How often a request waited because the limit in flight was reached.
    pub(crate) in_flight_bound_hits: u64,
    pub(crate) connection_bound_hits: u64,
    latencies_us: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            offered: 0,
            accepted: Vec::new(),
            not_accepted: Vec::new(),
            rejected_by_status: BTreeMap::new(),
            gave_up: BTreeMap::new(),
            retried: 0,
            repeats: 0,
            sent_late: 0,
            sent_late_max: Duration::ZERO,
            in_flight_bound_hits: 0,
            connection_bound_hits: 0,
            latencies_us: Histogram::new_with_bounds(1, MAX_LATENCY_US, 3)?,
        })
    }

    pub(crate) fn add(&mut self, submitted: Submitted) {
        self.offered += 1;
        self.retried += u64::from(submitted.repeats > 0);
        self.repeats += submitted.repeats;
        self.connection_bound_hits += u64::from(submitted.waited_for_connection);
        if submitted.send_delay > SENT_LATE_AFTER {
            self.sent_late += 1;
            self.sent_late_max = self.sent_late_max.max(submitted.send_delay);
        }
        match submitted.outcome {
            Outcome::Accepted { latency } => {
                let latency_us = u64::try_from(latency.as_micros()).unwrap_or(MAX_LATENCY_US);
                self.latencies_us.saturating_record(latency_us);
                self.accepted.push(submitted.transaction);
                return;
            }
            Outcome::Rejected { status } => {
                *self.rejected_by_status.entry(status).or_default() += 1
            }
            Outcome::GaveUp { last_failure } => *self.gave_up.entry(last_failure).or_default() += 1,
        }
        self.not_accepted.push(submitted.transaction);
    }

    /// The latency at this quantile of the accepted requests.
    pub(crate) fn latency_ms(&self, quantile: f64) -> f64 {
        to_ms(self.latencies_us.value_at_quantile(quantile))
    }

    pub(crate) fn latency_max_ms(&self) -> f64 {
        to_ms(self.latencies_us.max())
    }
}

#[expect(clippy::cast_precision_loss, reason = "an hour in microseconds is exact")]
fn to_ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submitted(outcome: Outcome, send_delay_ms: u64, repeats: u64) -> Submitted {
        Submitted {
            transaction: Transaction::draw(1, 0),
            outcome,
            send_delay: Duration::from_millis(send_delay_ms),
            waited_for_connection: false,
            repeats,
        }
    }

    #[test]
    fn every_submission_is_counted_once_by_its_outcome() {
        let mut tally = Tally::new().unwrap();
        for latency_ms in 1..=100 {
            let latency = Duration::from_millis(latency_ms);
            tally.add(submitted(Outcome::Accepted { latency }, 0, 0));
        }
        tally.add(submitted(Outcome::Rejected { status: 422 }, 0, 0));
        tally.add(submitted(Outcome::GaveUp { last_failure: "refused".to_owned() }, 0, 7));
        assert_eq!(tally.offered, 102);
        assert_eq!((tally.accepted.len(), tally.not_accepted.len()), (100, 2));
        assert_eq!(tally.rejected_by_status, BTreeMap::from([(422, 1)]));
        assert_eq!(tally.gave_up, BTreeMap::from([("refused".to_owned(), 1)]));
        assert_eq!((tally.retried, tally.repeats), (1, 7));
        let error_ms = (tally.latency_ms(0.5) - 50.0).abs();
        assert!(error_ms < 0.1, "{}", tally.latency_ms(0.5));
        assert!((tally.latency_max_ms() - 100.0).abs() < 0.2);
    }

    #[test]
    fn requests_sent_late_are_counted_with_the_longest_delay() {
        let mut tally = Tally::new().unwrap();
        for send_delay_ms in [0, 100, 101, 700] {
            let outcome = Outcome::Accepted { latency: Duration::ZERO };
            tally.add(submitted(outcome, send_delay_ms, 0));
        }
        assert_eq!((tally.sent_late, tally.sent_late_max), (2, Duration::from_millis(700)));
    }
}
