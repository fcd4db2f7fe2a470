//! The state of the engine: the change feed, counts, health, statistics. Nothing here changes a
//! transaction.

mod change_feed;
mod change_page;
mod changes_since;
mod commits;
mod counts;
mod health;
mod last_minute;
mod position;
mod posting_status;
mod statistics;
mod unfinished;

pub use change_feed::{Change, Changes, Listener};
pub use changes_since::ChangesPage;
pub(crate) use commits::Commits;
pub(crate) use counts::compact;
pub use health::{Health, Status};
pub(crate) use last_minute::{LastMinute, Requests};
pub use position::{BadPosition, Position};
pub use statistics::{Statistics, TableStatistics};
pub use unfinished::{OlderThan, Unfinished};
