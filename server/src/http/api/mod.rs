//! The REST API: one folder for each resource, with its handlers and the types that only they use.
//!
//! Reading bodies and fields is in `request`, errors in `problem`, what holds for every request in `middleware`.

pub mod monitoring;
pub mod operations;
pub mod transactions;
pub mod webhooks;
