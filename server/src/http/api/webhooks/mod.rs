//! `/v1`: inbound webhooks, their signatures, and the view of a transaction that its sender gets.
//!
//! A webhook becomes an ordinary submission; nothing here sends webhooks.

pub mod receive;
pub mod sender_view;
pub mod signature;
