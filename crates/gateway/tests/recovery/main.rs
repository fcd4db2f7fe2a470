//! Housekeeping: what is removed from the tables, and what is repaired there. Dead workers are in
//! `posting` and `fault_injection`.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod housekeeping;
mod other_programs;
