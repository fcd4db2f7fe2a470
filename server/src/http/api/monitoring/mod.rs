//! How Onceward is doing: health and probes, metrics, the stream of changes, the sign of life at `/`.
//!
//! The metrics' names are in `telemetry`; counting requests is a middleware.

pub mod health;
pub mod home;
pub mod metrics;
pub mod stream;
