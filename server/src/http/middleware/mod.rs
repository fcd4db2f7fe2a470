//! The middleware of every request: authentication, rate limits, the arrival of the body, deadline, load shedding, same origin, content encoding, request id, metrics, problem
//! rendering.
//!
//! `http` puts them in order; nothing here depends on a resource.

pub mod authentication;
pub mod body_arrival;
pub mod content_encoding;
pub mod deadline;
pub mod load_shedding;
pub mod problem_rendering;
pub mod rate_limit;
pub mod request_id;
pub mod request_metrics;
pub mod same_origin;
pub mod selected_representation;
