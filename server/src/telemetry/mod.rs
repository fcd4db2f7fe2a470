//! What the program reports about itself: the log and the metrics.
//!
//! The route `/metrics` and the middleware that counts requests are in `http`.

pub mod log;
mod lossy_writer;
pub mod metrics;
