//! What has come of the submissions.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::transaction::Transaction;

/// The longest latency that is told apart from longer ones.
const LONGEST_US: u64 = 60 * 60 * 1_000_000;

/// From when on a request counts as sent late.
const LATE: Duration = Duration::from_millis(100);

/// What came of one submission.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) transaction: Transaction,
    pub(crate) fate: Fate,
    /// How long after it was due it left.
    pub(crate) behind: Duration,
    /// Whether it had to wait for one of the connections there may be.
    pub(crate) waited_for_connection: bool,
    /// How often it was sent again.
    pub(crate) repeats: u64,
}

/// How a submission ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// With a 2xx, this long after it was due.
    Accepted { latency: Duration },
    /// With a status that a repetition would not change.
    Rejected { status: u16 },
    /// Without either, until there was no time left; with what went wrong last.
    GaveUp { last: String },
}

/// What has come of all of them.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) offered: u64,
    pub(crate) accepted: Vec<Transaction>,
    /// Not accepted, but perhaps arrived all the same.
    pub(crate) others: Vec<Transaction>,
    pub(crate) rejected_by_status: BTreeMap<u16, u64>,
    pub(crate) gave_up: BTreeMap<String, u64>,
    pub(crate) retried: u64,
    pub(crate) repeats: u64,
    pub(crate) sent_late: u64,
    pub(crate) sent_late_max: Duration,
    /// How often a request waited because there were as many as there may be.
    pub(crate) in_flight_bound_hits: u64,
    pub(crate) connection_bound_hits: u64,
    latencies_us: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            offered: 0,
            accepted: Vec::new(),
            others: Vec::new(),
            rejected_by_status: BTreeMap::new(),
            gave_up: BTreeMap::new(),
            retried: 0,
            repeats: 0,
            sent_late: 0,
            sent_late_max: Duration::ZERO,
            in_flight_bound_hits: 0,
            connection_bound_hits: 0,
            latencies_us: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
        })
    }

    pub(crate) fn add(&mut self, submitted: Submitted) {
        self.offered += 1;
        self.retried += u64::from(submitted.repeats > 0);
        self.repeats += submitted.repeats;
        self.connection_bound_hits += u64::from(submitted.waited_for_connection);
        if submitted.behind > LATE {
            self.sent_late += 1;
            self.sent_late_max = self.sent_late_max.max(submitted.behind);
        }
        match submitted.fate {
            Fate::Accepted { latency } => {
                let latency_us = u64::try_from(latency.as_micros()).unwrap_or(LONGEST_US);
                self.latencies_us.saturating_record(latency_us);
                self.accepted.push(submitted.transaction);
                return;
            }
            Fate::Rejected { status } => *self.rejected_by_status.entry(status).or_default() += 1,
            Fate::GaveUp { last } => *self.gave_up.entry(last).or_default() += 1,
        }
        self.others.push(submitted.transaction);
    }

    /// The latency that this share of the accepted requests stayed within.
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

    fn submitted(fate: Fate, behind_ms: u64, repeats: u64) -> Submitted {
        Submitted {
            transaction: Transaction::draw(1, 0),
            fate,
            behind: Duration::from_millis(behind_ms),
            waited_for_connection: false,
            repeats,
        }
    }

    #[test]
    fn every_submission_counts_once_under_what_came_of_it() {
        let mut tally = Tally::new().unwrap();
        for latency_ms in 1..=100 {
            let latency = Duration::from_millis(latency_ms);
            tally.add(submitted(Fate::Accepted { latency }, 0, 0));
        }
        tally.add(submitted(Fate::Rejected { status: 422 }, 0, 0));
        tally.add(submitted(Fate::GaveUp { last: "refused".to_owned() }, 0, 7));
        assert_eq!(tally.offered, 102);
        assert_eq!((tally.accepted.len(), tally.others.len()), (100, 2));
        assert_eq!(tally.rejected_by_status, BTreeMap::from([(422, 1)]));
        assert_eq!(tally.gave_up, BTreeMap::from([("refused".to_owned(), 1)]));
        assert_eq!((tally.retried, tally.repeats), (1, 7));
        let error_ms = (tally.latency_ms(0.5) - 50.0).abs();
        assert!(error_ms < 0.1, "{}", tally.latency_ms(0.5));
        assert!((tally.latency_max_ms() - 100.0).abs() < 0.2);
    }

    #[test]
    fn what_left_late_is_counted_with_the_worst() {
        let mut tally = Tally::new().unwrap();
        for behind_ms in [0, 100, 101, 700] {
            let fate = Fate::Accepted { latency: Duration::ZERO };
            tally.add(submitted(fate, behind_ms, 0));
        }
        assert_eq!((tally.sent_late, tally.sent_late_max), (2, Duration::from_millis(700)));
    }
}
