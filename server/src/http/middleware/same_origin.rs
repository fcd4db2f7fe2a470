//! Refuses requests of other sites. A browser sends the session's cookie along with every request, so any page that an
//! operator opens could otherwise act in the operator's name.

use std::{net::IpAddr, str::FromStr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, Uri, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::http::{
    client_address::ClientScheme, problem::Problem, request::authority::requested_host,
};

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
        is_this_machine(name) || self.0.iter().any(|HostName(own)| own.eq_ignore_ascii_case(name))
    }

    /// Without a host, as in HTTP/1.0, a request counts as ours. If the address names a host as well, both must be ours.
    fn are_addressed(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        uri.authority().is_none_or(|authority| self.contain(authority))
            && (!headers.contains_key(header::HOST)
                || requested_host(headers, uri).is_some_and(|host| self.contain(&host)))
    }

    /// Whether a browser sends the request on behalf of another site, as `Sec-Fetch-Site` says (Fetch Metadata) or, in an
    /// older browser, `Origin`. No browser sends either twice.
    fn are_foreign_to(&self, request: &Request) -> bool {
        let headers = request.headers();
        let is_doubled = |name| headers.get_all(name).iter().nth(1).is_some();
        if is_doubled("sec-fetch-site") || is_doubled("origin") {
            return true;
        }
        let site = headers.get("sec-fetch-site");
        let origin = headers.get(header::ORIGIN);
        site.is_some_and(|site| site != "same-origin" && site != "none")
            || origin.is_some_and(|origin| !self.have_sent(origin, request, site.is_some()))
    }

    /// Whether an origin is ours. Its scheme and port are compared with those of the request as far as they are known: a
    /// proxy may have changed them, and a browser that sends `Sec-Fetch-Site` has compared them itself. `null` is the
    /// origin of a page without one, such as a file; it is not ours.
    fn have_sent(&self, origin: &HeaderValue, request: &Request, is_compared: bool) -> bool {
        let uri = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
        let Some(parts) = uri.map(Uri::into_parts) else { return false };
        let (Some(scheme), Some(origin)) = (parts.scheme, parts.authority) else { return false };
        if !self.contain(&origin) {
            return false;
        }
        if is_compared {
            return true;
        }
        let is_https = scheme.as_str() == "https";
        if request.extensions().get() == Some(&ClientScheme::Https) && !is_https {
            return false;
        }
        let port = || origin.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        match requested_host(request.headers(), request.uri()) {
            Some(host) if host.host().eq_ignore_ascii_case(origin.host()) => {
                match host.port_u16() {
                    Some(requested) => requested == port(),
                    // Some proxies leave the port out of the `Host` that they pass on.
                    None => origin.port().is_none() || !is_this_machine(host.host()),
                }
            }
            // A proxy sends a `Host` of its own. What is open on this machine is no part of a site elsewhere.
            Some(host) => !is_this_machine(origin.host()) || is_this_machine(host.host()),
            None => true,
        }
    }
}

fn is_this_machine(name: &str) -> bool {
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Refuses what a browser sends on behalf of another site, unless it only opens a page. Also refuses requests to a host
/// name that is not ours: a foreign name that resolves to this machine (DNS rebinding) would count as the same site.
/// Without exactly one `Host`, an HTTP/1.1 request is malformed (RFC 9112, 3.2).
pub async fn enforce(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    if !names_host(request.version(), request.headers()) {
        return Problem::malformed("an HTTP/1.1 request must have exactly one header Host")
            .into_response();
    }
    let is_refused = !hosts.are_addressed(request.headers(), request.uri())
        || (hosts.are_foreign_to(&request) && !may_be_foreign(request.method(), request.headers()));
    if is_refused {
        return Problem::cross_site().into_response();
    }
    next.run(request).await
}

/// Whether another site may send such a request: a link to a page, but neither a change, nor a part of its own page such
/// as an image or a frame.
fn may_be_foreign(method: &Method, headers: &HeaderMap) -> bool {
    let is =
        |name, values: &[&str]| headers.get(name).is_some_and(|it| values.iter().any(|v| it == v));
    let is_part = headers.contains_key("sec-fetch-mode") && !is("sec-fetch-mode", &["navigate"]);
    let is_framed = is("sec-fetch-dest", &["embed", "fencedframe", "frame", "iframe", "object"]);
    method.is_safe() && !is_part && !is_framed
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
            let host = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            hosts().are_addressed(&host, &Uri::from_static("/"))
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
        assert!(hosts().are_addressed(&HeaderMap::new(), &Uri::from_static("/")));
    }

    #[test]
    fn the_authority_of_http_2_must_be_ours_and_its_host_as_well() {
        let none = HeaderMap::new();
        let ours = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        let foreign = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("x.example"))]);
        for (authority, headers, expected) in [
            ("https://pay.example.com/", &none, true),
            ("https://x.example/", &none, false),
            ("https://pay.example.com/", &ours, true),
            ("https://pay.example.com/", &foreign, false),
            ("https://x.example/", &ours, false),
        ] {
            let uri = Uri::from_static(authority);
            assert_eq!(hosts().are_addressed(headers, &uri), expected, "{authority} {headers:?}");
        }
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

    /// Whether a request with these headers comes from another site.
    fn is_foreign(scheme: ClientScheme, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().extension(scheme);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        hosts().are_foreign_to(&request.body(axum::body::Body::empty()).unwrap())
    }

    #[test]
    fn only_pages_of_ours_have_an_origin_of_ours() {
        let foreign =
            |host, origin| is_foreign(ClientScheme::Http, &[("host", host), ("origin", origin)]);
        for (host, origin) in [
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("localhost", "http://localhost"),
            ("[::1]:3000", "http://[::1]:3000"),
            ("pay.example.com", "https://pay.example.com"),
            ("pay.example.com:443", "https://pay.example.com"),
            // Behind proxies that send another host, or leave the port out.
            ("127.0.0.1:3000", "https://pay.example.com"),
            ("pay.example.com", "https://pay.example.com:8443"),
        ] {
            assert!(!foreign(host, origin), "{host} {origin}");
        }
        for (host, origin) in [
            ("localhost:3000", "https://evil.example"),
            ("localhost:3000", "null"),
            ("localhost:3000", ""),
            ("localhost:3000", "localhost:3000"),
            ("localhost:3000", "http://localhost.evil.example"),
            // Another program on this machine.
            ("localhost:3000", "http://localhost:8000"),
            ("localhost:3000", "http://localhost"),
            ("localhost", "http://localhost:8000"),
            ("pay.example.com:443", "http://pay.example.com"),
        ] {
            assert!(foreign(host, origin), "{host} {origin}");
        }
    }

    #[test]
    fn a_page_that_came_in_the_clear_is_foreign_to_a_request_over_https() {
        let origin = |origin| [("host", "pay.example.com"), ("origin", origin)];
        assert!(is_foreign(ClientScheme::Https, &origin("http://pay.example.com")));
        assert!(!is_foreign(ClientScheme::Https, &origin("https://pay.example.com")));
    }

    #[test]
    fn what_a_browser_says_about_the_site_counts_and_says_it_once() {
        let site = |sites: &[&str]| {
            let site = sites.iter().map(|site| ("sec-fetch-site", *site));
            let headers = [("host", "localhost:3000"), ("origin", "http://localhost:3001")];
            is_foreign(ClientScheme::Http, &headers.into_iter().chain(site).collect::<Vec<_>>())
        };
        // Through a proxy on this machine that sends a host of its own.
        assert!(!site(&["same-origin"]) && !site(&["none"]));
        for sites in [&["cross-site"][..], &["same-site"], &["same-origin", "cross-site"], &[]] {
            assert!(site(sites), "{sites:?}");
        }
    }

    #[test]
    fn another_site_may_only_open_a_page() {
        let may = |method, headers: &[(&'static str, &'static str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            may_be_foreign(&method, &headers.collect())
        };
        let (mode, dest) = ("sec-fetch-mode", "sec-fetch-dest");
        assert!(may(Method::GET, &[(mode, "navigate"), (dest, "document")]));
        assert!(may(Method::HEAD, &[]));
        assert!(!may(Method::POST, &[(mode, "navigate"), (dest, "document")]));
        for (mode_is, dest_is) in [
            ("no-cors", "image"),
            ("cors", "empty"),
            ("websocket", "websocket"),
            ("navigate", "iframe"),
        ] {
            assert!(!may(Method::GET, &[(mode, mode_is), (dest, dest_is)]), "{mode_is}");
        }
    }
}
