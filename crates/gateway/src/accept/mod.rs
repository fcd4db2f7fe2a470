//! Accepting transactions: the submission, its idempotent replay, and the multi-row insert that
//! makes it durable. Nothing here posts.

pub mod insert;
pub mod submit;
