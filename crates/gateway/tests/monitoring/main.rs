//! What monitors read: counts. Lists of transactions are in `queries`.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod counts;
