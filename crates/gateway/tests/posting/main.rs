//! PostingRequest: admission control, one execution, and whole workers. The HTTP client alone is in
//! `posting_client`, failures in the middle of an execution in `fault_injection`.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod credentials;
mod damaged_jobs;
mod damaged_rows;
mod doubt;
mod earlier_rules;
mod execution;
mod fixture;
mod trace;
mod worker;
