//! How many requests a principal and an address may make. Each process counts for itself.

mod decision;
mod limiter;
mod rate;
mod rate_limits;

pub use decision::Decision;
pub use rate::{InvalidRate, Rate};
pub use rate_limits::{RateLimits, RatePerRole};
