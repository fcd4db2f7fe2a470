//! What makes up for dead workers: leases, reclaiming claims, housekeeping. The loop that renews a
//! lease is `posting::heartbeat`.

pub mod housekeeping;
pub mod lease;
pub mod reclaim;
