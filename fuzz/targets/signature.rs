//! The headers with the signature of a webhook. The target knows no secret, so it must not find a valid signature.
#![no_main]

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::DateTime;
use http::webhook_secrets::{WebhookSecrets, WebhookSignatures};
use libfuzzer_sys::fuzz_target;

/// The tree of the server's modules, as far as these files need it.
#[path = "."]
mod http {
    #[allow(dead_code)]
    #[path = "../../server/src/http/webhook_secrets.rs"]
    pub mod webhook_secrets;
}
#[allow(dead_code)]
#[path = "../../server/src/http/api/webhooks/signature.rs"]
mod signature;

static SIGNATURES: LazyLock<WebhookSignatures> = LazyLock::new(|| WebhookSignatures {
    secrets: Some("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".parse().unwrap()),
    tolerance_seconds: 300,
});

/// Lines of headers, an empty line, and the body.
fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(&line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let now = DateTime::from_timestamp(1_649_367_553, 0).unwrap();
    assert!(signature::check(&SIGNATURES, &headers, rest, now).is_err());
    let _ = str::from_utf8(bytes).map(str::parse::<WebhookSecrets>);
});
