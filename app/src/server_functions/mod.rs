//! What the server does for the pages: reads, submits and carries out an operator's actions, over `/fn`.
//!
//! Each function calls the engine and has no rules of its own. Changes come to the page by the
//! [`feed`](crate::feed).

pub mod bulk_retry;
pub mod intervention;
pub mod json_codec;
pub mod load_error;
pub mod operation_error;
#[cfg(feature = "ssr")]
mod operator_reason;
pub mod plain_form_post;
pub mod posting;
pub mod queries;
pub mod submit;
