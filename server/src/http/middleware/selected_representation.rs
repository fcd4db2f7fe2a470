//! What a response says about the representation that was selected for the request (RFC 9110, 3.2).

use axum::http::{HeaderValue, Response, StatusCode, header};

/// Says that a compressed response depends on `Accept-Encoding`, so that no cache gives it to a client that does not
/// accept it. Removes `Accept-Ranges` from a response that is not a range: files are sent as a whole.
pub async fn state<B>(mut response: Response<B>) -> Response<B> {
    let is_range = response.status() == StatusCode::PARTIAL_CONTENT;
    let headers = response.headers_mut();
    let varies = headers.get_all(header::VARY).iter().any(|value| {
        value.to_str().is_ok_and(|names| names.to_ascii_lowercase().contains("accept-encoding"))
    });
    if headers.contains_key(header::CONTENT_ENCODING) && !varies {
        headers.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if !is_range {
        headers.remove(header::ACCEPT_RANGES);
    }
    response
}
