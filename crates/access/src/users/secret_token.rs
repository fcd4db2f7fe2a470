//! A secret of 256 random bits in a cookie or a link. Only its hash is stored; because it is random, a slow hash would
//! add nothing.

use data_encoding::BASE64URL_NOPAD;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use sha2::{Digest, Sha256};

/// A secret of 256 random bits.
#[derive(Debug)]
pub struct SecretToken(SecretBox<[u8; 32]>);

impl SecretToken {
    /// A new one.
    pub(crate) fn random() -> Self {
        Self(SecretBox::new(Box::new(rand::random())))
    }

    /// Reads its text. `None` if it is none of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        Some(Self(SecretBox::new(Box::new(bytes.try_into().ok()?))))
    }

    /// Its text, 43 characters that need no escaping in a cookie or an address.
    pub fn text(&self) -> SecretString {
        BASE64URL_NOPAD.encode(self.0.expose_secret()).into()
    }

    /// Its hash, which may be stored.
    pub(crate) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_same_after_its_text_is_read() {
        let token = SecretToken::random();
        let text = token.text();
        assert_eq!(text.expose_secret().len(), 43);
        assert_eq!(SecretToken::parse(text.expose_secret()).unwrap().sha256(), token.sha256());
        for text in ["", "AAAA", &"A".repeat(42), &"A".repeat(44), &"=".repeat(43)] {
            assert!(SecretToken::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_token_is_not_shown_by_debug() {
        let shown = || format!("{:?}", SecretToken::random());
        assert_eq!(shown(), shown());
    }
}
