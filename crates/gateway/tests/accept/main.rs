//! Accepting submissions: storing them, replays and conflicts. The posting of a stored transaction
//! is in `posting`, races between processes in `interleaving`.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod earlier_rows;
mod idempotency;
mod submit;
