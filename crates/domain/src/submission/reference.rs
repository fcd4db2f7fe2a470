//! A client's own id for a transaction.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The client's own id for a transaction: without the white space around it, and in Unicode's composed form (NFC).
/// So neither white space nor the encoding of an accent makes another transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    text: String,
    /// The text that was sent, if it differs.
    sent: Option<String>,
}

impl Reference {
    /// The reference that a text names.
    pub fn of(sent: &str) -> Self {
        let text = composed(sent.trim()).into_owned();
        let sent = (text != sent).then(|| sent.to_owned());
        Self { text, sent }
    }

    /// A reference that was stored as it was sent, before references had one form.
    pub fn as_stored(text: String) -> Self {
        Self { text, sent: None }
    }

    /// The reference.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The reference, without a copy.
    pub fn into_string(self) -> String {
        self.text
    }

    /// The text that was sent, if it is not the reference itself. A transaction that was stored before references
    /// had one form may have it.
    pub fn sent_otherwise(&self) -> Option<&str> {
        self.sent.as_deref()
    }

    /// The text that was sent.
    pub fn as_sent(&self) -> &str {
        self.sent_otherwise().unwrap_or(&self.text)
    }
}

/// A text in Unicode's composed form (NFC): an `e` with an accent after it becomes one character.
pub(super) fn composed(text: &str) -> Cow<'_, str> {
    match text.is_ascii() || is_nfc(text) {
        true => text.into(),
        false => text.nfc().collect::<String>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_white_space_around_it_nor_the_encoding_of_an_accent_makes_another_reference() {
        for sent in [
            "caf\u{e9} 1",
            "cafe\u{301} 1",
            " caf\u{e9} 1",
            "cafe\u{301} 1\t\r\n",
            "\u{a0}caf\u{e9} 1\u{3000}",
        ] {
            let reference = Reference::of(sent);
            assert_eq!((reference.as_str(), reference.as_sent()), ("caf\u{e9} 1", sent));
            assert_eq!(reference.sent_otherwise().is_none(), sent == "caf\u{e9} 1");
        }
    }

    #[test]
    fn every_other_difference_makes_another_reference() {
        for sent in ["cafe 1", "caf\u{e9}  1", "CAF\u{c9} 1", "caf\u{e9}1", "\u{ff43}af\u{e9} 1"] {
            assert_ne!(Reference::of(sent), Reference::of("caf\u{e9} 1"), "{sent}");
            assert_eq!(Reference::of(sent).as_str(), sent);
        }
    }
}
