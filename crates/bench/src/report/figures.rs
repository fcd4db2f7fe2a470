//! All results of a run, by part.

use serde::Serialize;

use crate::environment::onceward_process::Memory;
use crate::scenarios::credentials::Authenticated;
use crate::scenarios::drain::Drain;
use crate::scenarios::fleet::Fleet;
use crate::scenarios::latency::Latencies;
use crate::scenarios::list_pages::Pages;
use crate::scenarios::outage::Outage;
use crate::scenarios::overload::Overload;
use crate::scenarios::throughput::Throughput;

/// The repetitions of each part, in order; empty if the part was left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// Transactions per second.
    pub pgbench: Vec<f64>,
    pub accepted: Vec<Throughput>,
    /// At 1,000 per second.
    pub latency: Vec<Latencies>,
    pub posted: Vec<Drain>,
    /// At 200 per second.
    pub delay: Vec<Latencies>,
    pub accepted_with_history: Vec<Throughput>,
    pub delay_with_history: Vec<Latencies>,
    /// With a backlog of 10,000, and as many POSTs in flight as the default concurrency.
    pub memory_waiting: Option<Memory>,
    /// With 10,000 POSTs in flight.
    pub memory_under_way: Option<Memory>,
    pub pages: Vec<Pages>,
    /// At 200 per second.
    pub fleet: Vec<Fleet>,
    pub with_key: Vec<Authenticated>,
    pub with_token: Vec<Authenticated>,
    pub overload: Option<Overload>,
    pub outages: Vec<Outage>,
    /// Parts that could not be measured or whose audit failed, each with the reason.
    pub failures: Vec<String>,
}
