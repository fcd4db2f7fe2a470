//! Reading answers, and putting into words what went wrong with them.

use std::{error::Error, time::Duration};

use chrono::{DateTime, Utc};
use reqwest::{Response, header};

/// The largest body that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// The length of the excerpt that is stored.
const EXCERPT_CHARS: usize = 500;

/// `Retry-After`: a number of seconds, or a date (RFC 9110, section 10.2.3).
pub fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - Utc::now()).to_std().ok(),
    }
}

/// Reads at most [`MAX_ANSWER_BYTES`].
pub async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            return Err(format!("the answer is longer than {MAX_ANSWER_BYTES} bytes"));
        }
    }
    Ok(body)
}

/// The beginning of a body as text.
pub fn excerpt(body: &[u8]) -> Option<String> {
    // PostgreSQL's text cannot hold U+0000.
    let text = String::from_utf8_lossy(body).replace('\0', "\u{fffd}");
    let text: String = text.trim().chars().take(EXCERPT_CHARS).collect();
    (!text.is_empty()).then_some(text)
}

/// The error with its causes, without the URL, which may hold credentials.
pub fn explain(error: &reqwest::Error) -> String {
    let mut text = match error {
        _ if error.is_connect() => "no connection".to_owned(),
        _ if error.is_timeout() => "no answer in time".to_owned(),
        _ => "the connection broke".to_owned(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.chars().take(EXCERPT_CHARS).collect()
}
