//! The fingerprint of a submission: a hash that is the same for the same content.

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Submission, reference::composed};
use crate::number::ExactNumber;

/// SHA-256 over a submission's content, without its id, idempotency key and trace.
///
/// Equal content has an equal fingerprint however it is written: `1.50` and `"1.5"` are the same amount, `1` and
/// `1.0` the same number within the metadata, texts are compared in Unicode's composed form, and the order of the
/// keys in the metadata does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// How contents are compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// By their meaning.
    ByMeaning,
    /// As it was done at first: numbers and texts within the metadata, and all other texts, as they are written. For
    /// content that is written as simply as can be, this is the same.
    AsWritten,
}

impl Fingerprint {
    /// The fingerprint of a submission.
    pub fn of(submission: &Submission) -> Self {
        Compared::ByMeaning.fingerprint(submission)
    }

    /// Whether a submission repeats the one whose fingerprint was stored, now or by an earlier version.
    pub fn is_repeated(stored: &[u8], submission: &Submission) -> bool {
        [Compared::ByMeaning, Compared::AsWritten]
            .into_iter()
            .any(|compared| compared.fingerprint(submission).as_bytes() == stored)
    }

    /// Its 32 bytes, as stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Compared {
    fn fingerprint(self, submission: &Submission) -> Fingerprint {
        let mut hash = Sha256::new();
        let mut field = |text: Option<&str>| {
            // The length comes first, and an absent field differs from an empty one, so that
            // different contents never hash the same bytes.
            match text.map(|text| self.text(text)) {
                None => hash.update(u64::MAX.to_be_bytes()),
                Some(text) => {
                    hash.update((text.len() as u64).to_be_bytes());
                    hash.update(text.as_bytes());
                }
            }
        };
        field(Some(&submission.amount.as_decimal().normalize().to_string()));
        field(Some(submission.currency.code()));
        field(submission.reference.as_ref().map(|reference| match self {
            Self::ByMeaning => reference.as_str(),
            Self::AsWritten => reference.as_sent(),
        }));
        field(submission.description.as_deref());
        field(submission.timestamp.map(|at| at.timestamp_micros().to_string()).as_deref());
        field(submission.source_account.as_deref());
        field(submission.destination_account.as_deref());
        let metadata = submission.metadata.clone().map(|map| self.json(&Value::Object(map)));
        field(metadata.as_deref());
        Fingerprint(hash.finalize().into())
    }

    fn text(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::ByMeaning => composed(text),
            Self::AsWritten => text.into(),
        }
    }

    /// JSON with every object's keys sorted. `serde_json` sorts them only until some crate in the build
    /// enables its feature `preserve_order`, and stored fingerprints must stay valid when one does.
    fn json(self, value: &Value) -> String {
        match value {
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| self.json(item)).collect();
                format!("[{}]", items.join(","))
            }
            Value::Object(map) => {
                let mut members: Vec<_> =
                    map.iter().map(|(key, value)| (self.text(key), self.json(value))).collect();
                members.sort();
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(key, value)| format!("{}:{value}", Value::from(&*key)))
                    .collect();
                format!("{{{}}}", members.join(","))
            }
            // A number whose exponent does not fit into 64 bits is compared as it is written.
            Value::Number(number) if self == Self::ByMeaning => ExactNumber::parse(number.as_str())
                .map_or_else(|| number.to_string(), |value| value.to_string()),
            Value::String(text) => Value::from(&*self.text(text)).to_string(),
            scalar => scalar.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(body: Value) -> Fingerprint {
        Fingerprint::of(&Submission::from_json(&body).unwrap())
    }

    #[test]
    fn the_same_content_written_differently_has_the_same_fingerprint() {
        let one = of(json!({"amount": "1.50", "currency": "USD", "metadata": {"a": 1, "b": [2]}}));
        let other: Value =
            serde_json::from_str(r#"{"metadata":{"b":[2],"a":1},"currency":"USD","amount":1.5}"#)
                .unwrap();
        assert_eq!(one, of(other));
    }

    #[test]
    fn every_field_counts_except_the_id_and_the_key() {
        let base = json!({"amount": 1, "currency": "USD"});
        let with = |name: &str, value: Value| {
            let mut body = base.clone();
            body[name] = value;
            of(body)
        };
        let changed = [
            of(base.clone()),
            with("amount", json!(2)),
            with("currency", json!("EUR")),
            with("reference", json!("x")),
            with("description", json!("x")),
            with("description", json!("")),
            with("timestamp", json!("2026-01-01T00:00:00Z")),
            with("sourceAccount", json!("x")),
            with("destinationAccount", json!("x")),
            with("metadata", json!({"a": 1})),
            with("metadata", json!({"a": "1"})),
            with("metadata", json!({"a": -1})),
            with("metadata", json!({"a": 10})),
        ];
        for (i, one) in changed.iter().enumerate() {
            for other in &changed[i + 1..] {
                assert_ne!(one, other);
            }
        }
        assert_eq!(changed[0], with("id", json!("7c9e6679-7425-40de-944b-e07fc1f90ae7")));
        assert_eq!(changed[0], with("idempotencyKey", json!("k")));
    }

    /// The fingerprint that the first version stored.
    fn first_version_of(body: Value) -> Fingerprint {
        Compared::AsWritten.fingerprint(&Submission::from_json(&body).unwrap())
    }

    fn with_metadata(json: &str) -> Value {
        let metadata: Value = serde_json::from_str(json).unwrap();
        json!({"amount": 1, "currency": "USD", "metadata": metadata})
    }

    #[test]
    fn numbers_within_the_metadata_are_compared_by_their_value() {
        for (one, others) in [
            (r#"{"a": 1}"#, &[r#"{"a": 1.0}"#, r#"{"a": 1e0}"#, r#"{"a": 10e-1}"#][..]),
            (r#"{"a": [{"b": -0.5}]}"#, &[r#"{"a": [{"b": -5e-1}]}"#, r#"{"a": [{"b": -0.50}]}"#]),
            (r#"{"a": 0}"#, &[r#"{"a": -0}"#, r#"{"a": 0.0e99}"#]),
            (r#"{"a": 1e999999999}"#, &[r#"{"a": 10e999999998}"#]),
        ] {
            for other in others {
                assert_eq!(of(with_metadata(one)), of(with_metadata(other)), "{other}");
            }
        }
        let huge = format!(r#"{{"a": 1e{}}}"#, "9".repeat(1000));
        assert_eq!(of(with_metadata(&huge)), of(with_metadata(&huge)));
        assert_ne!(
            of(with_metadata(r#"{"a": 1}"#)),
            of(with_metadata(r#"{"a": 1.00000000000000000001}"#))
        );
    }

    #[test]
    fn texts_are_compared_in_the_composed_form() {
        let body = |text: &str| {
            json!({
                "amount": 1, "currency": "USD", "reference": text, "description": text,
                "sourceAccount": text, "metadata": {text: [text], "b": 1},
            })
        };
        assert_eq!(of(body("caf\u{e9}")), of(body("cafe\u{301}")));
        assert_ne!(of(body("caf\u{e9}")), of(body("cafe")));
    }

    #[test]
    fn the_fingerprint_that_an_earlier_version_stored_is_that_of_the_same_submission() {
        let plain = json!({
            "amount": "1.50", "currency": "USD", "reference": "r", "description": "caf\u{e9}",
            "metadata": {"b": [1, -2.5, true], "a": {"c": null}},
        });
        assert_eq!(of(plain.clone()), first_version_of(plain));
        let earlier = r#"{"a": 1.0, "e": "cafe\u0301"}"#;
        let stored = first_version_of(with_metadata(earlier));
        let first_bytes = stored.as_bytes()[..4].iter().map(|byte| format!("{byte:02x}"));
        assert_eq!(first_bytes.collect::<String>(), "6a0c86ab");
        for (metadata, is_repeated) in [
            (earlier, true),
            (r#"{"e": "cafe\u0301", "a": 1.0}"#, true),
            (r#"{"a": 1.5, "e": "cafe\u0301"}"#, false),
        ] {
            let submission = Submission::from_json(&with_metadata(metadata)).unwrap();
            assert_eq!(Fingerprint::is_repeated(stored.as_bytes(), &submission), is_repeated);
        }
    }
}
