//! What is measured, one scenario a file, with the database history that some of them start from
//! and the audit that most of them end with.
//!
//! Not here: the order of the scenarios ([`crate::run`]), and how results are reported
//! ([`crate::report`]).

pub mod audit;
pub mod credentials;
pub mod drain;
pub mod fleet;
pub mod history;
pub mod latency;
pub mod list_pages;
pub mod memory;
pub mod outage;
pub mod overload;
pub mod pgbench;
pub mod throughput;
