//! The text of a key: `ow_<id>_<secret><checksum>`.
//!
//! Scanners for leaked secrets recognise the prefix, and check a find without asking anyone by the checksum. The
//! secret has 43 of 62 characters: 256 bits.

use std::fmt;

use rand::{RngExt as _, distr::Alphanumeric};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "ow_";
const ID_CHARS: usize = 16;
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key of a client. Its secret is in memory only while it is needed.
pub struct Key {
    /// The public part, which names the key.
    pub id: String,
    secret: SecretString,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// A new key.
    pub fn generate() -> Self {
        let characters = |count| -> String {
            rand::rng().sample_iter(Alphanumeric).take(count).map(char::from).collect()
        };
        Self { id: characters(ID_CHARS), secret: characters(SECRET_CHARS).into() }
    }

    /// Whether a text is a key, or was meant as one.
    pub fn is_meant_by(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Reads the text of a key. `None` if it has another form, or its checksum is wrong.
    pub fn read(text: &str) -> Option<Self> {
        let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if id.len() != ID_CHARS
            || rest.len() != SECRET_CHARS + CHECKSUM_CHARS
            || !is_plain(id)
            || !is_plain(rest)
        {
            return None;
        }
        let (secret, sum) = rest.split_at(SECRET_CHARS);
        (checksum(id, secret) == sum).then(|| Self { id: id.to_owned(), secret: secret.into() })
    }

    /// The text of the key, for its owner.
    pub fn text(&self) -> SecretString {
        let (id, secret) = (&self.id, self.secret.expose_secret());
        format!("{PREFIX}{id}_{secret}{}", checksum(id, secret)).into()
    }

    /// What is stored of the secret.
    pub(super) fn secret_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret.expose_secret()).into()
    }
}

/// The CRC-32 of the id and the secret, in base 62.
fn checksum(id: &str, secret: &str) -> String {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(id.as_bytes());
    hasher.update(secret.as_bytes());
    let mut rest = hasher.finalize() as usize;
    let mut text = [b'0'; CHECKSUM_CHARS];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[rest % DIGITS.len()];
        rest /= DIGITS.len();
    }
    text.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_the_same_after_its_text_is_read() {
        for _ in 0..100 {
            let key = Key::generate();
            let read = Key::read(key.text().expose_secret()).unwrap();
            assert_eq!(read.id, key.id);
            assert_eq!(read.secret_sha256(), key.secret_sha256());
            assert!(!format!("{key:?}").contains(key.secret.expose_secret()));
        }
    }

    #[test]
    fn a_key_with_any_other_character_is_refused() {
        let text = Key::generate().text().expose_secret().to_owned();
        for (at, character) in text.char_indices() {
            for other in ['0', 'a', '_', ' ', 'ä'] {
                if other != character {
                    let mut changed = text.clone();
                    changed.replace_range(at..=at, &other.to_string());
                    assert!(Key::read(&changed).is_none(), "{at}");
                }
            }
        }
        for end in 0..text.len() {
            assert!(Key::read(&text[..end]).is_none());
        }
        assert!(Key::read(&format!("{text}0")).is_none());
    }

    proptest! {
        #[test]
        fn reading_a_key_never_panics(text in "(ow_)?[0-9A-Za-z_\\PC]{0,80}") {
            let _ = Key::read(&text);
        }
    }
}
