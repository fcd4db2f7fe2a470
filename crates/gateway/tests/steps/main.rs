//! Each step of a transaction's turn, failed once and repeated once. Whatever becomes of it: after the
//! recovery the transaction comes to its end, and is posted exactly once.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/course.rs"]
mod course;
#[path = "../support/invariants.rs"]
mod invariants;
#[path = "../support/ledger.rs"]
mod ledger;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/stage.rs"]
mod stage;

mod aborts;
mod begun;
mod deliveries;
mod failures;
mod forgotten;
mod poison;
mod scene;
mod silent;
