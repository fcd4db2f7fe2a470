//! The middleware of every request: request target, same origin, the arrival of the body, load shedding, deadline,
//! authentication and whether it still holds, rate limits, content encoding, request id, metrics, problem rendering.
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
pub mod request_target;
pub mod same_origin;
pub mod selected_representation;
pub mod standing;
