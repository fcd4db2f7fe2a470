//! `/api/transactions`: submitting one or many, reading, listing and exporting them.
//!
//! What operators do to a transaction is in `operations`; the rules of a submission are in `domain`.

pub mod batch;
pub mod export;
pub mod filter;
pub mod idempotency_key;
pub mod submit;
