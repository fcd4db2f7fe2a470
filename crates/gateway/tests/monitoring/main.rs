//! What monitors read: the change feed, the counts, and health. Lists of transactions are in `queries`.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod change_feed;
mod counts;
mod health;
