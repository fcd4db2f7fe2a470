//! What a run has measured, part by part.

use serde::Serialize;

use crate::{drain::Drain, throughput::Throughput};

/// Each part's repeats, in their order; empty where the part was left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Transactions a second.
    pub pgbench: Vec<f64>,
    pub accepted: Vec<Throughput>,
    pub posted: Vec<Drain>,
}
