//! Two sessions of PostgreSQL compete for one row. Each conditional update is stopped in the middle
//! while the other session runs: exactly one of them makes the change, and the other reports that
//! it did not.
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

mod action;
mod bulk_retries;
mod conflicts;
mod fixture;
mod pair;
mod pauses;
mod reclaims;
mod submissions;
