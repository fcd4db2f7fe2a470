//! Accepting submissions: storing them, replays and conflicts. What happens to a stored transaction is in
//! `posting`.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod idempotency;
mod submit;
