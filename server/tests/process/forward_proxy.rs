//! A forward proxy on the way to the posting service.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{self, AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    time::timeout,
};

use crate::support::{Program, Service, database, run_to_end};

const LONG: Duration = Duration::from_secs(60);

/// A forward proxy that remembers the head of the first request of each connection.
struct ForwardProxy {
    addr: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl ForwardProxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let remembered = heads.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(forward(stream, remembered.clone()));
            }
        });
        Self { addr, heads }
    }

    /// The heads so far. The list is empty afterwards.
    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap())
    }
}

/// Connects to the host that a request names. Every server takes a request that names its host (RFC 9112, 3.2.2), so the
/// requests of the connection are passed on as they are.
async fn forward(stream: TcpStream, heads: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let mut client = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    heads.lock().unwrap().push(head.clone());
    let Some((host, _)) = head.split_once("http://").and_then(|(_, url)| url.split_once('/'))
    else {
        let refused = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        return client.write_all(refused).await;
    };
    let mut server = TcpStream::connect(host).await?;
    server.write_all(head.as_bytes()).await?;
    io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// What the proxy has seen of a transaction that was posted with these settings.
async fn seen(proxy: &ForwardProxy, service: &Service, settings: &[(&str, &str)]) -> Vec<String> {
    let mut command: Command = service.command("serve", &database().await);
    command.envs(settings.iter().copied());
    for name in ["ALL_PROXY", "NO_PROXY", "no_proxy", "all_proxy", "http_proxy"] {
        if !settings.iter().any(|(set, _)| *set == name) {
            command.env_remove(name);
        }
    }
    let program = Program::start(command).await;
    let id = program.submit_one(1).await;
    program.wait_for(&id, "completed").await;
    proxy.heads()
}

#[tokio::test]
async fn a_payment_goes_through_a_proxy_only_if_the_setting_says_so() {
    let (proxy, service) = (ForwardProxy::start().await, Service::start().await);
    let url = format!("http://{}", proxy.addr);
    let with_credentials = format!("http://till:p%40ss@{}", proxy.addr);
    let post = format!("POST {}/transactions HTTP/1.1\r\n", service.url());

    assert!(seen(&proxy, &service, &[("HTTP_PROXY", &url)]).await.is_empty());
    let set = seen(&proxy, &service, &[("POSTING_PROXY", &with_credentials)]).await;
    assert!(set[0].starts_with(&post), "{set:?}");
    assert!(set[0].contains("proxy-authorization: Basic dGlsbDpwQHNz\r\n"), "{set:?}");
    let environment = ("POSTING_PROXY", "environment");
    let named = seen(&proxy, &service, &[environment, ("HTTP_PROXY", &url)]).await;
    assert!(named[0].starts_with(&post), "{named:?}");
    let excluded = [environment, ("HTTP_PROXY", &url), ("NO_PROXY", "127.0.0.0/8")];
    assert!(seen(&proxy, &service, &excluded).await.is_empty());
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_a_transaction_that_the_proxy_refuses_was_not_sent() {
    let (proxy, service) = (ForwardProxy::start().await, Service::start().await);
    let mut command = service.command("serve", &database().await);
    command.env("POSTING_URL", "https://bank.invalid/v1");
    command.env("POSTING_PROXY", format!("http://{}", proxy.addr));
    let program = Program::start(command).await;
    let id = program.submit_one(1).await;
    let path = format!("/api/transactions/{id}/attempts");
    let ended = |attempts: &serde_json::Value| attempts["data"][0]["outcome"] == "not_sent";
    program.read_until(&path, ended).await;
    assert!(proxy.heads()[0].starts_with("CONNECT bank.invalid:443 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_proxy_that_is_neither_http_nor_https_is_refused_at_the_start() {
    let service = Service::start().await;
    let mut command = service.command("worker", "postgres://127.0.0.1:9/onceward");
    command.env("POSTING_PROXY", "environment").env("ALL_PROXY", "socks5://127.0.0.1:1");
    for name in ["HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    let ended = timeout(LONG, run_to_end(command)).await;
    let (ok, error) = ended.expect("it waits for its database");
    assert!(!ok && error.contains("a socks5 proxy"), "{error}");
}
