//! Every answer begins in time, whatever PostgreSQL does. Its statements have a limit of their own
//! (`gateway`); this is for whatever else takes long, and for a request whose statements add up. What a
//! client is slow to send is not ours to answer for, and has its own limit.
//!
//! A handler that is cut off leaves nothing half done: what it changes, it changes in one statement.

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

use crate::http::{problem::Problem, request::accept::wants_html};

/// From the end of a request to the beginning of its answer. Clients are promised two seconds.
const DEADLINE: Duration = Duration::from_millis(1800);
/// How long a handler may wait that has something to say without PostgreSQL.
pub const PATIENCE: Duration = Duration::from_millis(1500);
/// How long a client may take to send a body.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// A page for whoever reads it in a browser; the pages themselves say as much where one of their
/// statements takes too long.
const PAGE: &str = "<!doctype html><html lang=en><title>Not now · Onceward</title>\
    <p>Onceward did not answer in time. <a href=\"\">Try again</a></p>";

/// Answers 503 where the handler does not in time, and 408 where its client is slow.
pub async fn keep(request: Request, next: Next) -> Response {
    // It empties everything, however much that is; it exists where the simulator runs inside.
    if request.uri().path() == "/cleanup" {
        return next.run(request).await;
    }
    let (method, in_browser) = (request.method().clone(), wants_html(&request));
    let (request, read) = watched(request);
    let over = async {
        if timeout(BODY_LIMIT, read).await.is_err() {
            return Problem::slow_body().into_response();
        }
        sleep(DEADLINE).await;
        if in_browser {
            return (StatusCode::SERVICE_UNAVAILABLE, Html(PAGE)).into_response();
        }
        let detail = match method.is_safe() {
            true => "there was no answer in time",
            false => {
                "there was no answer in time; what was asked for may have been done all the same"
            }
        };
        Problem::unavailable(detail).into_response()
    };
    let answer = pin!(next.run(request));
    tokio::select! {
        biased;
        response = answer => response,
        response = over => response,
    }
}

/// The request, and what ends when its body has been read, or will not be.
fn watched(request: Request) -> (Request, oneshot::Receiver<()>) {
    let (reading, read) = oneshot::channel();
    // A body where none belongs is not waited for.
    if request.body().is_end_stream() || matches!(*request.method(), Method::GET | Method::HEAD) {
        return (request, read);
    }
    let watch = |body| Body::new(Watched { body, reading: Some(reading) });
    (request.map(watch), read)
}

struct Watched {
    body: Body,
    /// Dropped at the end.
    reading: Option<oneshot::Sender<()>>,
}

impl HttpBody for Watched {
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

    /// What a client gets that asks a handler which never answers, or reads the body and does.
    async fn asked(path: &str, method: Method, accept: &str, body: Body) -> Response {
        let router = Router::new()
            .route("/never", any(async || pending::<()>().await))
            .route("/read", any(async |body: Bytes| body))
            .route("/cleanup", any(async || sleep(DEADLINE * 100).await))
            .layer(middleware::from_fn(keep))
            .layer(middleware::from_fn(crate::http::middleware::problem_rendering::render));
        let request = Request::builder().uri(path).method(method).header("accept", accept);
        router.oneshot(request.body(body).unwrap()).await.unwrap()
    }

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_takes_too_long_is_answered_for() {
        for (method, is_unknown) in [(Method::GET, false), (Method::POST, true)] {
            let answer = asked("/never", method, "*/*", Body::from("x")).await;
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.headers()["retry-after"], "1");
            assert_eq!(text(answer).await.contains("may have been done"), is_unknown);
        }
        let page = asked("/never", Method::GET, "text/html", Body::empty()).await;
        assert_eq!(
            (page.status(), text(page).await.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, PAGE)
        );
        let cleaned = asked("/cleanup", Method::POST, "*/*", Body::empty()).await;
        assert_eq!(cleaned.status(), 200);
    }

    /// A body whose second half comes late.
    fn halting(pause: Duration) -> Body {
        let parts = stream::iter([Duration::ZERO, pause]).then(async |pause| {
            sleep(pause).await;
            Ok::<_, Infallible>("half")
        });
        Body::from_stream(parts)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_its_own_time_to_send_a_body() {
        let slow = asked("/read", Method::POST, "*/*", halting(BODY_LIMIT / 2)).await;
        assert_eq!((slow.status(), text(slow).await.as_str()), (StatusCode::OK, "halfhalf"));
        let too_slow = asked("/read", Method::POST, "*/*", halting(BODY_LIMIT * 2)).await;
        assert_eq!(too_slow.status(), 408);
        assert_eq!(too_slow.headers()["connection"], "close");
    }
}
