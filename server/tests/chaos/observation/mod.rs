//! What a scenario observes while a fault lasts: the claims that workers hold, and how the web process
//! answers, and whether health is true. The check at the end is in `auditor.rs`.

pub mod claims;
pub mod health;
pub mod probe;
