//! The setting `POSTING_PROXY`: whether requests to the posting service go through a proxy.

use std::{env, str::FromStr};

use axum::http::{HeaderValue, Uri};
use base64::{Engine, prelude::BASE64_STANDARD};
use gateway::ForwardProxy;
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::values::http_url;

/// The variables that name the proxies of the environment.
const VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Through which proxy requests go to the posting service.
#[derive(Clone)]
pub enum PostingProxy {
    /// None, whatever the environment says: a payment must not take a route that a stray variable gave it.
    Off,
    /// The one that HTTP_PROXY, HTTPS_PROXY and ALL_PROXY name, unless NO_PROXY excludes the posting service.
    Environment,
    /// This one.
    Url(ForwardProxy),
}

impl FromStr for PostingProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "environment" => Ok(Self::Environment),
            url => forward_proxy(url).map(Self::Url).ok_or_else(|| {
                "must be off, environment, or the http or https URL of a proxy".to_owned()
            }),
        }
    }
}

/// The proxy at a URL, whose credentials are sent apart from it.
fn forward_proxy(text: &str) -> Option<ForwardProxy> {
    let mut url = Url::parse(&http_url(text).ok()?).ok()?;
    let user = percent_decode_str(url.username()).collect::<Vec<u8>>();
    let password = url.password().map(|text| percent_decode_str(text).collect::<Vec<u8>>());
    let has_credentials = !user.is_empty() || password.is_some();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    let authorization = match has_credentials {
        false => None,
        true => {
            let credentials = [user, password.unwrap_or_default()].join(&b':');
            let text = format!("Basic {}", BASE64_STANDARD.encode(credentials));
            let mut value = HeaderValue::try_from(text).ok()?;
            value.set_sensitive(true);
            Some(value)
        }
    };
    Some(ForwardProxy { url: url.to_string(), authorization })
}

impl PostingProxy {
    /// The proxy for requests to `posting_url`, if any.
    ///
    /// # Errors
    /// If the environment names a proxy of another kind, or one that cannot be read.
    pub fn on_the_way_to(&self, posting_url: &str) -> Result<Option<ForwardProxy>, String> {
        let proxies = match self {
            Self::Off => return Ok(None),
            Self::Url(proxy) => return Ok(Some(proxy.clone())),
            Self::Environment => Matcher::from_env(),
        };
        // The matcher passes over what it cannot read, and the requests would go directly.
        let is_unreadable = |name: &&str| {
            env::var(name).is_ok_and(|url| !url.is_empty() && url.parse::<Uri>().is_err())
        };
        if let Some(name) = VARIABLES.iter().find(|name| is_unreadable(name)) {
            return Err(format!("POSTING_PROXY: the environment's {name} is not a URL"));
        }
        let posting_url =
            posting_url.parse::<Uri>().map_err(|error| format!("POSTING_URL: {error}"))?;
        let Some(proxy) = proxies.intercept(&posting_url) else { return Ok(None) };
        let scheme = proxy.uri().scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") {
            return Err(format!(
                "POSTING_PROXY: the environment names a {scheme} proxy; only http and https are supported"
            ));
        }
        let authorization = proxy.basic_auth().cloned();
        Ok(Some(ForwardProxy { url: proxy.uri().to_string(), authorization }))
    }
}

/// Without the URL, which may hold credentials.
impl std::fmt::Debug for PostingProxy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Off => "off",
            Self::Environment => "environment",
            Self::Url(_) => "a URL",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_is_off_the_environments_or_a_url_whose_credentials_are_sent_apart() {
        let proxy = |text: &str| text.parse::<PostingProxy>().unwrap();
        assert!(proxy("off").on_the_way_to("http://bank").unwrap().is_none());
        for posting_url in ["http://bank/v1", "https://bank"] {
            let through = proxy("http://user:p%40ss@proxy:3128/").on_the_way_to(posting_url);
            let through = through.unwrap().unwrap();
            assert_eq!(through.url, "http://proxy:3128/");
            assert_eq!(through.authorization.unwrap(), "Basic dXNlcjpwQHNz");
        }
        // Such characters should be encoded, but a proxy must not be left out because they are not.
        for (text, password) in
            [("http://user:p^s|s@proxy:3128", "p^s|s"), ("http://user:p@ss@proxy:3128", "p@ss")]
        {
            let through = proxy(text).on_the_way_to("http://bank").unwrap().unwrap();
            assert_eq!(through.url, "http://proxy:3128/");
            let expected = BASE64_STANDARD.encode(format!("user:{password}"));
            assert_eq!(through.authorization.unwrap(), format!("Basic {expected}"));
        }
        let without = proxy("https://proxy").on_the_way_to("http://bank").unwrap().unwrap();
        assert!(without.authorization.is_none());
        for text in ["", "on", "proxy:3128", "socks5://proxy", "http://proxy/?x"] {
            assert!(text.parse::<PostingProxy>().is_err(), "{text}");
        }
    }
}
