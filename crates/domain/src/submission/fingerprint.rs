//! The fingerprint of a submission: a hash that is the same for the same content.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Submission;

/// SHA-256 over a submission's content, without its id, idempotency key and trace.
///
/// Equal content has an equal fingerprint however it is written: `1.50` and `"1.5"` are the same
/// amount, and the order of the keys in the metadata does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a submission.
    pub fn of(submission: &Submission) -> Self {
        let mut hash = Sha256::new();
        let mut field = |text: Option<&str>| {
            // The length comes first, and an absent field differs from an empty one, so that
            // different contents never hash the same bytes.
            match text {
                None => hash.update(u64::MAX.to_be_bytes()),
                Some(text) => {
                    hash.update((text.len() as u64).to_be_bytes());
                    hash.update(text.as_bytes());
                }
            }
        };
        field(Some(&submission.amount.as_decimal().normalize().to_string()));
        field(Some(submission.currency.code()));
        field(submission.reference.as_deref());
        field(submission.description.as_deref());
        field(submission.timestamp.map(|at| at.timestamp_micros().to_string()).as_deref());
        field(submission.source_account.as_deref());
        field(submission.destination_account.as_deref());
        let metadata = submission.metadata.clone().map(|map| canonical(&Value::Object(map)));
        field(metadata.as_deref());
        Self(hash.finalize().into())
    }

    /// Its 32 bytes, as stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// JSON with every object's keys sorted. `serde_json` sorts them only until some crate in the build
/// enables its feature `preserve_order`, and stored fingerprints must stay valid when one does.
fn canonical(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let members: Vec<_> = members
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        scalar => scalar.to_string(),
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
            with("metadata", json!({"a": 1.0})),
        ];
        for (i, one) in changed.iter().enumerate() {
            for other in &changed[i + 1..] {
                assert_ne!(one, other);
            }
        }
        assert_eq!(changed[0], with("id", json!("7c9e6679-7425-40de-944b-e07fc1f90ae7")));
        assert_eq!(changed[0], with("idempotencyKey", json!("k")));
    }
}
