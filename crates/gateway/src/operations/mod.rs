//! The operations of operators: cancel, retry, resolve, bulk retry, pause, cleanup. Which of them a
//! state permits is decided in `domain::intervention`.

mod bulk_retry;
mod cleanup;
mod intervention;
mod pause;

pub use bulk_retry::BulkRetry;
pub(crate) use bulk_retry::{BulkRetryJob, run_bulk_retry};
pub use intervention::InterventionError;
