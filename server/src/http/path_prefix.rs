//! The path under which a proxy serves Onceward, such as `/onceward`. The routers do not know it: it is removed from
//! each request, and added to where a response leads. The pages add it to their own addresses.

use std::{fmt, str::FromStr, sync::Arc};

use axum::http::{HeaderValue, Request, Response, Uri, header};

/// Paths of Onceward itself begin with these.
const OWN: [&str; 16] = [
    "account",
    "api",
    "audit",
    "cleanup",
    "clients",
    "fn",
    "livez",
    "metrics",
    "pkg",
    "readyz",
    "set-password",
    "sign-in",
    "sign-out",
    "transactions",
    "users",
    "v1",
];

/// Empty, or a path with a slash at its beginning and none at its end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct PathPrefix(Arc<str>);

/// Why a text is no path prefix.
#[derive(Debug, thiserror::Error)]
pub enum NotAPathPrefix {
    /// It is no path, or one that would have to be encoded.
    #[error("must be a path such as /onceward, of letters, digits, - . _ and ~")]
    Malformed,
    /// A path of Onceward itself begins like it.
    #[error("must not begin with the first part of a path of Onceward itself, such as /api")]
    Own,
}

impl FromStr for PathPrefix {
    type Err = NotAPathPrefix;

    fn from_str(text: &str) -> Result<Self, NotAPathPrefix> {
        let path = text.trim_end_matches('/');
        if path.is_empty() {
            return Ok(Self::default());
        }
        let parts = path.strip_prefix('/').ok_or(NotAPathPrefix::Malformed)?.split('/');
        let is_plain = |part: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
            !matches!(part, "" | "." | "..") && part.chars().all(is_plain)
        };
        match parts.clone().all(is_plain) {
            false => Err(NotAPathPrefix::Malformed),
            true if parts.into_iter().next().is_some_and(|part| OWN.contains(&part)) => {
                Err(NotAPathPrefix::Own)
            }
            true => Ok(Self(path.into())),
        }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl PathPrefix {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows it in a path: a path again.
    fn rest<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.0).filter(|rest| rest.starts_with('/'))
    }

    /// Removes it from the path of a request. A request without it comes from a proxy that has removed it, or from this
    /// machine.
    pub fn remove_from<B>(&self, request: &mut Request<B>) {
        if self.0.is_empty() {
            return;
        }
        let rest = request.uri().path_and_query().and_then(|path| self.rest(path.as_str()));
        if let Some(Ok(path)) = rest.map(str::parse) {
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            parts.path_and_query = Some(path);
            *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        }
    }

    /// Adds it to where a response leads.
    pub fn add_to<B>(&self, response: &mut Response<B>) {
        if self.0.is_empty() {
            return;
        }
        let location = response.headers().get(header::LOCATION).and_then(|it| it.to_str().ok());
        let is_ours = |path: &&str| {
            path.starts_with('/') && !path.starts_with("//") && self.rest(path).is_none()
        };
        let Some(path) = location.filter(is_ours) else { return };
        if let Ok(location) = HeaderValue::from_str(&format!("{self}{path}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix() -> PathPrefix {
        "/pay/onceward/".parse().unwrap()
    }

    #[test]
    fn the_prefix_is_removed_from_a_path_that_begins_with_it_as_a_whole() {
        for (path, rest) in [
            ("/pay/onceward/", "/"),
            ("/pay/onceward/api/transactions?limit=1", "/api/transactions?limit=1"),
            ("http://127.0.0.1:3000/pay/onceward/livez", "http://127.0.0.1:3000/livez"),
            ("/pay/onceward", "/pay/onceward"),
            ("/pay/oncewards/", "/pay/oncewards/"),
            ("/api/transactions", "/api/transactions"),
            ("/?next=/pay/onceward/", "/?next=/pay/onceward/"),
        ] {
            let mut request = Request::builder().uri(path).body(()).unwrap();
            prefix().remove_from(&mut request);
            assert_eq!(request.uri().to_string(), rest, "{path}");
        }
    }

    #[test]
    fn the_prefix_is_added_once_to_where_a_response_leads() {
        for (leads, complete) in [
            ("/transactions/1", "/pay/onceward/transactions/1"),
            ("/pay/onceward/transactions/1", "/pay/onceward/transactions/1"),
            ("https://example.com/", "https://example.com/"),
            ("//example.com/", "//example.com/"),
        ] {
            let mut response = Response::builder().header("location", leads).body(()).unwrap();
            prefix().add_to(&mut response);
            assert_eq!(response.headers()["location"], complete, "{leads}");
        }
    }

    #[test]
    fn a_prefix_is_a_plain_path_that_no_path_of_ours_begins_with() {
        for text in ["onceward", "/a//b", "/a b", "/../x", "/%61", "/a?b", "https://x/a", "/api"] {
            assert!(text.parse::<PathPrefix>().is_err(), "{text}");
        }
        for text in ["", "/"] {
            assert_eq!(text.parse::<PathPrefix>().unwrap().as_str(), "");
        }
        assert_eq!(prefix().as_str(), "/pay/onceward");
    }
}
