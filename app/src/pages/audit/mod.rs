//! `/audit`: who did what, and who was refused what.

mod address;
mod filters;
mod list;
mod page;

pub use page::AuditPage;
