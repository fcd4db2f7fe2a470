//! What a run has measured, part by part.

use serde::Serialize;

use crate::environment::onceward_process::Memory;
use crate::scenarios::drain::Drain;
use crate::scenarios::latency::Flow;
use crate::scenarios::list_pages::Pages;
use crate::scenarios::outage::Outage;
use crate::scenarios::overload::Overload;
use crate::scenarios::throughput::Throughput;

/// Each part's repeats, in their order; empty where the part was left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Transactions a second.
    pub pgbench: Vec<f64>,
    pub accepted: Vec<Throughput>,
    /// At 1,000 a second.
    pub latency: Vec<Flow>,
    pub posted: Vec<Drain>,
    /// At 200 a second.
    pub delay: Vec<Flow>,
    pub accepted_with_history: Vec<Throughput>,
    pub delay_with_history: Vec<Flow>,
    /// With 10,000 that wait, and POSTs under way by the default concurrency.
    pub memory_waiting: Option<Memory>,
    /// With 10,000 POSTs under way.
    pub memory_under_way: Option<Memory>,
    pub pages: Vec<Pages>,
    pub overload: Option<Overload>,
    pub outages: Vec<Outage>,
    /// Parts that could not be measured, or broke a promise, each with why.
    pub failures: Vec<String>,
}
