//! A PostgreSQL whose certificate is checked: `sslmode=verify-full`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    Fallible,
    support::{Program, command, database, run_to_end},
};

/// What a client sends to ask for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// An end of TLS in front of the tests' PostgreSQL, which listens on a socket only.
struct Front {
    port: u16,
    folder: tempfile::TempDir,
}

impl Front {
    /// Its certificate is for `localhost`.
    async fn start(socket: PathBuf) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("root.pem"), made.cert.pem()).unwrap();
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("other.pem"), other.cert.pem()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(forward(stream, acceptor.clone(), socket.clone()));
            }
        });
        Self { port, folder }
    }

    fn url(&self, host: &str, database: &str, root: &str) -> String {
        let root = self.folder.path().join(root);
        let (port, root) = (self.port, root.display());
        format!(
            "postgres://postgres@{host}:{port}/{database}?sslmode=verify-full&sslrootcert={root}"
        )
    }
}

async fn forward(mut stream: TcpStream, acceptor: TlsAcceptor, socket: PathBuf) -> Fallible<()> {
    let mut request = [0; 8];
    stream.read_exact(&mut request).await?;
    assert_eq!(request, SSL_REQUEST, "the client does not ask for TLS");
    stream.write_all(b"S").await?;
    let mut stream = acceptor.accept(stream).await?;
    copy_bidirectional(&mut stream, &mut UnixStream::connect(socket).await?).await?;
    Ok(())
}

#[tokio::test]
async fn a_database_is_used_only_if_its_certificate_is_valid_for_its_name() {
    let url = database().await;
    let (start, rest) = url.split_once("host=").unwrap();
    let folder = Path::new(rest.split('&').next().unwrap());
    let name = start.trim_end_matches('?').rsplit('/').next().unwrap();
    let front = Front::start(folder.join(".s.PGSQL.5432")).await;

    let mut trusted = command(&["web"]);
    trusted.env("DATABASE_URL", front.url("localhost", name, "root.pem"));
    let program = Program::start(trusted).await;
    program.submit_one(1).await;

    for (host, root) in [("localhost", "other.pem"), ("127.0.0.1", "root.pem")] {
        let mut refused = command(&["web"]);
        refused.env("DATABASE_URL", front.url(host, name, root));
        let (ok, log) = run_to_end(refused).await;
        assert!(!ok && log.contains("certificate"), "{host} {root}: {log}");
    }
}
