//! The deadline of a response, which holds whatever PostgreSQL does. Statements have a timeout of their own (in
//! `gateway`); this one covers everything else that takes long, and statements that add up. The time that a client
//! takes to send a body does not count, and has its own timeout.
//!
//! A cancelled handler leaves nothing half done: it makes each change in one statement.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{Method, StatusCode},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use http_body::{Frame, SizeHint};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::http::{problem::Problem, request::accept::accepts_html};

/// From the end of a request to the start of its response. Clients are promised two seconds.
const DEADLINE: Duration = Duration::from_millis(1800);
/// How long a handler that can answer without PostgreSQL waits for it.
pub const DATABASE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The 503 for a browser. The pages have a similar text for a statement of theirs that takes too long.
const PAGE: &str = "<!doctype html><html lang=en><title>Not available · Onceward</title>\
    <p>Onceward did not answer in time. <a href=\"\">Try again</a></p>";

/// Answers 503 if the handler misses the deadline, and 408 if the client sends its body too slowly.
pub async fn enforce(request: Request, next: Next) -> Response {
    // It deletes everything, which may take long; it exists only if the simulator runs inside.
    if request.uri().path() == "/cleanup" {
        return next.run(request).await;
    }
    let (method, in_browser) = (request.method().clone(), accepts_html(&request));
    let (request, read) = watched(request);
    let timed_out = async {
        if timeout(BODY_TIMEOUT, read).await.is_err() {
            return Problem::slow_body().into_response();
        }
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

/// Returns the request, and a receiver that completes when its body has been read or will not be read.
fn watched(request: Request) -> (Request, oneshot::Receiver<()>) {
    let (reading, read) = oneshot::channel();
    // A GET or HEAD may have a body, but no handler reads it.
    if request.body().is_end_stream() || matches!(*request.method(), Method::GET | Method::HEAD) {
        return (request, read);
    }
    let watch = |body| Body::new(WatchedBody { body, reading: Some(reading) });
    (request.map(watch), read)
}

struct WatchedBody {
    body: Body,
    /// Dropped at the end of the body.
    reading: Option<oneshot::Sender<()>>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let more = matches!(frame, Poll::Pending | Poll::Ready(Some(Ok(_))));
        if !more || self.body.is_end_stream() {
            self.reading = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending};

    use axum::{Router, middleware, routing::any};
    use futures::{StreamExt, stream};
    use tower::ServiceExt;

    use super::*;

    /// The response of a handler that never answers, or of one that reads the body.
    async fn asked(path: &str, method: Method, accept: &str, body: Body) -> Response {
        let router = Router::new()
            .route("/never", any(async || pending::<()>().await))
            .route("/read", any(async |body: Bytes| body))
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

    /// A body whose second half arrives late.
    fn halting(pause: Duration) -> Body {
        let parts = stream::iter([Duration::ZERO, pause]).then(async |pause| {
            sleep(pause).await;
            Ok::<_, Infallible>("half")
        });
        Body::from_stream(parts)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_a_separate_timeout_to_send_a_body() {
        let slow = asked("/read", Method::POST, "*/*", halting(BODY_TIMEOUT / 2)).await;
        assert_eq!((slow.status(), text(slow).await.as_str()), (StatusCode::OK, "halfhalf"));
        let too_slow = asked("/read", Method::POST, "*/*", halting(BODY_TIMEOUT * 2)).await;
        assert_eq!(too_slow.status(), 408);
        assert_eq!(too_slow.headers()["connection"], "close");
    }
}
