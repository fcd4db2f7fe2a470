//! The maximum sizes of a submission's fields.

/// The longest reference or account, in characters.
pub const MAX_NAME_CHARS: usize = 128;
/// The longest description, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 1024;
/// The largest metadata, in bytes of compact JSON.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;
/// The deepest metadata, in levels of objects and arrays, the metadata itself being the first. Readers of JSON stop at
/// 64 levels or more, and an answer wraps the metadata in a few.
pub const MAX_METADATA_DEPTH: usize = 32;
