//! What the ledger and the counters show about a client.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::counters::RequestCounts;

/// What the ledger and the counters show: the answer to `GET /admin/audit`, there in camelCase.
///
/// The ledger's part survives a `kill -9`; the counters restart with the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Rows in the ledger.
    pub entries: usize,
    /// Ids with at least one row.
    pub distinct_ids: usize,
    /// Ids with more than one row.
    pub duplicated_count: usize,
    /// The first 100 of them.
    pub duplicated_ids: Vec<String>,
    /// Requests since the start or the last cleanup.
    pub requests: RequestCounts,
    /// Faults since then, by kind; a kind that never occurred is listed with 0.
    pub faults_injected: BTreeMap<String, u64>,
    /// Late writes that are not yet applied. Until this is 0, the ledger may still change.
    pub late_writes_pending: u64,
    /// The seed that decides which requests are hit.
    pub seed: u64,
}
