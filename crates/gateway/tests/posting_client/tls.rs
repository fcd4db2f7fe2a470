//! Certificates on both sides: an authority of our own, and a certificate by which the posting service knows us.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::Ending;
use gateway::{CredentialSettings, HttpPostingClient, PostingService, SettingFile, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tempfile::{TempDir, tempdir};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{LONG, client_with, far_deadline, file, posting};

struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    fn issues(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        Identity { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }

    fn file(&self, folder: &TempDir) -> SettingFile {
        file(folder, "ca.pem", &self.certificate.pem())
    }
}

impl Identity {
    fn files(&self, folder: &TempDir) -> (SettingFile, SettingFile) {
        let certificate = file(folder, "client.pem", &self.certificate.pem());
        (certificate, file(folder, "client.key", &self.key.serialize_pem()))
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }
}

/// A posting service that accepts every POST of a client whose certificate its authority has issued.
struct TlsServer {
    url: String,
    /// The certificate of each client that got through the handshake.
    clients: Arc<Mutex<Vec<CertificateDer<'static>>>>,
    task: JoinHandle<()>,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl TlsServer {
    async fn start(authority: &Authority) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let identity = authority.issues("127.0.0.1");
        let key = PrivateKeyDer::try_from(identity.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![identity.der()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let clients = Arc::<Mutex<Vec<_>>>::default();
        let task = tokio::spawn({
            let clients = clients.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, clients) = (acceptor.clone(), clients.clone());
                    tokio::spawn(async move {
                        let Ok(mut stream) = acceptor.accept(stream).await else { return };
                        let certificates = stream.get_ref().1.peer_certificates().unwrap();
                        clients.lock().unwrap().push(certificates[0].clone().into_owned());
                        let mut request = Vec::new();
                        while !request.ends_with(b"}") {
                            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                                return;
                            }
                        }
                        let answer = "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
                        let _ = stream.write_all(answer.as_bytes()).await;
                        let _ = stream.shutdown().await;
                    });
                }
            }
        });
        Self { url, clients, task }
    }

    fn clients(&self) -> Vec<CertificateDer<'static>> {
        self.clients.lock().unwrap().clone()
    }
}

async fn is_posted(client: &HttpPostingClient) -> bool {
    let answer = client.post(&posting(), far_deadline()).await;
    matches!(answer.ending, Ending::Answered { status: 201, .. })
}

#[tokio::test]
async fn both_sides_know_each_other_by_certificates_of_an_authority_of_their_own() {
    let (authority, folder) = (Authority::new(), tempdir().unwrap());
    let server = TlsServer::start(&authority).await;
    let identity = authority.issues("onceward");
    let tls = TlsFiles {
        ca: Some(authority.file(&folder)),
        client_certificate: Some(identity.files(&folder)),
    };
    let client = client_with(&server.url, tls, CredentialSettings::default());
    assert!(is_posted(&client).await);
    assert_eq!(server.clients(), [identity.der()]);
}

#[tokio::test]
async fn a_service_whose_certificate_another_authority_has_issued_gets_nothing() {
    let (authority, folder) = (Authority::new(), tempdir().unwrap());
    let server = TlsServer::start(&authority).await;
    let tls = TlsFiles {
        ca: Some(Authority::new().file(&folder)),
        client_certificate: Some(authority.issues("onceward").files(&folder)),
    };
    let client = client_with(&server.url, tls, CredentialSettings::default());
    let answer = client.post(&posting(), far_deadline()).await;
    assert_eq!(answer.ending, Ending::NotWritten, "{answer:?}");
    assert!(server.clients().is_empty());
}

#[tokio::test]
async fn without_a_certificate_of_ours_the_service_takes_nothing() {
    let (authority, folder) = (Authority::new(), tempdir().unwrap());
    let server = TlsServer::start(&authority).await;
    let tls = TlsFiles { ca: Some(authority.file(&folder)), client_certificate: None };
    let client = client_with(&server.url, tls, CredentialSettings::default());
    let answer = client.post(&posting(), far_deadline()).await;
    // In TLS 1.3 the service refuses the certificate only when the client may have written already.
    assert!(matches!(answer.ending, Ending::NotWritten | Ending::Broken), "{answer:?}");
    assert!(server.clients().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_used_from_then_on_and_no_request_fails_meanwhile() {
    let (authority, folder) = (Authority::new(), tempdir().unwrap());
    let server = TlsServer::start(&authority).await;
    let (first, second) = (authority.issues("onceward"), authority.issues("onceward"));
    let tls = TlsFiles {
        ca: Some(authority.file(&folder)),
        client_certificate: Some(first.files(&folder)),
    };
    let client = client_with(&server.url, tls, CredentialSettings::default());
    assert!(is_posted(&client).await);
    // The certificate and the key are two files, so one of them is new first. Whenever that is noticed, requests go on.
    file(&folder, "client.pem", &second.certificate.pem());
    assert!(is_posted(&client).await);
    file(&folder, "client.key", &second.key.serialize_pem());
    let posting = async {
        while server.clients().last() != Some(&second.der()) {
            assert!(is_posted(&client).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, posting).await.expect("the new certificate is never used");
}

#[tokio::test]
async fn files_without_certificates_are_refused_with_the_settings_name() {
    let (authority, folder) = (Authority::new(), tempdir().unwrap());
    let (one, other) = (authority.issues("onceward"), authority.issues("onceward"));
    let key_of_another = file(&folder, "other.key", &other.key.serialize_pem());
    let nothing = file(&folder, "nothing.pem", "nothing");
    for tls in [
        TlsFiles { ca: Some(nothing.clone()), client_certificate: None },
        TlsFiles { ca: None, client_certificate: Some((nothing.clone(), key_of_another.clone())) },
        TlsFiles { ca: None, client_certificate: Some((one.files(&folder).0, key_of_another)) },
    ] {
        let (url, credentials) = ("https://127.0.0.1:9", CredentialSettings::default());
        let refused = HttpPostingClient::through(None, url, tls, credentials, LONG);
        let error = refused.err().unwrap().to_string();
        assert!(error.starts_with("A_FILE: "), "{error}");
    }
}
