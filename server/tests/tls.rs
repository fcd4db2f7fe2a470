//! TLS, HTTP/2, and the headers that every response has.
#![allow(clippy::unwrap_used)]

mod support;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nix::sys::signal::{Signal, kill};
use reqwest::{Certificate, Client, Version};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use support::{Program, command, database};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The files of a certificate for `localhost`.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a new certificate, and returns a client that trusts no other.
    fn write_new(&self) -> Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let replace = |name, text: String| {
            std::fs::write(self.path("new"), text).unwrap();
            std::fs::rename(self.path("new"), self.path(name)).unwrap();
        };
        replace("key.pem", made.signing_key.serialize_pem());
        replace("cert.pem", made.cert.pem());
        let trusted = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap()
    }
}

/// A web process with this certificate, and its address by name.
async fn start(files: &Files) -> (Program, String) {
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database().await);
    command.env("TLS_CERT", files.path("cert.pem")).env("TLS_KEY", files.path("key.pem"));
    let program = Program::start(command).await;
    let port = program.url.rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}");
    (program, url)
}

async fn is_alive(client: &Client, url: &str) -> bool {
    client.get(format!("{url}/livez")).send().await.is_ok_and(|answer| answer.status() == 200)
}

/// An HTTP/2 connection to the program.
async fn connect(files: &Files, url: &str) -> SendRequest<String> {
    let certificate = std::fs::read(files.path("cert.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&certificate).unwrap()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let addr = url.replace("https://localhost", "127.0.0.1");
    let stream = TcpStream::connect(addr).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn many_requests_come_over_one_connection_of_http_2() {
    let files = Files::new();
    let _ = files.write_new();
    let (program, url) = start(&files).await;
    let sender = connect(&files, &url).await;
    let submissions = (0..300).map(|_| {
        let mut sender = sender.clone();
        let request = Request::post(format!("{url}/api/transactions"))
            .header("content-type", "application/json")
            .body(r#"{"amount": 1, "currency": "USD"}"#.to_owned())
            .unwrap();
        async move {
            let response = sender.send_request(request).await.unwrap();
            assert!(!response.headers().contains_key("strict-transport-security"));
            let status = response.status().as_u16();
            let body = Body::new(response.into_body());
            assert!(!to_bytes(body, usize::MAX).await.unwrap().is_empty());
            status
        }
    });
    let statuses = futures::future::join_all(submissions).await;
    assert!(statuses.iter().all(|status| *status == 202), "{statuses:?}");
    let mut other = sender.clone();
    let foreign = Request::get("https://evil.example/api/transactions").body(String::new());
    assert_eq!(other.send_request(foreign.unwrap()).await.unwrap().status(), 403);
    // An open connection does not delay the end.
    assert!(program.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn a_client_without_http_2_is_served_and_one_without_tls_is_not() {
    let files = Files::new();
    let client = files.write_new();
    let (_program, url) = start(&files).await;
    let page = client.get(&url).header("accept", "text/html").send().await.unwrap();
    assert_eq!((page.status().as_u16(), page.version()), (200, Version::HTTP_11));
    assert!(page.text().await.unwrap().contains("</html>"));
    let plain = client.get(format!("{}/livez", url.replace("https", "http"))).send().await;
    assert!(plain.is_err());
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let files = Files::new();
    let first = files.write_new();
    let (program, url) = start(&files).await;
    assert!(is_alive(&first, &url).await);
    let second = files.write_new();
    program.until("the new certificate is used", async || is_alive(&second, &url).await).await;

    std::fs::write(files.path("key.pem"), "no key").unwrap();
    kill(program.pid(), Signal::SIGHUP).unwrap();
    let third = files.write_new();
    kill(program.pid(), Signal::SIGHUP).unwrap();
    program.until("the third certificate is used", async || is_alive(&third, &url).await).await;
    assert!(program.end(Signal::SIGTERM).await.success());
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_refused_at_the_start() {
    let files = Files::new();
    let _ = files.write_new();
    let missing = files.path("missing.pem");
    let key = files.path("key.pem");
    for (certificate, key, error) in [
        (Some(missing.as_path()), Some(key.as_path()), "TLS_CERT: cannot read"),
        (Some(key.as_path()), Some(key.as_path()), "TLS_CERT: "),
        (None, Some(key.as_path()), "TLS_CERT"),
    ] {
        let mut command = command(&["web"]);
        command.env("DATABASE_URL", "postgres://127.0.0.1:9/onceward");
        let mut set = |name: &str, path: Option<&Path>| {
            if let Some(path) = path {
                command.env(name, path);
            }
        };
        set("TLS_CERT", certificate);
        set("TLS_KEY", key);
        let (ok, log) = support::run_to_end(command).await;
        assert!(!ok && log.contains(error), "{log}");
    }
}

/// The values of the tags' attribute `nonce`, and whether each tag has one or a file.
fn scripts(page: &str) -> Vec<Option<String>> {
    let tags = page.split("<script").skip(1).map(|rest| rest.split('>').next().unwrap());
    tags.map(|tag| Some(tag.split("nonce=\"").nth(1)?.split('"').next()?.to_owned())).collect()
}

#[tokio::test]
async fn every_page_runs_only_scripts_with_its_own_nonce_and_has_no_inline_style() {
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database().await);
    let program = Program::start(command).await;
    let id = program.submit_one(1).await;
    let mut nonces = Vec::new();
    for path in ["/".to_owned(), format!("/transactions/{id}"), "/nowhere".to_owned()] {
        let page = program.get(&path).header("accept", "text/html").send().await.unwrap();
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        let page = page.text().await.unwrap();
        let scripts = scripts(&page);
        assert!(!scripts.is_empty(), "{path}");
        for nonce in scripts {
            let nonce = nonce.unwrap_or_else(|| panic!("{path}: a script without a nonce: {page}"));
            assert!(policy.contains(&format!("'nonce-{nonce}'")), "{path}: {policy}");
            nonces.push((path.clone(), nonce));
        }
        assert!(!page.contains("<style") && !page.contains(" style="), "{path}: {page}");
        assert!(!page.contains(" onclick=") && !page.contains("javascript:"), "{path}");
        for part in ["default-src 'none'", "'wasm-unsafe-eval'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
    }
    nonces.dedup();
    let mut values: Vec<_> = nonces.iter().map(|(_, nonce)| nonce).collect();
    values.sort_unstable();
    values.dedup();
    assert_eq!(values.len(), 3, "{nonces:?}");
}

#[tokio::test]
async fn every_response_tells_browsers_what_they_may_do_with_it() {
    let mut command = command(&["web"]);
    command.env("DATABASE_URL", database().await);
    command.env("ONCEWARD_TRUSTED_PROXIES", "127.0.0.0/8").env("ONCEWARD_HOSTS", "pay.example.com");
    let program = Program::start(command).await;
    for path in ["/", "/livez", "/api/transactions", "/api/docs/", "/nowhere", "/api/nowhere"] {
        let answer = program.get(path).send().await.unwrap();
        let header = |name: &str| {
            let value = answer.headers().get(name).unwrap_or_else(|| panic!("{path}: no {name}"));
            value.to_str().unwrap().to_owned()
        };
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe-inline"), "{path}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert!(header("permissions-policy").contains("camera=()"));
        assert!(!answer.headers().contains_key("strict-transport-security"));
    }
    let docs = program.read_text("/api/docs/").await;
    let mut scripts = docs.split("<script").skip(1);
    assert!(scripts.all(|script| script.trim_start().starts_with("src=\"./")), "{docs}");
    assert!(!docs.contains("<style"), "{docs}");

    // Behind a trusted proxy that encrypts.
    let request = program.get("/livez").header("host", "pay.example.com");
    let answer = request.header("x-forwarded-proto", "https").send().await.unwrap();
    let strict = answer.headers()["strict-transport-security"].to_str().unwrap();
    assert!(strict.starts_with("max-age=31536000"), "{strict}");
}
