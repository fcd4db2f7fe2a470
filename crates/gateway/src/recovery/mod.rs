//! Recovery from dead workers: leases, reclaiming claims, housekeeping. The loop that renews a
//! lease is `posting::heartbeat`.

pub mod housekeeping;
pub(crate) mod lease;
mod reclaim;

pub use lease::reclaim_expired;
pub(crate) use reclaim::{ReclaimCause, reclaim};
