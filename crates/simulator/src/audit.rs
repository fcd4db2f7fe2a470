//! What the ledger and the counters say about a client.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::counters::RequestCounts;

/// What the ledger and the counters say: the answer of `GET /admin/audit`, in camelCase there.
///
/// The ledger's part survives a `kill -9`; the counters start again with the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// Rows in the ledger.
    pub entries: usize,
    /// Ids that have at least one.
    pub distinct_ids: usize,
    /// Ids that have more than one.
    pub duplicated_count: usize,
    /// The first 100 of them.
    pub duplicated_ids: Vec<String>,
    /// Requests since the start or the last cleanup.
    pub requests: RequestCounts,
    /// Faults since then, by kind; a kind that never struck is there with 0.
    pub faults_injected: BTreeMap<String, u64>,
    /// Late writes that have not landed yet. Until this is 0, the ledger may still change.
    pub late_writes_pending: u64,
    /// The seed that decides who is hit.
    pub seed: u64,
}
