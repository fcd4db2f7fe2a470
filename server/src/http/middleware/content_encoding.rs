//! The header `Content-Encoding` of a request. gzip and br are decoded, by a layer of tower-http that follows; the limits
//! of a body's size are applied to what comes out, so a decompression bomb ends there. Any other coding is refused: its
//! body would be read as something that it is not.

use axum::{
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::http::problem::Problem;

/// Refuses a body in a coding that cannot be decoded, and writes the header in the form that the decoding layer
/// recognises: the names of codings are case-insensitive, and `x-gzip` is gzip (RFC 9110, 8.4.1).
pub async fn normalize(mut request: Request, next: Next) -> Response {
    let values = request.headers().get_all(header::CONTENT_ENCODING);
    let text = values.iter().map(|value| value.to_str().unwrap_or("not ASCII"));
    let codings: Vec<String> = text
        .flat_map(|value| value.split(','))
        .map(|coding| coding.trim().to_ascii_lowercase())
        .filter(|coding| !coding.is_empty() && coding != "identity")
        .collect();
    let headers = request.headers_mut();
    match codings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => _ = headers.remove(header::CONTENT_ENCODING),
        ["gzip" | "x-gzip"] => {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        ["br"] => _ = headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br")),
        _ => return Problem::unsupported_encoding().into_response(),
    }
    next.run(request).await
}
