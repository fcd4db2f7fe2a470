//! Reading transactions: lists, attempts and exports. What monitors read is in `monitoring`.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod attempts;
mod damaged_rows;
mod export;
mod list;
