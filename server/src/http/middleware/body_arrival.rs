//! Receives the body of a request before anything else is done for it. A client that sends slowly holds its connection and
//! what it has sent, but no place among the requests in flight.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use metrics::counter;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::load_shedding::{BATCH_PATH, Budgets};
use crate::http::{
    body_limits::{MAX_BATCH_BODY_BYTES, MAX_BODY_BYTES},
    problem::Problem,
};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How much of all bodies may be in memory, in bytes.
const MAX_BYTES: usize = 128 * 1024 * 1024;

/// What the bodies that arrive share. Cheap to clone.
#[derive(Clone)]
pub struct Arrivals {
    /// Those of the requests in flight: while there is no place, no body is received.
    budgets: Budgets,
    /// What is left of the memory for bodies.
    bytes: Arc<Semaphore>,
}

impl Arrivals {
    /// Bodies of requests with these budgets.
    pub fn new(budgets: Budgets) -> Self {
        Self { budgets, bytes: Arc::new(Semaphore::new(MAX_BYTES)) }
    }
}

/// Passes the request on with its whole body. Answers 408 if the body arrives too slowly, 413 if it is too large, and 503
/// if there is no room for it.
pub async fn receive(State(arrivals): State<Arrivals>, request: Request, next: Next) -> Response {
    // A GET or HEAD may have a body, but no handler reads it; nor does one where there is no route.
    if request.body().is_end_stream()
        || matches!(*request.method(), Method::GET | Method::HEAD)
        || request.extensions().get::<MatchedPath>().is_none()
    {
        return next.run(request).await;
    }
    if let Some(refused) = arrivals.budgets.refusal(request.method(), request.uri().path()) {
        return refused.into_response();
    }
    let limit_bytes = match request.uri().path() {
        BATCH_PATH => MAX_BATCH_BODY_BYTES,
        _ => MAX_BODY_BYTES,
    };
    let (parts, body) = request.into_parts();
    match timeout(BODY_TIMEOUT, collect(body, limit_bytes, &arrivals.bytes)).await {
        Ok(Ok((body, _held))) => next.run(Request::from_parts(parts, body.into())).await,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::slow_body().into_response(),
    }
}

/// The whole body, and its share of the memory.
async fn collect(
    body: Body,
    limit_bytes: usize,
    memory: &Arc<Semaphore>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Problem> {
    let declared = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if declared > limit_bytes {
        return Err(Problem::too_large(limit_bytes));
    }
    let (mut chunks, mut held) = (Vec::new(), None::<OwnedSemaphorePermit>);
    let mut arriving = body.into_data_stream();
    let mut length = 0;
    while let Some(chunk) = arriving.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("the body could not be read"))?;
        length += chunk.len();
        if length > limit_bytes {
            return Err(Problem::too_large(limit_bytes));
        }
        let bytes = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        let Ok(share) = memory.clone().try_acquire_many_owned(bytes) else {
            counter!("onceward_refused_total", "kind" => "body").increment(1);
            return Err(Problem::overloaded("too many bodies are arriving"));
        };
        match &mut held {
            Some(held) => held.merge(share),
            None => held = Some(share),
        }
        chunks.push(chunk);
    }
    let body = match chunks.len() {
        1 => chunks.swap_remove(0),
        _ => chunks.concat().into(),
    };
    Ok((body, held))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{Router, middleware, routing::any};
    use futures::stream;
    use tokio::time::sleep;
    use tower::ServiceExt;

    use super::*;
    use crate::http::middleware::{load_shedding, problem_rendering};

    /// A server with so much memory for bodies, and what its requests share.
    fn server(bytes: usize) -> (Router, Arrivals) {
        let budgets = Budgets::default();
        let arrivals =
            Arrivals { budgets: budgets.clone(), bytes: Arc::new(Semaphore::new(bytes)) };
        let router = Router::new()
            .route("/read", any(async |body: Bytes| body))
            .route(BATCH_PATH, any(async |body: Bytes| body))
            .layer(middleware::from_fn_with_state(budgets, load_shedding::admit))
            .layer(middleware::from_fn_with_state(arrivals.clone(), receive))
            .layer(middleware::from_fn(problem_rendering::render));
        (router, arrivals)
    }

    async fn ask(router: &Router, path: &str, body: Body) -> Response {
        let request = Request::builder().method("POST").uri(path).body(body).unwrap();
        router.clone().oneshot(request).await.unwrap()
    }

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
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
        let (router, _) = server(MAX_BYTES);
        let slow = ask(&router, "/read", halting(BODY_TIMEOUT / 2)).await;
        assert_eq!((slow.status().as_u16(), text(slow).await.as_str()), (200, "halfhalf"));
        let too_slow = ask(&router, "/read", halting(BODY_TIMEOUT * 2)).await;
        assert_eq!(too_slow.status(), 408);
        assert_eq!(too_slow.headers()["connection"], "close");
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_send_slowly_hold_up_no_other() {
        let (router, arrivals) = server(MAX_BYTES);
        let slow = (0..500).map(|_| {
            let router = router.clone();
            tokio::spawn(async move { ask(&router, BATCH_PATH, halting(BODY_TIMEOUT * 2)).await })
        });
        let slow: Vec<_> = slow.collect();
        while arrivals.bytes.available_permits() > MAX_BYTES - 500 * "half".len() {
            tokio::task::yield_now().await;
        }
        assert_eq!(text(ask(&router, BATCH_PATH, Body::from("whole")).await).await, "whole");
        for ended in slow {
            assert_eq!(ended.await.unwrap().status(), 408);
        }
        assert_eq!(arrivals.bytes.available_permits(), MAX_BYTES);
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_or_finds_no_room_is_refused() {
        let (router, _) = server(MAX_BYTES);
        let too_large = || Body::from(vec![b'x'; MAX_BODY_BYTES + 1]);
        assert_eq!(ask(&router, "/read", too_large()).await.status(), 413);
        assert_eq!(ask(&router, BATCH_PATH, too_large()).await.status(), 200);
        let in_parts =
            stream::iter([b'x'; 3].map(|x| Ok::<_, Infallible>(vec![x; MAX_BODY_BYTES])));
        assert_eq!(ask(&router, "/read", Body::from_stream(in_parts)).await.status(), 413);
        assert_eq!(ask(&router, "/nowhere", too_large()).await.status(), 404);
        let (small, _) = server(4);
        assert_eq!(ask(&small, "/read", Body::from("1234")).await.status(), 200);
        assert_eq!(ask(&small, "/read", Body::from("12345")).await.status(), 503);
    }
}
