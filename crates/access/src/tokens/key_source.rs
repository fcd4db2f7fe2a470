//! Where the keys of another issuer come from: a file or a URL, read again when they may have changed.

use std::{
    net::IpAddr,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{Client, Url, redirect};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{error::KeysError, key::VerificationKey, refreshed::Refreshed};

/// The longest file or answer.
const MAX_BYTES: usize = 256 * 1024;
/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a URL is not fetched again, whatever key ids tokens name.
pub(super) const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(60);
/// How old keys of a URL may become before they are fetched again, so that keys that are withdrawn are noticed.
pub(super) const MAX_FETCHED_AGE: Duration = Duration::from_secs(300);
/// How old keys of a file may become before it is read again.
const MAX_FILE_AGE: Duration = Duration::from_secs(1);

/// Where a JSON Web Key Set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksLocation {
    /// A file.
    File(PathBuf),
    /// A URL: https, or http on loopback.
    Url(Url),
}

/// Why a text is no location of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadJwksLocation {
    /// Whoever is on the way could exchange the keys.
    #[error("must be the path of a file or an https URL; http is accepted only on loopback")]
    Insecure,
    /// It looks like a URL and is none.
    #[error("is not a valid URL")]
    Url,
}

impl FromStr for JwksLocation {
    type Err = BadJwksLocation;

    fn from_str(text: &str) -> Result<Self, BadJwksLocation> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let url = Url::parse(text).map_err(|_| BadJwksLocation::Url)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback =
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match url.scheme() {
            "https" => Ok(Self::Url(url)),
            "http" if is_loopback => Ok(Self::Url(url)),
            _ => Err(BadJwksLocation::Insecure),
        }
    }
}

/// Keys, and the bytes from which they were read.
#[derive(Debug, Default)]
pub(super) struct ReadKeys {
    pub keys: Vec<Arc<VerificationKey>>,
    sha256: Option<[u8; 32]>,
}

impl ReadKeys {
    /// Whether they were read, now or earlier.
    pub fn are_there(&self) -> bool {
        self.sha256.is_some()
    }
}

type Parse = fn(&[u8]) -> Result<Vec<Arc<VerificationKey>>, KeysError>;

/// A source of keys, and what was read from it last.
#[derive(Debug)]
pub(super) struct KeySource {
    read: Arc<Refreshed<ReadKeys>>,
    reader: Arc<Reader>,
}

#[derive(Debug)]
struct Reader {
    location: JwksLocation,
    client: Client,
    parse: Parse,
    /// What the last reading failed with; the log has one line for each run of equal failures.
    failure: Mutex<Option<String>>,
}

impl KeySource {
    /// Keys from a file or a URL. A file is read at once.
    ///
    /// # Errors
    /// If the file cannot be read, or no client can be built for the URL.
    pub fn new(location: JwksLocation, parse: Parse) -> Result<Self, KeysError> {
        let mut read = ReadKeys::default();
        if let JwksLocation::File(path) = &location {
            let bytes = std::fs::read(path)?;
            if bytes.len() > MAX_BYTES {
                return Err(KeysError::TooLong);
            }
            read = ReadKeys { keys: parse(&bytes)?, sha256: Some(Sha256::digest(&bytes).into()) };
            if read.keys.is_empty() {
                return Err(KeysError::NoUsableKey);
            }
        }
        let client = client(&location).map_err(KeysError::Client)?;
        let reader = Arc::new(Reader { location, client, parse, failure: Mutex::default() });
        Ok(Self { read: Arc::new(Refreshed::new(read)), reader })
    }

    /// What was read last. Reads a file again if it is due; keys of a URL are fetched again in the background, except the
    /// first time.
    pub async fn current(&self) -> Arc<ReadKeys> {
        let read = self.read.get();
        match &self.reader.location {
            JwksLocation::File(_) if self.read.is_older_than(MAX_FILE_AGE) => {
                self.refresh(MAX_FILE_AGE).await;
            }
            JwksLocation::Url(_) if !read.are_there() => self.refresh(MIN_FETCH_INTERVAL).await,
            JwksLocation::Url(_) if self.read.is_older_than(MAX_FETCHED_AGE) => {
                let (read, reader) = (self.read.clone(), self.reader.clone());
                tokio::spawn(read.clone().refresh(MAX_FETCHED_AGE, reader.read(read)));
            }
            _ => return read,
        }
        self.read.get()
    }

    /// What is read after a token named a key that is not known. A URL is fetched at most once a minute.
    pub async fn after_unknown_key(&self) -> Arc<ReadKeys> {
        if let JwksLocation::Url(_) = self.reader.location {
            self.refresh(MIN_FETCH_INTERVAL).await;
        }
        self.read.get()
    }

    async fn refresh(&self, age: Duration) {
        let reading = self.reader.clone().read(self.read.clone());
        self.read.clone().refresh(age, reading).await;
    }
}

impl Reader {
    /// Reads the keys; none if they cannot be read or are the same as before.
    async fn read(self: Arc<Self>, last: Arc<Refreshed<ReadKeys>>) -> Option<ReadKeys> {
        let read = match self.bytes().await {
            Ok(bytes) => (self.parse)(&bytes).map(|keys| (keys, Sha256::digest(&bytes).into())),
            Err(error) => Err(error),
        };
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok((keys, sha256)) => {
                if failure.take().is_some() {
                    tracing::info!(from = self.name(), "the keys for tokens can be read again");
                }
                if last.get().sha256 == Some(sha256) {
                    return None;
                }
                tracing::info!(from = self.name(), keys = keys.len(), "read the keys for tokens");
                Some(ReadKeys { keys, sha256: Some(sha256) })
            }
            Err(error) => {
                let text = with_causes(&error);
                if failure.as_ref() != Some(&text) {
                    tracing::warn!(
                        from = self.name(),
                        error = text,
                        "the keys for tokens cannot be read; those that were read before count"
                    );
                }
                *failure = Some(text);
                None
            }
        }
    }

    async fn bytes(&self) -> Result<Vec<u8>, KeysError> {
        let bytes = match &self.location {
            JwksLocation::File(path) => tokio::fs::read(path).await?,
            JwksLocation::Url(url) => return self.fetch(url.clone()).await,
        };
        if bytes.len() > MAX_BYTES { Err(KeysError::TooLong) } else { Ok(bytes) }
    }

    async fn fetch(&self, url: Url) -> Result<Vec<u8>, KeysError> {
        let without_url = |error: reqwest::Error| KeysError::Fetch(error.without_url());
        let mut response = self.client.get(url).send().await.map_err(without_url)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(KeysError::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(without_url)? {
            if bytes.len() + chunk.len() > MAX_BYTES {
                return Err(KeysError::TooLong);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// The source for the log, without what may be secret in a URL.
    fn name(&self) -> String {
        match &self.location {
            JwksLocation::File(path) => path.display().to_string(),
            JwksLocation::Url(url) => {
                format!("{}{}", url.origin().ascii_serialization(), url.path())
            }
        }
    }
}

/// A client that follows no redirect and takes no proxy from the environment: either could exchange the keys.
fn client(location: &JwksLocation) -> Result<Client, reqwest::Error> {
    // An error means that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .timeout(FETCH_TIMEOUT)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("onceward/", env!("CARGO_PKG_VERSION")));
    match location {
        JwksLocation::Url(url) if url.scheme() == "https" => builder.build(),
        // Certificates are loaded only for https: plain http works on a machine that has none.
        _ => builder.tls_certs_only([]).build(),
    }
}

/// An error with its causes; reqwest's own text is only that something failed.
fn with_causes(error: &KeysError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error).and_then(|error| error.source());
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_a_file_or_over_https_or_from_loopback() {
        let url = |text: &str| Ok(JwksLocation::Url(Url::parse(text).unwrap()));
        for text in ["https://x/jwks", "http://127.0.0.1:1/", "http://[::1]/", "http://localhost/"]
        {
            assert_eq!(text.parse(), url(text), "{text}");
        }
        for text in ["http://x/", "http://127.0.0.1.x/", "ftp://localhost/", "file:///jwks.json"] {
            assert_eq!(text.parse::<JwksLocation>(), Err(BadJwksLocation::Insecure), "{text}");
        }
        assert_eq!("https://".parse::<JwksLocation>(), Err(BadJwksLocation::Url));
        assert_eq!("./a.json".parse(), Ok(JwksLocation::File("./a.json".into())));
    }
}
