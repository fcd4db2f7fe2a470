//! What every request passes through: deadline, load shedding, same origin, request id, problem rendering.
//!
//! `http` puts them in order. Nothing here knows a resource.

pub mod deadline;
pub mod load_shedding;
pub mod problem_rendering;
pub mod request_id;
pub mod request_metrics;
pub mod same_origin;
