//! `/transactions/{id}`: one transaction with its status, fields, timeline and interventions.
//!
//! The list of transactions is in [`transactions`](crate::pages::transactions).

mod attempt;
mod copy_button;
mod fields;
mod interventions;
mod page;
mod status;
mod timeline;

pub use page::TransactionPage;
