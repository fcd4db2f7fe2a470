//! Accepting transactions: the submission, its idempotent replay, and the multi-row insert that
//! makes it durable. Nothing here posts.

mod insert;
mod submit;

pub(crate) use insert::Accept;
pub use submit::{SubmitError, Submitted};
