//! The rules that a submission's metadata must follow.

use serde_json::{Map, Value};

use super::limits::{MAX_METADATA_BYTES, MAX_METADATA_DEPTH};
use crate::{json::pointer_to, nul::without_nul};

/// Reads the metadata, but for the search for U+0000.
pub(super) fn metadata(value: &Value) -> Result<Map<String, Value>, String> {
    let map = value.as_object().ok_or("must be an object")?;
    if value.to_string().len() > MAX_METADATA_BYTES {
        return Err(format!("must have at most {MAX_METADATA_BYTES} bytes"));
    }
    if depth(value) > MAX_METADATA_DEPTH {
        return Err(format!("must be nested at most {MAX_METADATA_DEPTH} levels deep"));
    }
    Ok(map.clone())
}

/// How many objects and arrays are in one another.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The JSON pointer to the first U+0000 in an object, in a string or a name.
pub(super) fn nul_in_object(object: &Map<String, Value>) -> Option<String> {
    object.iter().find_map(|(name, value)| {
        let below = if without_nul(name).is_ok() { nul_in(value) } else { Some(String::new()) };
        Some(pointer_to(name) + &below?)
    })
}

fn nul_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => without_nul(text).is_err().then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(format!("/{index}{}", nul_in(item)?))),
        Value::Object(object) => nul_in_object(object),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Submission;

    fn pointers(body: Value) -> Vec<String> {
        let errors = Submission::from_json(&body).unwrap_err();
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn metadata_has_a_maximum_size() {
        let body = |bytes: usize| json!({"amount": 1, "currency": "USD", "metadata": {"k": "x".repeat(bytes)}});
        assert!(Submission::from_json(&body(MAX_METADATA_BYTES - 8)).is_ok());
        assert_eq!(pointers(body(MAX_METADATA_BYTES)), ["/metadata"]);
    }

    #[test]
    fn metadata_has_a_maximum_depth() {
        let nested = |levels: usize| {
            let arrays = (2..levels).fold(json!({}), |inner, _| json!([inner]));
            json!({"amount": 1, "currency": "USD", "metadata": {"a": 1, "k": arrays}})
        };
        assert!(Submission::from_json(&nested(MAX_METADATA_DEPTH)).is_ok());
        assert_eq!(pointers(nested(MAX_METADATA_DEPTH + 1)), ["/metadata"]);
    }

    #[test]
    fn a_nul_in_the_metadata_is_refused_at_its_pointer_at_any_depth_and_in_names() {
        for (metadata, pointer) in [
            (json!({"note": "a\u{0}b"}), "/metadata/note"),
            (json!({"a": [0, {"b/c": ["x", "\u{0}"]}]}), "/metadata/a/1/b~1c/1"),
            (json!({"a": {"b\u{0}": 1}}), "/metadata/a/b\u{0}"),
        ] {
            assert_eq!(
                pointers(json!({"amount": 1, "currency": "USD", "metadata": metadata})),
                [pointer]
            );
        }
        // A backslash before the letters of the escape is no U+0000.
        let escaped: Value = serde_json::from_str(r#"{"note": "\\u0000"}"#).unwrap();
        let body = json!({"amount": 1, "currency": "USD", "metadata": escaped});
        assert!(Submission::from_json(&body).is_ok());
    }
}
