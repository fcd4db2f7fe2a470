//! What operators do: interventions in one transaction, bulk retries, the pause of posting, the cleanup.
//!
//! Reading how Onceward is doing is in `monitoring`.

pub mod bulk_retries;
pub mod cleanup;
pub mod interventions;
pub mod posting_pause;
