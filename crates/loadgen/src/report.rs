//! The result of a run, as JSON and with its exit code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many failure reasons are listed.
const REASONS_LISTED: usize = 5;

/// The result of a run. In JSON the names are in camelCase; `Display` prints a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Onceward's address.
    pub target: String,
    /// The posting service's address.
    pub ledger: String,
    /// The seed of the transactions' content.
    pub seed: u64,
    /// The requested rate, per second.
    pub offered_rate: f64,
    /// Accepted requests per second, from the first due time to the last answer.
    pub accepted_rate: f64,

    /// Whether the submissions were stopped before their time.
    pub stopped_early: bool,
    /// Submitted transactions.
    pub offered: u64,
    /// Transactions answered with 2xx.
    pub accepted: u64,
    /// Transactions answered with a status that a repetition would not change.
    pub rejected: u64,
    /// `rejected` by status.
    pub rejected_by_status: BTreeMap<u16, u64>,
    /// Transactions that got neither in time.
    pub gave_up: u64,
    /// `gave_up` by the last failure.
    pub gave_up_reasons: BTreeMap<String, u64>,
    /// Transactions that were sent more than once.
    pub retried: u64,
    /// The number of repeated requests.
    pub repeats: u64,

    /// Latency of the accepted transactions from when they were due, including repetitions.
    pub latency: Latency,
    /// Whether the load was offered at the requested rate.
    pub sent_late: SentLate,

    /// How long after the start all accepted transactions were final; `None` if they never were.
    pub all_final_after_ms: Option<u64>,
    /// The same, from the last acceptance, rejection or giving up.
    pub all_final_after_offering_ms: Option<u64>,
    /// Accepted and `completed`.
    pub completed: u64,
    /// Accepted and `failed`.
    pub failed: u64,
    /// The most frequent reasons for that, in this order.
    pub failed_reasons: Vec<FailedReason>,
    /// Accepted and then `rejected` by screening.
    pub screened: u64,
    /// Accepted and `cancelled`.
    pub cancelled: u64,
    /// Accepted and `in_doubt` at the deadline.
    pub in_doubt: u64,
    /// Accepted and not final at the deadline, or Onceward did not answer.
    pub unfinished: u64,

    /// Accepted, but unknown to Onceward, or `completed` without an entry in the ledger.
    pub lost: u64,
    /// More than one entry in the ledger.
    pub duplicated: u64,
    /// `failed`, `rejected` or `cancelled`, but with an entry in the ledger.
    pub wrongly_failed: u64,
    /// An entry with another amount or currency than submitted.
    pub mismatched: u64,
    /// Some ids of each of these four.
    pub examples: Examples,
    /// Late writes that the posting service had not yet applied at the audit: if this is not 0,
    /// they may add duplicates that are not counted.
    pub late_writes_pending: u64,
}

/// Latency of the accepted transactions from when they were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// The median.
    pub p50_ms: f64,
    /// The 90th percentile.
    pub p90_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// How many requests were sent late, and what delayed them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentLate {
    /// Requests sent more than 100 ms after they were due.
    pub requests: u64,
    /// The longest delay among them.
    pub max_ms: u64,
    /// How often sending waited because the limit of requests in flight was reached.
    pub in_flight_bound_hits: u64,
    /// How many requests waited for a free connection.
    pub connection_bound_hits: u64,
}

/// One reason why transactions are `failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailedReason {
    /// Onceward's code or text for it.
    pub reason: String,
    /// How many transactions.
    pub count: u64,
}

/// Example ids: the first ten of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Examples {
    /// Lost transactions.
    pub lost: Vec<Uuid>,
    /// Duplicated transactions.
    pub duplicated: Vec<Uuid>,
    /// Wrongly failed transactions.
    pub wrongly_failed: Vec<Uuid>,
    /// Mismatched transactions.
    pub mismatched: Vec<Uuid>,
}

impl Report {
    /// 0 if Onceward kept its promise for every accepted transaction; a plain `failed` keeps it. 1 if one is
    /// lost or duplicated. 2 if there is anything else wrong, or nothing is shown because a transaction is
    /// not final, or none was accepted.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let unproven = self.wrongly_failed + self.mismatched + self.in_doubt + self.unfinished;
        if self.lost + self.duplicated > 0 {
            1
        } else if unproven > 0 || self.accepted == 0 {
            2
        } else {
            0
        }
    }

    /// Keeps the most frequent failure reasons, in that order.
    pub(crate) fn set_failed_reasons(&mut self, counts: BTreeMap<String, u64>) {
        let mut reasons: Vec<FailedReason> =
            counts.into_iter().map(|(reason, count)| FailedReason { reason, count }).collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
        reasons.truncate(REASONS_LISTED);
        self.failed_reasons = reasons;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn good() -> Report {
        Report {
            target: "http://127.0.0.1:3000".to_owned(),
            ledger: "http://127.0.0.1:8080".to_owned(),
            offered: 6000,
            accepted: 6000,
            completed: 5999,
            failed: 1,
            offered_rate: 200.0,
            accepted_rate: 199.96,
            latency: Latency { p50_ms: 1.25, p90_ms: 2.0, p99_ms: 9.5, max_ms: 1040.0 },
            all_final_after_ms: Some(34_250),
            all_final_after_offering_ms: Some(4_249),
            ..Report::default()
        }
    }

    #[test]
    fn the_exit_code_is_1_for_lost_and_duplicated_alone_and_a_plain_failure_is_0() {
        assert_eq!(good().exit_code(), 0);
        let rejected = Report { rejected: 3, gave_up: 2, ..good() };
        assert_eq!(rejected.exit_code(), 0);
        for broken in
            [Report { lost: 1, ..good() }, Report { duplicated: 1, in_doubt: 1, ..good() }]
        {
            assert_eq!(broken.exit_code(), 1, "{broken:?}");
        }
        for unproven in [
            Report { wrongly_failed: 1, ..good() },
            Report { mismatched: 1, ..good() },
            Report { in_doubt: 1, ..good() },
            Report { unfinished: 1, ..good() },
            Report { accepted: 0, ..good() },
        ] {
            assert_eq!(unproven.exit_code(), 2, "{unproven:?}");
        }
    }

    #[test]
    fn the_json_is_in_camel_case_and_can_be_read_back() {
        let json = serde_json::to_value(good()).unwrap();
        assert_eq!(json["wronglyFailed"], 0);
        assert_eq!(json["allFinalAfterMs"], 34_250);
        assert_eq!(json["latency"]["p50Ms"].to_string(), "1.25");
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), good());
    }

    #[test]
    fn the_most_frequent_reasons_are_listed_first_and_the_rest_is_dropped() {
        let mut report = Report::default();
        report.set_failed_reasons((1..=8).map(|n| (format!("reason {n}"), n)).collect());
        let counts: Vec<u64> = report.failed_reasons.iter().map(|reason| reason.count).collect();
        assert_eq!(counts, [8, 7, 6, 5, 4]);
    }
}
