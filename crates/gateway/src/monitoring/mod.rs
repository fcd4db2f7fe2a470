//! The state of the engine: the change feed, counts, health, statistics. Nothing here changes a
//! transaction.

mod change_feed;
mod change_page;
mod counts;
mod health;
mod last_minute;
mod posting_status;
mod statistics;

pub use change_feed::{Change, Changes, Listener};
pub(crate) use counts::compact;
pub use health::{Health, Status};
pub(crate) use last_minute::{Attempts, LastMinute};
pub use statistics::{Statistics, TableStatistics};
