//! The setting `POSTING_PROXY`: whether requests to the posting service go through a proxy.

use std::str::FromStr;

use axum::http::Uri;
use gateway::ForwardProxy;
use hyper_util::client::proxy::matcher::Matcher;

use super::values::http_url;

/// Through which proxy requests go to the posting service.
#[derive(Clone)]
pub enum PostingProxy {
    /// None, whatever the environment says: a payment must not take a route that a stray variable gave it.
    Off,
    /// The one that HTTP_PROXY, HTTPS_PROXY and ALL_PROXY name, unless NO_PROXY excludes the posting service.
    Environment,
    /// This one.
    Url(String),
}

impl FromStr for PostingProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "environment" => Ok(Self::Environment),
            url => match http_url(url) {
                Ok(url) => Ok(Self::Url(url)),
                Err(_) => {
                    Err("must be off, environment, or the http or https URL of a proxy".to_owned())
                }
            },
        }
    }
}

impl PostingProxy {
    /// The proxy for requests to `posting_url`, if any.
    ///
    /// # Errors
    /// If the environment names a proxy of another kind.
    pub fn on_the_way_to(&self, posting_url: &str) -> Result<Option<ForwardProxy>, String> {
        let proxies = match self {
            Self::Off => return Ok(None),
            Self::Environment => Matcher::from_env(),
            Self::Url(url) => Matcher::builder().all(url.as_str()).build(),
        };
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
        for text in ["", "on", "proxy:3128", "socks5://proxy", "http://proxy/?x"] {
            assert!(text.parse::<PostingProxy>().is_err(), "{text}");
        }
    }
}
