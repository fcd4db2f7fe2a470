//! Each step of an execution is failed once and repeated once. Whatever happens, after the recovery
//! the transaction reaches its end and is posted exactly once.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/breakpoints.rs"]
mod breakpoints;
#[path = "../support/drive.rs"]
mod drive;
#[path = "../support/invariants.rs"]
mod invariants;
#[path = "../support/posting_service.rs"]
mod posting_service;
#[path = "../support/proxy.rs"]
mod proxy;

mod abandoned_begin;
mod dropped_workers;
mod failed_statements;
mod fixture;
mod late_commit;
mod poison_transactions;
mod redeliveries;
mod silent_connections;
mod stranded_jobs;
mod unanswered_commits;
mod wake_ups;
