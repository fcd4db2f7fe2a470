//! Two sessions of PostgreSQL over one row, each conditional update stopped in its middle while the
//! other comes: exactly one of them makes the change, and the other says that it did not.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/course.rs"]
mod course;
#[path = "../support/invariants.rs"]
mod invariants;
#[path = "../support/ledger.rs"]
mod ledger;
#[path = "../support/stage.rs"]
mod stage;

mod bulk;
mod moves;
mod pairs;
mod pauses;
mod recoveries;
mod rivals;
mod scene;
mod submissions;
