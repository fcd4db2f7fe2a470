//! The header `traceparent` of a request.

use axum::http::HeaderMap;
use domain::TraceParent;

/// The trace that a request belongs to. An invalid header counts as absent, and so do two headers (W3C Trace Context).
pub fn of(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next()?;
    match values.next() {
        None => value.to_str().ok()?.parse().ok(),
        Some(_) => None,
    }
}
