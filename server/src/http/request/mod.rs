//! Reading requests: JSON bodies, fields of bodies and queries, headers that several handlers read.
//!
//! Everything that is wrong becomes a problem. What one resource alone reads is with that resource.

pub mod accept;
pub mod body;
pub mod fields;
pub mod path;
pub mod trace_parent;
