//! How the engine is doing: the change feed, counts, health, statistics. Nothing here changes a
//! transaction.

pub mod change_feed;
pub mod counts;
pub mod health;
pub mod last_minute;
pub mod posting_status;
pub mod statistics;
