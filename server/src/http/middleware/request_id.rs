//! The id of a request, by which its answer, its problem and the log name it: the client's own
//! `X-Request-Id` where that is fit to be repeated, one of ours otherwise.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
};

/// The header.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest that is repeated.
const MAX_BYTES: usize = 128;

/// Takes an id away that is not fit to be repeated, so that the request gets one of ours.
pub async fn only_fit(mut request: Request) -> Request {
    let mut values = request.headers().get_all(REQUEST_ID).iter();
    let fit = match (values.next(), values.next()) {
        (Some(only), None) => is_fit(only),
        (first, _) => first.is_none(),
    };
    if !fit {
        request.headers_mut().remove(REQUEST_ID);
    }
    request
}

fn is_fit(id: &HeaderValue) -> bool {
    (1..=MAX_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}
