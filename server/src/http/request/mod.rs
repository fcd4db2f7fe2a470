//! Reading requests: JSON bodies, fields of bodies and queries, headers that several handlers read.
//!
//! Every error becomes a problem. What only one resource reads is with that resource.

pub mod accept;
pub mod authority;
pub mod body;
pub mod fields;
pub mod path;
pub mod trace_parent;
