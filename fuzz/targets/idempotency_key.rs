//! The header `Idempotency-Key`, and headers that resemble it. A key is the same with and without quotes.
#![no_main]

use domain::{IdempotencyKey, submission::near_names};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = near_names::field_meant_by(text);
    let _ = near_names::means_idempotency_key(text);
    let Ok(key) = IdempotencyKey::from_header(text) else { return };
    let quoted = format!("\"{}\"", key.as_str().replace('\\', "\\\\").replace('"', "\\\""));
    assert_eq!(IdempotencyKey::from_header(&quoted), Ok(key));
});
