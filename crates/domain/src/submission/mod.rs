//! What a client hands over: its fields, their limits, its idempotency key, and the fingerprint that tells
//! whether two submissions are the same.

mod body;
mod fingerprint;
mod idempotency_key;
pub mod limits;
#[cfg(feature = "openapi")]
pub mod schema;

pub use body::{FieldError, Submission};
pub use fingerprint::Fingerprint;
pub use idempotency_key::{BadIdempotencyKey, IdempotencyKey, MAX_KEY_CHARS};
