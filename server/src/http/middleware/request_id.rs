//! The id of a request, which its response, its problem document and the log carry: the client's `X-Request-Id` if that
//! is safe to repeat, and a new id otherwise.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
};

/// The header.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is repeated.
const MAX_BYTES: usize = 128;

/// Removes an id that is not safe to repeat, so that the request gets a new one.
pub async fn drop_unfit(mut request: Request) -> Request {
    let mut values = request.headers().get_all(REQUEST_ID).iter();
    let is_safe = match (values.next(), values.next()) {
        (Some(only), None) => is_safe_to_repeat(only),
        (first, _) => first.is_none(),
    };
    if !is_safe {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

fn is_safe_to_repeat(id: &HeaderValue) -> bool {
    (1..=MAX_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}
