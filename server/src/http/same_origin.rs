//! Keeps other sites out. Whoever opens a foreign page has a browser that could post to Onceward in
//! their name; browsers say of each request where it comes from (Fetch Metadata, `Sec-Fetch-Site`).

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::Problem;

/// Refuses what a browser sends on behalf of another site, unless it only reads. Programs send no
/// such header.
pub async fn only(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site");
    let foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    if foreign && !request.method().is_safe() {
        return Problem::cross_site().into_response();
    }
    next.run(request).await
}
