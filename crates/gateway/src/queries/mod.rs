//! Reading transactions: one, the list and its filters, attempts, the export; and the notes of those that cannot be
//! read, which are all that is written here.

mod attempts;
mod cursor;
mod export;
mod filter;
mod list;
mod row;
mod transaction;
mod unreadable;

pub use attempts::MAX_ATTEMPTS_PAGE;
pub use cursor::{BadCursor, Cursor};
pub use filter::Filter;
pub use list::MAX_PAGE;
pub(crate) use list::push_page;
pub(crate) use row::Row;
pub(crate) use unreadable::{forget_readable, note, read_rows};
