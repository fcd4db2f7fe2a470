//! What the files with credentials contain.

use base64::{Engine, prelude::BASE64_STANDARD};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::watched::FileError;

/// Headers that Onceward sends itself, or that belong to the connection.
const RESERVED: [&str; 14] = [
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "proxy-authorization",
    "te",
    "traceparent",
    "tracestate",
    "transfer-encoding",
    "upgrade",
];

/// The text of a file that holds a secret, without the line break at its end.
///
/// # Errors
/// It is empty, or is no text.
pub fn text(setting: &'static str, content: &SecretSlice<u8>) -> Result<SecretString, FileError> {
    let text = std::str::from_utf8(content.expose_secret())
        .map_err(|_| FileError::new(setting, "the file is not text in UTF-8"))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(FileError::new(setting, "the file is empty")),
        text => Ok(text.into()),
    }
}

/// `Authorization` with a bearer token.
///
/// # Errors
/// It is no token (RFC 6750, section 2.1).
pub fn bearer(setting: &'static str, token: &SecretString) -> Result<HeaderValue, FileError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    let token = token.expose_secret();
    if token.is_empty() || !token.bytes().all(is_allowed) {
        return Err(FileError::new(setting, "must hold a token and nothing else"));
    }
    sensitive(setting, &format!("Bearer {token}"))
}

/// `Authorization` with a user and a password, separated by a colon.
///
/// # Errors
/// There is no colon, or no user.
pub fn basic(setting: &'static str, pair: &SecretString) -> Result<HeaderValue, FileError> {
    let pair = pair.expose_secret();
    match pair.split_once(':') {
        Some((user, _)) if !user.is_empty() && !pair.contains(char::is_control) => {
            sensitive(setting, &format!("Basic {}", BASE64_STANDARD.encode(pair)))
        }
        _ => Err(FileError::new(setting, "must hold user:password on one line")),
    }
}

/// Headers, one on a line. Empty lines and lines that begin with `#` are passed over.
///
/// # Errors
/// A line is no header, or a header is not for this file. The error names the line by its number.
pub fn headers(setting: &'static str, lines: &SecretString) -> Result<HeaderMap, FileError> {
    let mut headers = HeaderMap::new();
    for (number, line) in (1..).zip(lines.expose_secret().lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: &str| FileError::new(setting, format!("line {number} {what}"));
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("is not Name: value"))?;
        let name: HeaderName =
            name.parse().map_err(|_| wrong("does not begin with the name of a header"))?;
        if RESERVED.contains(&name.as_str()) || name.as_str().starts_with("x-onceward-") {
            return Err(wrong(&format!("sets {name}, which Onceward sends itself")));
        }
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| wrong("has a value that no header may have"))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// Whether these headers hold a credential in `Authorization`.
pub fn authorizes(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
}

fn sensitive(setting: &'static str, value: &str) -> Result<HeaderValue, FileError> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| FileError::new(setting, "holds characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.into()
    }

    #[test]
    fn a_secret_is_the_text_of_its_file_without_the_line_break_at_its_end() {
        let read = |bytes: &[u8]| text("A_FILE", &SecretSlice::from(bytes.to_vec()));
        for bytes in [&b"s3cret"[..], b"s3cret\n", b"s3cret\r\n"] {
            assert_eq!(read(bytes).unwrap().expose_secret(), "s3cret");
        }
        for bytes in [&b""[..], b"\n", b"\xff"] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_token_and_a_pair_become_authorization_headers_that_debug_does_not_show() {
        let token = bearer("A_FILE", &secret("abc.DEF-_~+/==")).unwrap();
        assert_eq!(token, "Bearer abc.DEF-_~+/==");
        assert_eq!(format!("{token:?}"), "Sensitive");
        let pair = basic("A_FILE", &secret("ann:pass:word")).unwrap();
        assert_eq!(pair, "Basic YW5uOnBhc3M6d29yZA==");
        assert!(pair.is_sensitive());
        for text in ["Bearer abc", "a\nb", "a b", "é"] {
            assert!(bearer("A_FILE", &secret(text)).is_err(), "{text}");
        }
        for text in ["ann", ":password", "ann:pass\nbob:word"] {
            assert!(basic("A_FILE", &secret(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_are_read_line_by_line_and_an_error_names_the_line_alone() {
        let read =
            headers("A_FILE", &secret("# ours\nX-Api-Key: k1\n\nX-Tenant:  eu \r\nX-Tenant: us"))
                .unwrap();
        assert_eq!(read["x-api-key"], "k1");
        assert!(read["x-api-key"].is_sensitive());
        assert_eq!(read.get_all("x-tenant").iter().collect::<Vec<_>>(), ["eu", "us"]);
        for line in
            ["k1", "X Key: k1", "Idempotency-Key: k1", "Host: k1", "X-Onceward-Signature: k1"]
        {
            let error = headers("A_FILE", &secret(&format!("\n{line}"))).unwrap_err().to_string();
            assert!(error.starts_with("A_FILE: line 2 ") && !error.contains("k1"), "{error}");
        }
    }
}
