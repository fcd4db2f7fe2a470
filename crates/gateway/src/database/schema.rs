//! The schema of PostgreSQL that has Onceward's tables, if it is to be one of its own.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// The longest name of PostgreSQL, in bytes.
const MAX_BYTES: usize = 63;
/// The schema of apalis's tables, whose name apalis fixes.
const APALIS: &str = "apalis";

/// The name of a schema, which needs no quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema(String);

/// The text is not a name that Onceward takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "must be the name of a schema: small letters, digits and underscores, with a letter first, at most {MAX_BYTES}, \
     and neither apalis nor one of PostgreSQL's own"
)]
pub struct BadSchema;

impl Schema {
    /// The statement by which a session finds Onceward's tables before all others. Extensions are found where they
    /// were.
    pub(super) fn session_statement(&self) -> String {
        format!(
            "select set_config('search_path', '{self}, ' || current_setting('search_path'), false);"
        )
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Schema {
    type Err = BadSchema;

    fn from_str(text: &str) -> Result<Self, BadSchema> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_reserved = text.starts_with("pg_") || [APALIS, "information_schema"].contains(&text);
        let is_name = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.len() <= MAX_BYTES
            && text.bytes().all(is_allowed);
        (is_name && !is_reserved).then(|| Self(text.to_owned())).ok_or(BadSchema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_need_quotes_or_is_taken_is_refused() {
        for name in ["onceward", "public", "a", "payments_2"] {
            assert_eq!(name.parse::<Schema>().unwrap().to_string(), name);
        }
        let long = "a".repeat(64);
        for name in [
            "",
            "Payments",
            "1a",
            "_a",
            "a-b",
            "a b",
            "a'",
            "pg_x",
            "apalis",
            "information_schema",
            &long,
        ] {
            assert_eq!(name.parse::<Schema>(), Err(BadSchema), "{name}");
        }
    }
}
