//! What a client submits: the fields, their limits, the idempotency key, and the fingerprint that shows
//! whether two submissions are the same. Accepting and storing a submission is the `gateway` crate's work.

mod fields;
mod fingerprint;
mod idempotency_key;
pub mod limits;
mod metadata;
pub mod near_names;
mod reference;
#[cfg(feature = "openapi")]
pub mod schema;

pub use fields::{FieldError, Submission};
pub use fingerprint::Fingerprint;
pub use idempotency_key::{BadIdempotencyKey, IdempotencyKey, MAX_KEY_CHARS};
pub use reference::Reference;
