//! The deadline of a response, which holds whatever PostgreSQL does. Statements have a timeout of their own (in
//! `gateway`); this one covers everything else that takes long, and statements that add up. The body has arrived
//! before (`body_arrival`).
//!
//! A cancelled handler leaves nothing half done: it makes each change in one statement.

use std::{pin::pin, time::Duration};

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use tokio::time::sleep;

use crate::http::{problem::Problem, request::accept::accepts_html};

/// From the arrival of a request to the start of its response. Clients are promised two seconds.
const DEADLINE: Duration = Duration::from_millis(1800);
/// How long a handler that can answer without PostgreSQL waits for it.
pub const DATABASE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The 503 for a browser. The pages have a similar text for a statement of theirs that takes too long.
const PAGE: &str = "<!doctype html><html lang=en><title>Not available · Onceward</title>\
    <p>Onceward did not answer in time. <a href=\"\">Try again</a></p>";

/// Answers 503 if the handler misses the deadline.
pub async fn enforce(request: Request, next: Next) -> Response {
    // It deletes everything, which may take long; it exists only if the simulator runs inside.
    if request.uri().path() == "/cleanup" {
        return next.run(request).await;
    }
    let (method, in_browser) = (request.method().clone(), accepts_html(&request));
    let timed_out = async {
        sleep(DEADLINE).await;
        if in_browser {
            return (StatusCode::SERVICE_UNAVAILABLE, Html(PAGE)).into_response();
        }
        let detail = match method.is_safe() {
            true => "the request was not answered in time",
            false => "the request was not answered in time; it may still have taken effect",
        };
        Problem::unavailable(detail).into_response()
    };
    let handled = pin!(next.run(request));
    tokio::select! {
        biased;
        response = handled => response,
        response = timed_out => response,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::{Router, body::Body, http::Method, middleware, routing::any};
    use tower::ServiceExt;

    use super::*;

    /// The response of a handler that never answers.
    async fn asked(path: &str, method: Method, accept: &str, body: Body) -> Response {
        let router = Router::new()
            .route("/never", any(async || pending::<()>().await))
            .route("/cleanup", any(async || sleep(DEADLINE * 100).await))
            .layer(middleware::from_fn(enforce))
            .layer(middleware::from_fn(crate::http::middleware::problem_rendering::render));
        let request = Request::builder().uri(path).method(method).header("accept", accept);
        router.oneshot(request.body(body).unwrap()).await.unwrap()
    }

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_whose_handler_takes_too_long_is_answered_with_503() {
        for (method, is_unknown) in [(Method::GET, false), (Method::POST, true)] {
            let answer = asked("/never", method, "*/*", Body::from("x")).await;
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.headers()["retry-after"], "1");
            assert_eq!(text(answer).await.contains("may still have taken effect"), is_unknown);
        }
        let page = asked("/never", Method::GET, "text/html", Body::empty()).await;
        assert_eq!(
            (page.status(), text(page).await.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, PAGE)
        );
        let cleaned = asked("/cleanup", Method::POST, "*/*", Body::empty()).await;
        assert_eq!(cleaned.status(), 200);
    }
}
