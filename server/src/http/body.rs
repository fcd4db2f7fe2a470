//! Reading a JSON body.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::header,
};
use serde_json::Value;

use super::{MAX_BODY_BYTES, problem::Problem};

/// A JSON body, whatever is in it.
pub struct JsonBody(pub Value);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        if !kind.and_then(|value| value.to_str().ok()).is_some_and(is_json) {
            return Err(Problem::unsupported_media_type());
        }
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| {
                match rejection.status().as_u16() {
                    413 => Problem::too_large(MAX_BODY_BYTES),
                    _ => Problem::malformed("the body could not be read"),
                }
            })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))
    }
}

/// `application/json` and anything that ends in `+json`, with any parameters.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}
