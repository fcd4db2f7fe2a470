//! The load that the harness puts on Onceward: submissions from a closed loop or from an open loop.
//!
//! Not here: the HTTP connection that carries it ([`crate::http`]), and which load a scenario
//! offers.

pub mod closed_loop;
pub mod open_loop;
mod submission;
