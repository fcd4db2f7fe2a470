//! Reading transactions: one, the list and its filters, attempts, the export. Nothing here writes.

pub mod export;
pub mod filter;
pub mod list;
pub mod row;
pub mod transaction;
