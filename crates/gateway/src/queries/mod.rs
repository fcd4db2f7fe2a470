//! Reading transactions: one, the list and its filters, attempts, the export. Nothing here writes.

mod attempts;
mod export;
mod filter;
mod list;
mod row;
mod transaction;

pub use attempts::MAX_ATTEMPTS_PAGE;
pub use filter::Filter;
pub(crate) use list::push_page;
pub use list::{Cursor, MAX_PAGE};
pub(crate) use row::Row;
