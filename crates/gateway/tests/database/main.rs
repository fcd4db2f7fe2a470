//! How statements use PostgreSQL: what they read, and what becomes of those that are abandoned.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod abandoned_statements;
mod commit_faults;
mod query_plans;
