//! The engine as simulated: the table with its statements, and the worker processes with their
//! executions and leases. The decisions are those of `domain::protocol`; what surrounds the engine
//! is in `world`.

pub mod lease;
pub mod process;
pub mod row;
pub mod store;
pub mod worker;
