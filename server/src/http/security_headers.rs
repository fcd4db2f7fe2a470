//! What every response says to browsers, whatever answers. The listener adds it, so no router can leave it out.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};

use super::{
    client_address::ClientScheme, content_security_policy, request::authority::requested_host,
};

/// The headers that a response has if it does not say otherwise.
const HEADERS: [(HeaderName, HeaderValue); 8] = [
    (header::CONTENT_SECURITY_POLICY, content_security_policy::OF_DATA),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // The forms that work without script lead back to the page that the referrer names.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), \
             microphone=(), midi=(), payment=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=()",
        ),
    ),
    // What may be kept says so itself.
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

/// A year, for the site and everything below it (ASVS 3.4.1).
const STRICT_TRANSPORT_SECURITY: HeaderValue =
    HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// What of a request decides about the headers of its response.
#[derive(Debug, Clone, Copy)]
pub struct SecurityHeaders {
    is_strict: bool,
}

impl SecurityHeaders {
    /// Those of the response to a request. Only a client that used https is told to go on doing so, and not on
    /// `localhost`, where other programs serve plain http.
    pub fn for_request<B>(request: &Request<B>) -> Self {
        let is_https = request.extensions().get() == Some(&ClientScheme::Https);
        let is_local = || {
            let host = requested_host(request.headers(), request.uri());
            host.is_none_or(|host| host.host().eq_ignore_ascii_case("localhost"))
        };
        Self { is_strict: is_https && !is_local() }
    }

    /// Adds them to the response.
    pub fn add_to<B>(self, response: &mut Response<B>) {
        let headers: &mut HeaderMap = response.headers_mut();
        for (name, value) in HEADERS {
            headers.entry(name).or_insert(value);
        }
        if self.is_strict {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(scheme: ClientScheme, host: &str) -> HeaderMap {
        let request = Request::builder().extension(scheme).header("host", host).body(()).unwrap();
        let mut response =
            Response::builder().header("cache-control", "no-store").body(()).unwrap();
        SecurityHeaders::for_request(&request).add_to(&mut response);
        std::mem::take(response.headers_mut())
    }

    #[test]
    fn a_response_keeps_what_it_says_itself() {
        let headers = headers(ClientScheme::Http, "pay.example.com");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["content-security-policy"], content_security_policy::OF_DATA);
    }

    #[test]
    fn only_a_client_that_used_https_is_told_to_go_on_doing_so() {
        for (scheme, host, expected) in [
            (ClientScheme::Https, "pay.example.com", true),
            (ClientScheme::Http, "pay.example.com", false),
            (ClientScheme::Https, "localhost:3000", false),
        ] {
            let strict = headers(scheme, host).contains_key("strict-transport-security");
            assert_eq!(strict, expected, "{scheme:?} {host}");
        }
    }
}
