//! The certificate of the listener, which is read again when its files change and on SIGHUP: connections that come later
//! have the new one, and those that are open are not disturbed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sha2::{Digest, Sha256};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);
/// The protocols that are offered, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The files of a certificate, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by those that lead to its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting}: cannot read {}: {cause}", .path.display())]
    Unreadable {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file has other content.
    #[error("{setting}: {} has no {what} in PEM", .path.display())]
    NotPem {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should have.
        what: &'static str,
    },
    /// The two do not fit.
    #[error("TLS_CERT and TLS_KEY cannot be used together: {0}")]
    Unfit(#[from] rustls::Error),
}

/// The certificate of a listener as it is now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tls(Arc<Current>);

#[derive(Debug)]
struct Current {
    files: CertificateFiles,
    config: RwLock<Arc<ServerConfig>>,
    /// The hash of the files' content when they were last read, whether or not it could be used.
    content: RwLock<[u8; 32]>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn read(files: CertificateFiles) -> Result<Self, TlsError> {
        let content = Content::read(&files)?;
        let (config, hash) = (content.config(&files)?, content.hash());
        let (config, content) = (RwLock::new(Arc::new(config)), RwLock::new(hash));
        Ok(Self(Arc::new(Current { files, config, content })))
    }

    /// What accepts a connection with the current certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.config.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Reads the files again whenever they change, until it is stopped.
    ///
    /// # Errors
    /// If the system does not let it listen for SIGHUP.
    pub async fn follow_files(self, stop: &CancellationToken) -> io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            let is_asked = tokio::select! {
                _ = hangup.recv() => true,
                () = sleep(INTERVAL) => false,
                () = stop.cancelled() => return Ok(()),
            };
            let this = self.clone();
            // Files may be on a slow disk.
            let reload = tokio::task::spawn_blocking(move || this.reload());
            match reload.await.map_err(io::Error::other)? {
                Ok(true) => tracing::info!("the certificate was read again"),
                Ok(false) if is_asked => tracing::info!("the certificate has not changed"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the former certificate stays in use"),
            }
        }
    }

    /// Reads the files, and uses them if their content is new. Returns whether it is.
    ///
    /// # Errors
    /// If they cannot be used, once for each content.
    fn reload(&self) -> Result<bool, TlsError> {
        let content = Content::read(&self.0.files);
        let hash = content.as_ref().map(Content::hash).unwrap_or_default();
        let mut known = self.0.content.write().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *known, hash) == hash {
            return Ok(false);
        }
        let config = Arc::new(content?.config(&self.0.files)?);
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(true)
    }
}

/// What the files hold.
struct Content {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Content {
    fn read(files: &CertificateFiles) -> Result<Self, TlsError> {
        let read = |setting, path: &Path| {
            std::fs::read(path).map_err(|cause| TlsError::Unreadable {
                setting,
                path: path.to_owned(),
                cause,
            })
        };
        let certificate = read("TLS_CERT", &files.certificate)?;
        Ok(Self { certificate, key: read("TLS_KEY", &files.key)? })
    }

    fn hash(&self) -> [u8; 32] {
        let of = |bytes: &[u8]| Sha256::digest(bytes);
        of(&[of(&self.certificate), of(&self.key)].concat()).into()
    }

    fn config(&self, files: &CertificateFiles) -> Result<ServerConfig, TlsError> {
        let not_pem =
            |setting, path: &Path, what| TlsError::NotPem { setting, path: path.to_owned(), what };
        let certificates = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| not_pem("TLS_CERT", &files.certificate, "certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| not_pem("TLS_KEY", &files.key, "private key"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(certificates, key)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn files(&self) -> CertificateFiles {
            let path = |name| self.0.path().join(name);
            CertificateFiles { certificate: path("cert.pem"), key: path("key.pem") }
        }

        fn write_new(&self) {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            std::fs::write(self.files().certificate, made.cert.pem()).unwrap();
            std::fs::write(self.files().key, made.signing_key.serialize_pem()).unwrap();
        }
    }

    fn current(tls: &Tls) -> Arc<ServerConfig> {
        tls.0.config.read().unwrap().clone()
    }

    #[test]
    fn a_new_certificate_is_used_and_one_that_does_not_fit_its_key_is_reported_once() {
        let folder = Folder::new();
        folder.write_new();
        let tls = Tls::read(folder.files()).unwrap();
        let first = current(&tls);
        assert!(!tls.reload().unwrap());
        assert!(Arc::ptr_eq(&first, &current(&tls)));

        let key = std::fs::read(folder.files().key).unwrap();
        folder.write_new();
        let new_key = std::fs::read(folder.files().key).unwrap();
        std::fs::write(folder.files().key, key).unwrap();
        assert!(matches!(tls.reload(), Err(TlsError::Unfit(_))));
        assert!(!tls.reload().unwrap());
        assert!(Arc::ptr_eq(&first, &current(&tls)));

        std::fs::write(folder.files().key, new_key).unwrap();
        assert!(tls.reload().unwrap());
        assert!(!Arc::ptr_eq(&first, &current(&tls)));
    }

    #[test]
    fn an_error_names_the_setting_and_its_file_and_never_the_key() {
        let folder = Folder::new();
        folder.write_new();
        std::fs::write(folder.files().key, "secret").unwrap();
        let error = Tls::read(folder.files()).unwrap_err().to_string();
        assert!(error.starts_with("TLS_KEY: ") && error.contains("key.pem"), "{error}");
        assert!(!error.contains("secret"), "{error}");
        std::fs::remove_file(folder.files().certificate).unwrap();
        let error = Tls::read(folder.files()).unwrap_err().to_string();
        assert!(error.starts_with("TLS_CERT: ") && error.contains("cert.pem"), "{error}");
    }
}
