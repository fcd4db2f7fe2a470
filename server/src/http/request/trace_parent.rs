//! The headers `traceparent` and `tracestate` of a request.

use axum::http::HeaderMap;
use domain::{TraceParent, TraceState};

/// The trace that a request belongs to. An invalid header counts as absent, and so do two headers (W3C Trace Context).
pub fn of(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next()?;
    match values.next() {
        None => value.to_str().ok()?.parse().ok(),
        Some(_) => None,
    }
}

/// What the vendors of the trace keep in it. An invalid header counts as absent; several are read as one.
pub fn state_of(headers: &HeaderMap) -> Option<TraceState> {
    let values: Vec<_> = headers
        .get_all("tracestate")
        .iter()
        .map(|value| value.to_str().ok())
        .collect::<Option<_>>()?;
    values.join(",").parse().ok()
}
