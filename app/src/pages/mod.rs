//! One file for each address.

mod not_found;
mod transaction;
mod transactions;

pub use not_found::NotFoundPage;
pub use transaction::TransactionPage;
pub use transactions::TransactionsPage;
