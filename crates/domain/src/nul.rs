//! U+0000, which PostgreSQL's `text` cannot store, and its JSON can neither search nor convert.

use thiserror::Error;

/// The text contains U+0000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must not contain the character U+0000")]
pub struct ContainsNul;

/// The text, unless it contains U+0000.
///
/// # Errors
/// It does.
pub fn without_nul(text: &str) -> Result<&str, ContainsNul> {
    if text.contains('\0') { Err(ContainsNul) } else { Ok(text) }
}
