//! What the server does for the pages, over `/fn`: queries, submissions and an operator's actions.
//!
//! Each function calls the engine and has no rules of its own. Changes reach the page through the
//! [`feed`](crate::feed), not from here.

pub mod bulk_retry;
pub mod intervention;
pub mod json_codec;
pub mod load_error;
pub mod operation_error;
#[cfg(feature = "ssr")]
mod operator_reason;
#[cfg(feature = "ssr")]
pub mod permitted;
pub mod plain_form_post;
pub mod posting;
pub mod queries;
pub mod submit;
