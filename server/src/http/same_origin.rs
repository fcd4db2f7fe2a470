//! Keeps other sites out. Whoever opens a foreign page has a browser that could post to Onceward in
//! their name, and there is no authentication yet.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{HeaderValue, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::Problem;

/// Refuses what a browser sends on behalf of another site (it says so: Fetch Metadata,
/// `Sec-Fetch-Site`), and what is addressed to another name than this machine's own: a foreign name
/// that was made to lead here would count as the same site.
pub async fn only(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site");
    let foreign = site.is_some_and(|site| site != "same-origin" && site != "none");
    let host = request.headers().get(header::HOST);
    if (foreign && !request.method().is_safe()) || !is_local(host, request.uri()) {
        return Problem::cross_site().into_response();
    }
    next.run(request).await
}

/// Absent, as in HTTP/1.0, it names nobody else.
fn is_local(host: Option<&HeaderValue>, uri: &Uri) -> bool {
    let named = host.and_then(|host| host.to_str().ok()).map(str::parse::<Authority>);
    let authority = match named {
        Some(Ok(authority)) => authority,
        Some(Err(_)) => return false,
        None => match uri.authority() {
            Some(authority) => authority.clone(),
            None => return host.is_none(),
        },
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machines_own_names_are_local() {
        let local = |host: &'static str| {
            is_local(Some(&HeaderValue::from_static(host)), &Uri::from_static("/"))
        };
        for host in ["127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000", "127.0.0.2"] {
            assert!(local(host), "{host}");
        }
        for host in ["example.com", "127.0.0.1.example.com", "localhost.example.com:80", ""] {
            assert!(!local(host), "{host}");
        }
        assert!(is_local(None, &Uri::from_static("/")));
    }
}
