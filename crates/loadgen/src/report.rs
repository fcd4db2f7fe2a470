//! What a run has shown, for machines and for people.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many reasons for failures are listed.
const REASONS_LISTED: usize = 5;

/// What a run has shown. In JSON in camelCase; `Display` makes a table of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Where Onceward was.
    pub target: String,
    /// Where the posting service was.
    pub ledger: String,
    /// The seed of the content.
    pub seed: u64,
    /// Requests a second, as asked for.
    pub offered_rate: f64,
    /// Requests a second that were accepted, from the first one's due time to the last acceptance.
    pub accepted_rate: f64,

    /// Transactions that were submitted.
    pub offered: u64,
    /// Those that got a 2xx.
    pub accepted: u64,
    /// Those that got a status that a repetition would not change.
    pub rejected: u64,
    /// The same by status.
    pub rejected_by_status: BTreeMap<u16, u64>,
    /// Those that got neither in time.
    pub gave_up: u64,
    /// The same by what went wrong last.
    pub gave_up_reasons: BTreeMap<String, u64>,
    /// Those that were sent more than once.
    pub retried: u64,
    /// How often something was sent again, all in all.
    pub repeats: u64,

    /// How long the accepted ones took from when they were due, repetitions included.
    pub latency: Latency,
    /// Whether the load was offered as asked for.
    pub sent_late: SentLate,

    /// How long after the start all that was accepted was final; none where it never was.
    pub all_final_after_ms: Option<u64>,
    /// The same, counted from the last acceptance, rejection or giving up.
    pub all_final_after_offering_ms: Option<u64>,
    /// Accepted and `completed`.
    pub completed: u64,
    /// Accepted and `failed`.
    pub failed: u64,
    /// The reasons for that, the most frequent ones first.
    pub failed_reasons: Vec<FailedReason>,
    /// Accepted and then `rejected` by screening.
    pub screened: u64,
    /// Accepted and `cancelled`.
    pub cancelled: u64,
    /// Accepted and `in_doubt` when the time was over.
    pub in_doubt: u64,
    /// Accepted and not final when the time was over, or not to be learnt.
    pub unfinished: u64,

    /// Accepted, and unknown to Onceward, or `completed` without an entry in the ledger.
    pub lost: u64,
    /// More than one entry in the ledger.
    pub duplicated: u64,
    /// `failed`, `rejected` or `cancelled` with an entry in the ledger.
    pub wrongly_failed: u64,
    /// An entry with another amount or currency than was submitted.
    pub mismatched: u64,
    /// Some ids of each of these.
    pub examples: Examples,
    /// Writes that the posting service had still to make when it was audited: where this is not 0,
    /// there may be duplicates to come that are not counted.
    pub late_writes_pending: u64,
}

/// How long the accepted ones took from when they were due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Half of them took at most this.
    pub p50_ms: f64,
    /// 90 % of them took at most this.
    pub p90_ms: f64,
    /// 99 % of them took at most this.
    pub p99_ms: f64,
    /// The longest one.
    pub max_ms: f64,
}

/// Whether requests left when they were due, and what held them back where they did not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentLate {
    /// Requests that left more than 100 ms after they were due.
    pub requests: u64,
    /// The latest of them.
    pub max_ms: u64,
    /// How often sending waited because as many were in flight as there may be.
    pub in_flight_bound_hits: u64,
    /// How many requests waited for a connection because there were as many as there may be.
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

/// Ids to look at: the first ten of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Examples {
    /// Lost ones.
    pub lost: Vec<Uuid>,
    /// Duplicated ones.
    pub duplicated: Vec<Uuid>,
    /// Wrongly failed ones.
    pub wrongly_failed: Vec<Uuid>,
    /// Mismatched ones.
    pub mismatched: Vec<Uuid>,
}

impl Report {
    /// 0 where Onceward kept its promise to all that it accepted, else 1. A plain `failed` keeps it.
    /// A run in which nothing was accepted has shown nothing, and is 1 too.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let broken = self.lost
            + self.duplicated
            + self.wrongly_failed
            + self.mismatched
            + self.in_doubt
            + self.unfinished;
        u8::from(broken > 0 || self.accepted == 0)
    }

    /// Sets the reasons for failures: the most frequent ones, in that order.
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
    fn a_plain_failure_is_no_error_and_each_broken_promise_is() {
        assert_eq!(good().exit_code(), 0);
        let rejected = Report { rejected: 3, gave_up: 2, ..good() };
        assert_eq!(rejected.exit_code(), 0);
        for broken in [
            Report { lost: 1, ..good() },
            Report { duplicated: 1, ..good() },
            Report { wrongly_failed: 1, ..good() },
            Report { mismatched: 1, ..good() },
            Report { in_doubt: 1, ..good() },
            Report { unfinished: 1, ..good() },
            Report { accepted: 0, ..good() },
        ] {
            assert_eq!(broken.exit_code(), 1, "{broken:?}");
        }
    }

    #[test]
    fn the_json_is_in_camel_case_and_reads_back() {
        let json = serde_json::to_value(good()).unwrap();
        assert_eq!(json["wronglyFailed"], 0);
        assert_eq!(json["allFinalAfterMs"], 34_250);
        assert_eq!(json["latency"]["p50Ms"].to_string(), "1.25");
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), good());
    }

    #[test]
    fn the_most_frequent_reasons_come_first_and_the_rest_is_cut() {
        let mut report = Report::default();
        report.set_failed_reasons((1..=8).map(|n| (format!("reason {n}"), n)).collect());
        let counts: Vec<u64> = report.failed_reasons.iter().map(|reason| reason.count).collect();
        assert_eq!(counts, [8, 7, 6, 5, 4]);
    }
}
