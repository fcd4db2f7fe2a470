//! How requests reach the posting service: directly or through a proxy, with which certificates, with no request that
//! the protocol did not ask for.

use std::{error::Error, time::Duration};

use domain::protocol::POST_WITHIN;
use reqwest::{
    Certificate, Client, ClientBuilder, Identity, Proxy, Url, header::HeaderValue, redirect,
};
use secrecy::{ExposeSecret, SecretSlice};

use super::watched::{FileError, SettingFile, Watched};

/// A forward proxy on the way to the posting service.
#[derive(Debug, Clone)]
pub struct ForwardProxy {
    /// Its URL, without credentials.
    pub url: String,
    /// What it is sent as `Proxy-Authorization`.
    pub authorization: Option<HeaderValue>,
}

/// The certificates of a connection to the posting service. The default is the system's.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// The authorities that the posting service's certificate is checked with, instead of the system's.
    pub ca: Option<SettingFile>,
    /// The certificate by which the posting service knows Onceward, with the chain up to its authority, and its key.
    pub client_certificate: Option<(SettingFile, SettingFile)>,
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
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Anything else.
    #[error("the HTTP client cannot be built: {0}")]
    Client(String),
}

/// The client for a posting service at `base`. If a file with certificates changes, the next request has a new client;
/// those in flight keep theirs.
///
/// # Errors
/// If `base` or the proxy is https and there are no certificates to trust, a file cannot be used, or the proxy's address
/// is wrong.
pub fn client(
    proxy: Option<ForwardProxy>,
    base: &str,
    tls: TlsFiles,
    timeout: Duration,
) -> Result<Watched<Client>, ConnectorError> {
    let secured = needs_tls(proxy.as_ref(), base);
    let TlsFiles { ca, client_certificate } = tls;
    let (ca_setting, certificate_setting) = (
        ca.as_ref().map(|file| file.setting),
        client_certificate.as_ref().map(|(certificate, _)| certificate.setting),
    );
    let mut files: Vec<_> = ca.into_iter().collect();
    files.extend(client_certificate.into_iter().flat_map(<[SettingFile; 2]>::from));
    // Without files the error says what to do about the system's certificates.
    let Some(first) = files.first().map(|file| file.setting) else {
        let built = builder(proxy, secured, timeout)?.build();
        return Ok(Watched::constant(built.map_err(|error| of_build(&error, secured))?));
    };
    let build = move |contents: &[SecretSlice<u8>]| {
        let mut builder = builder(proxy.clone(), secured, timeout)
            .map_err(|error| FileError::new(first, error))?;
        let mut contents = contents.iter().map(ExposeSecret::expose_secret);
        if let Some((setting, pem)) = ca_setting.and_then(|ca| Some((ca, contents.next()?))) {
            builder = builder.tls_certs_only(authorities(setting, pem)?);
        }
        if let (Some(setting), Some(certificate), Some(key)) =
            (certificate_setting, contents.next(), contents.next())
        {
            let identity =
                Identity::from_pem(&[certificate, b"\n", key].concat()).map_err(|_| {
                    FileError::new(
                        setting,
                        "there is no certificate in PEM, or no key in PEM for it",
                    )
                })?;
            builder = builder.identity(identity);
        }
        builder
            .build()
            .map_err(|error| FileError::new(certificate_setting.unwrap_or(first), cause(&error)))
    };
    Ok(Watched::read(files, build)?)
}

/// The client for a token endpoint at `url`. It may have a certificate of a public authority or of our own, `ca`.
///
/// # Errors
/// As those of [`client`].
pub fn token_client(
    proxy: Option<ForwardProxy>,
    url: &str,
    ca: Option<SettingFile>,
    timeout: Duration,
) -> Result<Watched<Client>, ConnectorError> {
    let secured = needs_tls(proxy.as_ref(), url);
    let Some(ca) = ca.filter(|_| secured) else {
        return client(proxy, url, TlsFiles::default(), timeout);
    };
    let setting = ca.setting;
    let build = move |contents: &[SecretSlice<u8>]| {
        let mut builder = builder(proxy.clone(), secured, timeout)
            .map_err(|error| FileError::new(setting, error))?;
        for pem in contents {
            builder = builder.tls_certs_merge(authorities(setting, pem.expose_secret())?);
        }
        builder.build().map_err(|error| FileError::new(setting, cause(&error)))
    };
    Ok(Watched::read(vec![ca], build)?)
}

fn builder(
    proxy: Option<ForwardProxy>,
    secured: bool,
    timeout: Duration,
) -> Result<ClientBuilder, ConnectorError> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
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
    // Certificates are loaded only for https: plain http works on a machine that has none.
    Ok(if secured { builder } else { builder.tls_certs_only([]) })
}

fn needs_tls(proxy: Option<&ForwardProxy>, url: &str) -> bool {
    [Some(url), proxy.map(|proxy| proxy.url.as_str())].into_iter().flatten().any(is_secured)
}

fn authorities(setting: &'static str, pem: &[u8]) -> Result<Vec<Certificate>, FileError> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(FileError::new(setting, "there is no certificate in PEM in the file")),
    }
}

fn of_build(error: &reqwest::Error, secured: bool) -> ConnectorError {
    match secured {
        true => ConnectorError::Certificates(cause(error)),
        false => ConnectorError::Client(cause(error)),
    }
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
