//! Load shedding. The number of requests in flight is limited, and a request beyond it is refused before its body is
//! read: an immediate 503 serves a client better than a place in a growing queue. Each kind of request has a budget of
//! its own, so that pages and probes are served under a flood of submissions.

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

/// Submissions. This many are committed within a fraction of a second. Each holds a body of at most 64 KiB.
const SUBMISSIONS: usize = 1024;
/// Batches. Each holds a body of at most 1 MiB.
const BATCHES: usize = 16;
/// Queries, pages and operations. PostgreSQL answers some sixteen at once.
const OTHERS: usize = 256;

/// Where batches are submitted.
pub const BATCH_PATH: &str = "/api/transactions/batch";

/// The requests of each kind that may be in flight. Cheap to clone.
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
    /// The budget that a request counts towards; none for probes.
    fn of(&self, method: &Method, path: &str) -> Option<&(&'static str, Semaphore)> {
        let [submissions, batches, others] = &*self.0;
        match path {
            path if is_probe(path) => None,
            BATCH_PATH => Some(batches),
            "/api/transactions" | "/v1/webhooks/transactions" if method == Method::POST => {
                Some(submissions)
            }
            _ => Some(others),
        }
    }

    /// The refusal of a request for which there is no permit now.
    pub fn refusal(&self, method: &Method, path: &str) -> Option<Problem> {
        let (kind, budget) = self.of(method, path)?;
        (budget.available_permits() == 0).then(|| refused(*kind))
    }
}

fn refused(kind: &'static str) -> Problem {
    counter!("onceward_refused_total", "kind" => kind).increment(1);
    Problem::overloaded("too many requests are in flight")
}

/// Whether a request must be answered under any load: otherwise a monitor would take the program for dead.
pub fn is_probe(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/metrics" | "/api/health")
}

/// Admits a request if its budget has a permit, and answers 503 otherwise. The permit is held until the response
/// starts: a streamed response waits only for its client.
pub async fn admit(State(budgets): State<Budgets>, request: Request, next: Next) -> Response {
    let Some((kind, budget)) = budgets.of(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let Ok(_permit) = budget.try_acquire() else {
        return refused(*kind).into_response();
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
    async fn requests_beyond_a_budget_are_refused_at_once_and_other_kinds_are_served() {
        let (started, release) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let handler = {
            let (started, release) = (started.clone(), release.clone());
            async move || {
                started.add_permits(1);
                release.notified().await;
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
        let _ = started.acquire_many(SUBMISSIONS as u32).await.unwrap();
        let refused = ask(Method::POST, "/api/transactions").await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["retry-after"]),
            (503, &"1".parse().unwrap())
        );
        for path in ["/readyz", "/api/transactions/batch", "/"] {
            assert_eq!(ask(Method::POST, path).await.status(), 200, "{path}");
        }
        release.notify_waiters();
        for answer in join_all(full).await {
            assert_eq!(answer.unwrap().status(), 200);
        }
    }
}
