//! Refuses requests of other sites. There is no authentication yet, so any page that an operator opens could make the
//! browser post to Onceward in the operator's name.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Uri, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::http::problem::Problem;

/// A host name or an address, without a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

/// Why a text is no host name.
#[derive(Debug, thiserror::Error)]
#[error("must be a host name without a scheme, port or wildcard, such as pay.example.com")]
pub struct NotAHostName;

impl FromStr for HostName {
    type Err = NotAHostName;

    fn from_str(text: &str) -> Result<Self, NotAHostName> {
        let authority: Authority = text.parse().map_err(|_| NotAHostName)?;
        let name = authority.host();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._[:]".contains(c);
        match name == authority.as_str() && name.chars().all(is_plain) {
            true => Ok(Self(name.to_ascii_lowercase())),
            false => Err(NotAHostName),
        }
    }
}

/// The names under which Onceward may be addressed: this machine's own, which always count, and those that a proxy in
/// front keeps. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Arc<[HostName]>);

/// Reads names that are separated by commas.
impl FromStr for Hosts {
    type Err = NotAHostName;

    fn from_str(text: &str) -> Result<Self, NotAHostName> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Hosts {
    fn contain(&self, authority: &Authority) -> bool {
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || self.0.iter().any(|HostName(own)| own.eq_ignore_ascii_case(name))
    }

    /// Without a host, as in HTTP/1.0, a request counts as ours.
    fn are_addressed(&self, host: Option<&HeaderValue>, uri: &Uri) -> bool {
        let named = host.and_then(|host| host.to_str().ok()).map(str::parse::<Authority>);
        match named {
            Some(Ok(authority)) => self.contain(&authority),
            Some(Err(_)) => false,
            None => uri.authority().map_or(host.is_none(), |authority| self.contain(authority)),
        }
    }

    /// `null` is the origin of a page without one, such as a file; it is not ours.
    fn have_sent(&self, origin: &HeaderValue) -> bool {
        let uri = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        uri.as_ref().and_then(Uri::authority).is_some_and(|authority| self.contain(authority))
    }
}

/// Refuses requests that a browser sends on behalf of another site, as `Sec-Fetch-Site` says (Fetch Metadata) or, in an
/// older browser, `Origin`. Also refuses requests to a host name that is not ours: a foreign name that resolves to this
/// machine (DNS rebinding) would count as the same site. Without exactly one `Host`, an HTTP/1.1 request is malformed
/// (RFC 9112, 3.2).
pub async fn enforce(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    if !names_host(request.version(), request.headers()) {
        return Problem::malformed("an HTTP/1.1 request must have exactly one header Host")
            .into_response();
    }
    let site = request.headers().get("sec-fetch-site");
    let origin = request.headers().get(header::ORIGIN);
    let foreign = site.is_some_and(|site| site != "same-origin" && site != "none")
        || origin.is_some_and(|origin| !hosts.have_sent(origin));
    let host = request.headers().get(header::HOST);
    if (foreign && !request.method().is_safe()) || !hosts.are_addressed(host, request.uri()) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of a proxy that keeps the name of its site.
    fn hosts() -> Hosts {
        "pay.example.com, [fd00::1],".parse().unwrap()
    }

    #[test]
    fn only_this_machines_own_names_and_those_of_the_setting_are_addressed() {
        let addressed = |host: &'static str| {
            hosts().are_addressed(Some(&HeaderValue::from_static(host)), &Uri::from_static("/"))
        };
        for host in ["127.0.0.1:3000", "localhost:3000", "LOCALHOST", "[::1]:3000", "127.0.0.2"] {
            assert!(addressed(host), "{host}");
        }
        for host in ["pay.example.com", "PAY.example.com:443", "[fd00::1]:8443"] {
            assert!(addressed(host), "{host}");
        }
        for host in [
            "example.com",
            "127.0.0.1.example.com",
            "localhost.example.com:80",
            "x.pay.example.com",
            "pay.example.com.evil.example",
            "",
        ] {
            assert!(!addressed(host), "{host}");
        }
        assert!(hosts().are_addressed(None, &Uri::from_static("/")));
    }

    #[test]
    fn a_name_of_the_setting_has_no_scheme_port_or_wildcard() {
        for name in ["", "*", "*.example.com", "https://pay.example.com", "x:443", "a@b", "a b"] {
            assert!(name.parse::<HostName>().is_err(), "{name}");
        }
        assert_eq!("Pay.example.com".parse::<HostName>().unwrap().0, "pay.example.com");
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
    fn only_pages_of_ours_have_an_origin_of_ours() {
        let ours = |origin| hosts().have_sent(&HeaderValue::from_static(origin));
        for origin in ["http://127.0.0.1:3000", "https://localhost", "http://[::1]:3000"] {
            assert!(ours(origin), "{origin}");
        }
        assert!(ours("https://pay.example.com"));
        for origin in ["https://evil.example", "null", "", "http://localhost.evil.example"] {
            assert!(!ours(origin), "{origin}");
        }
    }
}
