//! A client's own key for one submission, which makes it safe to send the submission again: the header
//! `Idempotency-Key` of draft-ietf-httpapi-idempotency-key-header-07.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest key, in characters.
pub const MAX_KEY_CHARS: usize = 255;

/// 1 to [`MAX_KEY_CHARS`] visible ASCII characters, unique per principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "StoredKey", into = "String")]
pub struct IdempotencyKey(String);

/// JSON names stored keys: those of transactions, filters and events.
#[derive(Deserialize)]
#[serde(transparent)]
struct StoredKey(String);

impl From<StoredKey> for IdempotencyKey {
    fn from(key: StoredKey) -> Self {
        Self::from_stored(key.0)
    }
}

/// Why a text is not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadIdempotencyKey {
    /// It is empty.
    #[error("must not be empty")]
    Empty,
    /// It is too long.
    #[error("must have at most {MAX_KEY_CHARS} characters")]
    TooLong,
    /// It contains a space, a control character or a character outside ASCII.
    #[error("must consist of visible ASCII characters")]
    NotVisible,
    /// It begins with a quotation mark but is not a quoted string.
    #[error("begins with a quotation mark but is not a quoted string of RFC 8941")]
    BadQuotes,
}

impl IdempotencyKey {
    /// Reads the header's value. The draft quotes it, as a string of RFC 8941; most clients send it without
    /// quotes. Both forms name the same key.
    ///
    /// # Errors
    /// See [`BadIdempotencyKey`].
    pub fn from_header(value: &str) -> Result<Self, BadIdempotencyKey> {
        match value.strip_prefix('"') {
            None => value.parse(),
            Some(quoted) => unquoted(quoted).ok_or(BadIdempotencyKey::BadQuotes)?.parse(),
        }
    }

    /// Takes a key that was accepted when it was stored, whatever the rules are now.
    pub fn from_stored(key: String) -> Self {
        Self(key)
    }

    /// The key as it is stored and shown, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text before the closing quotation mark, which must be the last character (RFC 8941, section
/// 4.2.5).
fn unquoted(rest: &str) -> Option<String> {
    let mut text = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(text),
            '\\' => text.push(chars.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            other => text.push(other),
        }
    }
}

/// Reads the key as JSON and queries write it: quotes would be part of it.
impl FromStr for IdempotencyKey {
    type Err = BadIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, BadIdempotencyKey> {
        text.to_owned().try_into()
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = BadIdempotencyKey;

    fn try_from(text: String) -> Result<Self, BadIdempotencyKey> {
        if text.is_empty() {
            Err(BadIdempotencyKey::Empty)
        } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Err(BadIdempotencyKey::NotVisible)
        } else if text.len() > MAX_KEY_CHARS {
            Err(BadIdempotencyKey::TooLong)
        } else {
            Ok(Self(text))
        }
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_quoted_and_the_bare_form_name_the_same_key() {
        let key = IdempotencyKey::from_header("8e03978e-40d5-43e8-bc93-6894a57f9324");
        assert_eq!(key, IdempotencyKey::from_header(r#""8e03978e-40d5-43e8-bc93-6894a57f9324""#));
        assert_eq!(IdempotencyKey::from_header(r#""a\"b\\c""#).unwrap().as_str(), r#"a"b\c"#);
        assert_eq!(IdempotencyKey::from_header(r#"a"b\c"#).unwrap().as_str(), r#"a"b\c"#);
    }

    #[test]
    fn a_bad_key_is_refused_with_the_reason() {
        let long = "k".repeat(MAX_KEY_CHARS);
        assert!(IdempotencyKey::from_header(&long).is_ok());
        assert!(IdempotencyKey::from_header(&format!("\"{long}\"")).is_ok());
        for (value, error) in [
            ("", BadIdempotencyKey::Empty),
            (r#""""#, BadIdempotencyKey::Empty),
            (&format!("{long}k"), BadIdempotencyKey::TooLong),
            ("a b", BadIdempotencyKey::NotVisible),
            (r#""a b""#, BadIdempotencyKey::NotVisible),
            ("schlüssel", BadIdempotencyKey::NotVisible),
            ("a\tb", BadIdempotencyKey::NotVisible),
            (r#"""#, BadIdempotencyKey::BadQuotes),
            (r#""abc"#, BadIdempotencyKey::BadQuotes),
            (r#""abc"d"#, BadIdempotencyKey::BadQuotes),
            (r#""a\bc""#, BadIdempotencyKey::BadQuotes),
            (r#""abc";q=1"#, BadIdempotencyKey::BadQuotes),
        ] {
            assert_eq!(IdempotencyKey::from_header(value), Err(error), "{value}");
        }
    }

    proptest! {
        #[test]
        fn every_key_survives_being_quoted(text in "[!-~]{1,255}") {
            let key: IdempotencyKey = text.parse().unwrap();
            prop_assert_eq!(key.as_str(), &text);
            let quoted = format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
            prop_assert_eq!(IdempotencyKey::from_header(&quoted), Ok(key));
        }

        #[test]
        fn no_header_value_yields_a_key_that_the_table_refuses(value in any::<String>()) {
            if let Ok(key) = IdempotencyKey::from_header(&value) {
                prop_assert!((1..=MAX_KEY_CHARS).contains(&key.as_str().len()));
                prop_assert!(key.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
