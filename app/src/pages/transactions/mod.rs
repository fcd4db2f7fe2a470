//! `/`: the list of transactions, with its tabs, its rows and the form that submits a transaction.
//!
//! The page of one transaction is in [`transaction`](crate::pages::transaction).

mod cursor;
mod draft;
mod empty_list;
mod form_field;
mod ignored_filters;
mod list;
mod list_address;
mod new_id;
mod page;
mod retry_all;
mod rows;
mod state_tabs;
mod submit_form;
mod transaction_row;

pub use page::TransactionsPage;
