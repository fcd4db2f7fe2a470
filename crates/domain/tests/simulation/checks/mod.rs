//! What a run is checked against, and the guards that are removed one at a time to show that the
//! checks notice. How a run proceeds is in `run`.

pub mod invariants;
pub mod mutation;
