//! How large the body of a request may be.

/// The largest body of a request, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// The largest body of a batch, in bytes.
pub const MAX_BATCH_BODY_BYTES: usize = 1024 * 1024;
