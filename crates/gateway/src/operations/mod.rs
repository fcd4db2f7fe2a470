//! What operators do: cancel, retry, resolve, bulk retries, the pause, the cleanup. Which of these a
//! state permits is decided in `domain::intervention`.

pub mod bulk_retry;
pub mod cleanup;
pub mod intervention;
pub mod pause;
