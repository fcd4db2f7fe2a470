//! What operators do beyond a single transaction. Their races with workers are in `interleaving`.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod cleanup;
