//! Rate limits: of an address before anything is done for a request, and of a principal once it is known. The headers are
//! those of draft-ietf-httpapi-ratelimit-headers.

use std::time::Duration;

use access::limits::{Decision, Rate, RateLimits};
use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::Caller;
use metrics::counter;

use crate::http::{client_address::ClientAddress, problem::Problem};

/// What may still come.
pub const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The limit.
pub const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The names of the two limits in the headers, and of their refusals in the metrics.
const OF_ADDRESS: &str = "address";
const OF_PRINCIPAL: &str = "default";

/// Counts a request towards the limit of its client's address. Probes are exempt.
pub async fn limit_address(
    State(limits): State<RateLimits>,
    request: Request,
    next: Next,
) -> Response {
    let address = request.extensions().get::<ClientAddress>();
    let decision = match is_exempt(request.uri().path()) {
        true => None,
        false => address.and_then(|ClientAddress(address)| limits.check_address(*address)),
    };
    answer(OF_ADDRESS, decision, request, next).await
}

/// Counts a request towards the limit of its principal. The principal's own rate, if it has one, is in the request's
/// extensions as a [`Rate`]. Probes are exempt.
pub async fn limit_principal(
    State(limits): State<RateLimits>,
    request: Request,
    next: Next,
) -> Response {
    let own = request.extensions().get::<Rate>().copied();
    let decision = match request.extensions().get::<Caller>() {
        Some(caller) if !is_exempt(request.uri().path()) => {
            limits.check(caller.principal(), caller.role, own)
        }
        _ => None,
    };
    answer(OF_PRINCIPAL, decision, request, next).await
}

/// Probes of orchestrators, and metrics, which have a setting of their own. They cost next to nothing.
fn is_exempt(path: &str) -> bool {
    matches!(path, "/livez" | "/readyz" | "/metrics")
}

async fn answer(
    name: &'static str,
    decision: Option<Decision>,
    request: Request,
    next: Next,
) -> Response {
    let Some(decision) = decision else { return next.run(request).await };
    let mut response = match decision.refused_for {
        None => next.run(request).await,
        Some(wait) => {
            counter!("onceward_rate_limited_total", "limit" => name).increment(1);
            Problem::rate_limited("too many requests", wait).into_response()
        }
    };
    let seconds = whole_seconds;
    let (requests, period) = (decision.rate.requests(), seconds(decision.rate.period()));
    let (remaining, restored) = (decision.remaining, seconds(decision.restored_in()));
    for (header, text) in [
        (RATE_LIMIT_POLICY, format!("\"{name}\";q={requests};w={period}")),
        (RATE_LIMIT, format!("\"{name}\";r={remaining};t={restored}")),
    ] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(header, value);
        }
    }
    response
}

/// Rounded up: after so many seconds it is true.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn, middleware::from_fn_with_state};
    use domain::Role;
    use tower::ServiceExt;

    use super::*;
    use crate::http::middleware::problem_rendering;

    /// A server with these limits.
    fn server(per_principal: &str, per_address: &str) -> Router {
        let (principal, address) = (per_principal.parse().unwrap(), per_address.parse().unwrap());
        let limits = RateLimits::new(principal, Some(address));
        Router::new()
            .fallback(async || Problem::not_found("there is nothing"))
            .layer(from_fn_with_state(limits.clone(), limit_principal))
            .layer(from_fn_with_state(limits, limit_address))
            .layer(from_fn(problem_rendering::render))
    }

    /// Status and headers of a request.
    async fn ask(server: &Router, path: &str, role: Role, own: Option<&str>) -> (u16, Vec<String>) {
        let address = ClientAddress("192.0.2.1".parse().unwrap());
        let mut request = Request::builder()
            .uri(path)
            .extension(address)
            .extension(Caller { role, ..Caller::anonymous() })
            .body(Body::empty())
            .unwrap();
        if let Some(own) = own {
            request.extensions_mut().insert(own.parse::<Rate>().unwrap());
        }
        let response = server.clone().oneshot(request).await.unwrap();
        let names = ["ratelimit-policy", "ratelimit", "retry-after"];
        let values = names.iter().flat_map(|name| response.headers().get_all(*name));
        let values = values.map(|value| value.to_str().unwrap().to_owned()).collect();
        (response.status().as_u16(), values)
    }

    #[tokio::test]
    async fn a_response_names_the_limits_and_what_is_left_of_them() {
        let server = server("viewer=2/m", "100/h");
        let (status, headers) = ask(&server, "/x", Role::Viewer, None).await;
        assert_eq!(status, 404);
        assert_eq!(
            headers,
            [
                "\"default\";q=2;w=60",
                "\"address\";q=100;w=3600",
                "\"default\";r=1;t=30",
                "\"address\";r=99;t=36"
            ]
        );
    }

    #[tokio::test]
    async fn requests_beyond_a_limit_are_refused_with_the_time_to_wait_and_probes_are_exempt() {
        let server = server("viewer=1/m,operator=1/m", "4/h");
        let statuses = async |role, own, times| {
            let mut statuses = Vec::new();
            for _ in 0..times {
                statuses.push(ask(&server, "/x", role, own).await.0);
            }
            statuses
        };
        assert_eq!(statuses(Role::Viewer, None, 2).await, [404, 429]);
        let (status, headers) = ask(&server, "/x", Role::Viewer, None).await;
        let retry_after: u64 = headers.last().unwrap().parse().unwrap();
        assert!(status == 429 && (1..=60).contains(&retry_after), "{headers:?}");
        // The fourth of the address, and the fifth.
        assert_eq!(statuses(Role::Operator, Some("9/m"), 2).await, [404, 429]);
        assert_eq!(ask(&server, "/livez", Role::Viewer, None).await, (404, Vec::new()));
    }
}
