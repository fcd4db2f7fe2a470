//! What the program reports about itself: the log and the metrics.
//!
//! The route `/metrics` and the counting of requests are in `http`.

pub mod log;
pub mod metrics;
