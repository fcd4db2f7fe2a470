//! Refuses requests of other sites. There is no authentication yet, so any page that an operator opens could make the
//! browser post to Onceward in the operator's name.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Uri, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::http::problem::Problem;

/// Refuses requests that a browser sends on behalf of another site, as `Sec-Fetch-Site` says (Fetch Metadata) or, in an
/// older browser, `Origin`. Also refuses requests to a host name that is not this machine's own: a foreign name that
/// resolves to this machine (DNS rebinding) would count as the same site. Without exactly one `Host`, an HTTP/1.1
/// request is malformed (RFC 9112, 3.2).
pub async fn enforce(request: Request, next: Next) -> Response {
    if !names_host(request.version(), request.headers()) {
        return Problem::malformed("an HTTP/1.1 request must have exactly one header Host")
            .into_response();
    }
    let site = request.headers().get("sec-fetch-site");
    let origin = request.headers().get(header::ORIGIN);
    let foreign = site.is_some_and(|site| site != "same-origin" && site != "none")
        || origin.is_some_and(|origin| !is_local_origin(origin));
    let host = request.headers().get(header::HOST);
    if (foreign && !request.method().is_safe()) || !is_local(host, request.uri()) {
        return Problem::cross_site().into_response();
    }
    next.run(request).await
}

/// Whether there are as many `Host` headers as the version requires. HTTP/2 has the authority of its own.
fn names_host(version: Version, headers: &HeaderMap) -> bool {
    match headers.get_all(header::HOST).iter().count() {
        0 => version != Version::HTTP_11,
        hosts => hosts == 1,
    }
}

/// `null` is the origin of a page without one, such as a file; it is not local.
fn is_local_origin(origin: &HeaderValue) -> bool {
    let uri = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    uri.as_ref().and_then(Uri::authority).is_some_and(is_local_name)
}

/// Without a host, as in HTTP/1.0, a request counts as local.
fn is_local(host: Option<&HeaderValue>, uri: &Uri) -> bool {
    let named = host.and_then(|host| host.to_str().ok()).map(str::parse::<Authority>);
    match named {
        Some(Ok(authority)) => is_local_name(&authority),
        Some(Err(_)) => false,
        None => uri.authority().map_or(host.is_none(), is_local_name),
    }
}

fn is_local_name(authority: &Authority) -> bool {
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

    #[test]
    fn only_http_1_1_requires_a_host_and_no_version_takes_two() {
        let hosts = |hosts: usize| {
            let host = HeaderValue::from_static("localhost");
            std::iter::repeat_n((header::HOST, host), hosts).collect::<HeaderMap>()
        };
        for (version, allowed) in [
            (Version::HTTP_10, [true, true, false]),
            (Version::HTTP_11, [false, true, false]),
            (Version::HTTP_2, [true, true, false]),
        ] {
            assert_eq!([0, 1, 2].map(|count| names_host(version, &hosts(count))), allowed);
        }
    }

    #[test]
    fn only_pages_of_this_machine_have_a_local_origin() {
        let local = |origin| is_local_origin(&HeaderValue::from_static(origin));
        for origin in ["http://127.0.0.1:3000", "https://localhost", "http://[::1]:3000"] {
            assert!(local(origin), "{origin}");
        }
        for origin in ["https://evil.example", "null", "", "http://localhost.evil.example"] {
            assert!(!local(origin), "{origin}");
        }
    }
}
