//! How requests reach the posting service: directly or through a proxy, with which certificates, with no request that
//! the protocol did not ask for.

use std::{error::Error, time::Duration};

use domain::protocol::POST_WITHIN;
use reqwest::{Client, Proxy, Url, header::HeaderValue, redirect};

/// A forward proxy on the way to the posting service.
#[derive(Debug, Clone)]
pub struct ForwardProxy {
    /// Its URL, without credentials.
    pub url: String,
    /// What it is sent as `Proxy-Authorization`.
    pub authorization: Option<HeaderValue>,
}

/// Why there is no client for the posting service.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// https, without a certificate to trust.
    #[error(
        "https is not possible: {0}; install certificates (Debian's package is ca-certificates), or name a file with \
         certificates in SSL_CERT_FILE"
    )]
    Certificates(String),
    /// Anything else.
    #[error("the HTTP client cannot be built: {0}")]
    Client(String),
}

/// The client for a posting service at `base`. Certificates are loaded only for https: plain http works on a machine
/// that has none.
///
/// # Errors
/// If `base` or the proxy is https and there are no certificates to trust, or the proxy's address is wrong.
pub(super) fn client(
    proxy: Option<ForwardProxy>,
    base: &str,
    timeout: Duration,
) -> Result<Client, ConnectorError> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let urls = [Some(base), proxy.as_ref().map(|proxy| proxy.url.as_str())];
    let secured = urls.into_iter().flatten().any(is_secured);
    let mut builder = Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout.min(POST_WITHIN))
        // One call is one request on the wire: the protocol decides about retries.
        .retry(reqwest::retry::never())
        .redirect(redirect::Policy::none())
        // The environment's proxies are not for payments, unless a setting says so.
        .no_proxy()
        .user_agent(concat!("onceward/", env!("CARGO_PKG_VERSION")));
    if let Some(ForwardProxy { url, authorization }) = proxy {
        let mut proxy = Proxy::all(url).map_err(|error| ConnectorError::Client(cause(&error)))?;
        if let Some(authorization) = authorization {
            proxy = proxy.custom_http_auth(authorization);
        }
        builder = builder.proxy(proxy);
    }
    if !secured {
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| match secured {
        true => ConnectorError::Certificates(cause(&error)),
        false => ConnectorError::Client(cause(&error)),
    })
}

fn is_secured(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

/// The first cause of an error: what reqwest itself says is only that it is an error of the builder.
fn cause(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
