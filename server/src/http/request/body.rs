//! Reading a JSON body.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use domain::json::{self, Unreadable};
use serde_json::Value;

use crate::http::{body_limits::MAX_BODY_BYTES, problem::Problem};

/// A JSON body with any content.
pub struct JsonBody(pub Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::not_json());
        }
        parse("the body", &read(request, state).await?).map(Self)
    }
}

/// The bytes of a body, for checking a signature, with the request's headers.
pub struct RawBody {
    /// The request's headers.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let headers = request.headers().clone();
        Ok(Self { headers, bytes: read(request, state).await? })
    }
}

impl RawBody {
    /// Parses it as JSON.
    ///
    /// # Errors
    /// 415 or 400 if it is not JSON.
    pub fn json(&self) -> Result<Value, Problem> {
        if !is_json(&self.headers) {
            return Err(Problem::not_json());
        }
        parse("the body", &self.bytes)
    }
}

/// Reads a body of the usual size.
///
/// # Errors
/// 413 if it is longer, and 400 if it cannot be read.
pub async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    read_at_most(MAX_BODY_BYTES, request, state).await
}

/// Reads the body on a route that takes this many bytes.
///
/// # Errors
/// 413 if it is longer, and 400 if it cannot be read.
pub async fn read_at_most<S: Send + Sync>(
    limit_bytes: usize,
    request: Request,
    state: &S,
) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        match rejection.status().as_u16() {
            413 => Problem::too_large(limit_bytes),
            _ => Problem::malformed("the body could not be read"),
        }
    })
}

/// Parses JSON; `what` names it in error messages.
///
/// # Errors
/// 400 if it is not JSON, or an object in it has a forbidden member.
pub fn parse(what: &str, bytes: &[u8]) -> Result<Value, Problem> {
    json::read(bytes).map_err(|unreadable| match unreadable {
        Unreadable::NotJson(_) => Problem::malformed(format!("{what} {unreadable}")),
        Unreadable::Member { pointer, why } => Problem::refused_member(pointer, why),
    })
}

/// Whether the media type is `application/json` or ends in `+json`, with any parameters.
pub fn is_json(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

/// The body's media type in lower case, without parameters; empty if there is none.
pub fn media_type(headers: &HeaderMap) -> String {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_in_nested_strings_is_not_parsed() {
        // The depth limit would restart in each string, and all levels together would overflow any stack.
        let mut json = "[".repeat(100) + &"]".repeat(100);
        for _ in 0..60 {
            let text = json.replace('\\', r"\u005c").replace('"', r"\u0022");
            let nested = format!(r#"{{"$serde_json::private::RawValue":"{text}"}}"#);
            json = "[".repeat(100) + &nested + &"]".repeat(100);
        }
        assert!(json.len() <= MAX_BODY_BYTES);
        let problem = parse("the body", json.as_bytes()).unwrap_err();
        let pointer = "/0".repeat(100) + "/$serde_json::private::RawValue";
        let document = serde_json::to_value(problem.document(None)).unwrap();
        assert_eq!(document["errors"][0]["pointer"], pointer);
    }
}
