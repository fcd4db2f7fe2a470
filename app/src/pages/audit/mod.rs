//! `/audit`: who did what, and who was refused what.
//!
//! Only the server renders it, as the pages for people: it has no script, and adds nothing to the page's WASM.

mod address;
mod filters;
mod list;
mod page;
mod query;

pub use page::Audit;
pub use query::AuditQuery;
