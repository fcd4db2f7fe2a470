//! What a request is addressed to: always a path. HTTP has other forms (`*`, and a host alone), which name no resource
//! of ours, and which routers and pages do not expect.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::http::problem::Problem;

/// Refuses a request whose target is no path.
pub async fn enforce(request: Request, next: Next) -> Response {
    match request.uri().path().starts_with('/') {
        true => next.run(request).await,
        false => Problem::malformed("the target of a request must be a path, which begins with /")
            .into_response(),
    }
}
