//! What is under way at once is bounded, and what is beyond that refused before its body is read: a
//! client is better served by a 503 at once than by a place in a queue that grows. Each kind of request
//! has a budget of its own, so that the page and the probes are served under a flood of submissions.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use metrics::counter;
use tokio::sync::Semaphore;

use crate::http::problem::Problem;

/// Submissions that wait for their commit are a fraction of a second's work. Each holds a body of 64 KiB
/// at most.
const SUBMISSIONS: usize = 1024;
/// Bodies of a megabyte.
const BATCHES: usize = 16;
/// Questions, pages, and what people do. PostgreSQL answers some sixteen at once.
const OTHERS: usize = 256;

/// What may be under way. Cheap to clone.
#[derive(Clone)]
pub struct Budgets(Arc<[(&'static str, Semaphore); 3]>);

impl Default for Budgets {
    fn default() -> Self {
        let budget = |kind, permits| (kind, Semaphore::new(permits));
        Self(Arc::new([
            budget("submission", SUBMISSIONS),
            budget("batch", BATCHES),
            budget("other", OTHERS),
        ]))
    }
}

impl Budgets {
    /// The budget that a request counts towards; none for what tells how the program is doing.
    fn of(&self, method: &Method, path: &str) -> Option<&(&'static str, Semaphore)> {
        let [submissions, batches, others] = &*self.0;
        match path {
            path if tells_how_it_is_doing(path) => None,
            "/api/transactions/batch" => Some(batches),
            "/api/transactions" | "/v1/webhooks/transactions" if method == Method::POST => {
                Some(submissions)
            }
            _ => Some(others),
        }
    }
}

/// What is answered whatever else is under way: who asks would take the program for dead.
pub fn tells_how_it_is_doing(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/metrics" | "/api/health")
}

/// Lets a request through where its budget has room; otherwise answers 503. It counts until its answer
/// begins: an answer that streams waits for nobody but its client.
pub async fn admit(State(budgets): State<Budgets>, request: Request, next: Next) -> Response {
    let Some((kind, budget)) = budgets.of(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let Ok(_permit) = budget.try_acquire() else {
        counter!("onceward_refused_total", "kind" => *kind).increment(1);
        return Problem::overloaded("too many requests are under way").into_response();
    };
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware, routing::any};
    use futures::future::join_all;
    use tokio::sync::Notify;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn what_is_beyond_a_budget_is_refused_at_once_and_no_other_kind_with_it() {
        let (begun, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let handler = {
            let (begun, go_on) = (begun.clone(), go_on.clone());
            async move || {
                begun.add_permits(1);
                go_on.notified().await;
            }
        };
        let router = Router::new()
            .route("/api/transactions", any(handler))
            .fallback(async || ())
            .layer(middleware::from_fn_with_state(Budgets::default(), admit))
            .layer(middleware::from_fn(crate::http::middleware::problem_rendering::render));
        let ask = |method, path| {
            let request = Request::builder().method(method).uri(path).body(Body::empty());
            let router = router.clone();
            async move { router.oneshot(request.unwrap()).await.unwrap() }
        };
        let full = (0..SUBMISSIONS).map(|_| tokio::spawn(ask(Method::POST, "/api/transactions")));
        let full: Vec<_> = full.collect();
        let _ = begun.acquire_many(SUBMISSIONS as u32).await.unwrap();
        let refused = ask(Method::POST, "/api/transactions").await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
        for path in ["/readyz", "/api/transactions/batch", "/"] {
            assert_eq!(ask(Method::POST, path).await.status(), 200, "{path}");
        }
        go_on.notify_waiters();
        for answer in join_all(full).await {
            assert_eq!(answer.unwrap().status(), 200);
        }
    }
}
