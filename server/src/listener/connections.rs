//! The connections of a listener. Their number is limited, and so is the time until the next request's headers have
//! arrived: a client that sends nothing, or one byte at a time, does not keep its permit for ever.

use std::{sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::unconstrained,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::{Connection, Service},
    connection_limits::ConnectionLimits,
    tls::Tls,
};
use crate::http::{self, PathPrefix, TrustedProxies};

/// The pause before the next accept if the system has no files left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long a connection beyond all limits lasts, in which its one request is refused.
const BRIEF_TIMEOUT: Duration = Duration::from_secs(2);

/// How clients reach a listener.
#[derive(Debug, Clone, Default)]
pub struct Front {
    /// The path under which a proxy serves it.
    pub path_prefix: PathPrefix,
    /// The proxies that are believed.
    pub proxies: TrustedProxies,
    /// The certificate; none for plain HTTP.
    pub tls: Option<Tls>,
}

/// Serves connections until it is stopped, and then finishes the requests in flight.
pub async fn serve(
    listener: TcpListener,
    router: watch::Receiver<Router>,
    front: Front,
    stop: &CancellationToken,
    limits: ConnectionLimits,
) {
    let permits = Arc::new(Semaphore::new(limits.served));
    let keep_alive = limits.keep_alive;
    let service = Service { router, refusal: http::refusal(), permits, keep_alive, front };
    let open = Arc::new(Semaphore::new(limits.served + limits.waiting));
    let brief = Arc::new(Semaphore::new(limits.brief));
    let connections = TaskTracker::new();
    let accept = async || {
        let mut place = match open.clone().try_acquire_owned() {
            Ok(permit) => (Ok(permit), false),
            Err(_) => (brief.clone().acquire_owned().await, true),
        };
        let accepted = listener.accept().await;
        // Another connection may have ended meanwhile.
        if let (true, Ok(permit)) = (place.1, open.clone().try_acquire_owned()) {
            place = (Ok(permit), false);
        }
        (accepted, place)
    };
    // Under a flood it takes a second until this task is polled again, so each poll accepts all that wait.
    while let Some((accepted, (permit, is_brief))) =
        stop.run_until_cancelled(unconstrained(accept())).await
    {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let (service, stop) = (service.clone(), stop.clone());
        let connection = Connection { service, peer, is_brief, stop }.serve(stream);
        connections.spawn(async move {
            if is_brief {
                let _ = timeout(BRIEF_TIMEOUT, connection).await;
            } else {
                connection.await;
            }
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

#[cfg(test)]
mod tests {
    use super::super::socket::listen;
    use axum::routing::{get, post};
    use serde_json::Value;
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    use super::*;

    /// A server with these limits.
    async fn start(limits: ConnectionLimits) -> (SocketAddr, CancellationToken) {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new()
            .route("/", get(async || "served"))
            .route("/", post(async || "refused unread"))
            .route("/large", get(async || vec![b'x'; 64 << 20]))
            .route("/livez", get(async || "alive"));
        tokio::spawn({
            let stop = stop.clone();
            async move {
                let router = watch::channel(router).1;
                serve(listener, router, Front::default(), &stop, limits).await;
            }
        });
        (addr, stop)
    }

    const KEEP_ALIVE: Duration = Duration::from_secs(75);
    const ONE: ConnectionLimits =
        ConnectionLimits { served: 1, waiting: 1, brief: 1, keep_alive: KEEP_ALIVE };

    async fn ask(stream: &mut TcpStream) -> String {
        ask_for("/", stream).await
    }

    async fn ask_for(path: &str, stream: &mut TcpStream) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        answer(stream).await
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8(answer[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_connection_without_a_permit_is_refused_request_by_request_until_it_gets_one() {
        let (addr, _stop) = start(ONE).await;
        let mut first = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut first).await.ends_with("served"));
        let mut second = TcpStream::connect(addr).await.unwrap();
        for _ in 0..3 {
            let refused = ask(&mut second).await;
            let (head, body) = refused.split_once("\r\n\r\n").unwrap();
            let problem: Value = serde_json::from_str(body).unwrap();
            let id = problem["requestId"].as_str().unwrap();
            assert_eq!(problem["code"], "overloaded");
            assert!(head.starts_with("HTTP/1.1 503"), "{head}");
            for header in ["retry-after: 1", "content-type: application/problem+json", id] {
                assert!(head.contains(header), "{head}");
            }
            assert!(!head.contains("connection: close"), "{head}");
        }
        drop(first);
        while !ask(&mut second).await.ends_with("served") {}
        // It keeps the permit.
        let mut third = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut third).await.contains("overloaded"));
        assert!(ask(&mut second).await.ends_with("served"));
    }

    #[tokio::test]
    async fn a_probe_needs_no_permit_and_takes_none() {
        let (addr, _stop) = start(ONE).await;
        let mut probe = TcpStream::connect(addr).await.unwrap();
        assert!(ask_for("/livez", &mut probe).await.ends_with("alive"));
        let mut other = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut other).await.ends_with("served"));
        assert!(ask(&mut probe).await.contains("overloaded"));
        assert!(ask_for("/livez", &mut probe).await.ends_with("alive"));
    }

    #[tokio::test]
    async fn a_connection_beyond_both_limits_is_refused_and_closed_while_the_others_are_idle() {
        let (addr, _stop) = start(ONE).await;
        let mut open = Vec::new();
        for expected in ["served", "overloaded"] {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            assert!(ask(&mut stream).await.contains(expected));
            open.push(stream);
        }
        for _ in 0..3 {
            let mut beyond = TcpStream::connect(addr).await.unwrap();
            let request = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
            beyond.write_all(request).await.unwrap();
            let mut refused = String::new();
            beyond.read_to_string(&mut refused).await.unwrap();
            for part in ["HTTP/1.1 503", "retry-after: 1", "connection: close", "overloaded"] {
                assert!(refused.contains(part), "{refused}");
            }
        }
        let mut probe = TcpStream::connect(addr).await.unwrap();
        assert!(ask_for("/livez", &mut probe).await.ends_with("alive"));
        drop(open.pop());
        // There is room again as soon as the server has noticed.
        loop {
            let mut next = TcpStream::connect(addr).await.unwrap();
            if !ask(&mut next).await.contains("connection: close") {
                break;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silent_connections_beyond_both_limits_end_soon_and_let_others_be_refused() {
        let (addr, _stop) = start(ConnectionLimits { served: 0, waiting: 0, ..ONE }).await;
        let _silent = TcpStream::connect(addr).await.unwrap();
        let mut next = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut next).await.contains("overloaded"));
    }

    #[tokio::test]
    async fn a_body_that_no_handler_reads_costs_neither_the_response_nor_the_connection() {
        let (addr, _stop) = start(ONE).await;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        for _ in 0..2 {
            let head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let refused = answer(&mut stream).await;
            assert!(refused.ends_with("refused unread"), "{refused}");
            stream.write_all(&vec![b'x'; 1_000_000]).await.unwrap();
        }
        assert!(ask(&mut stream).await.ends_with("served"));
    }

    #[tokio::test]
    async fn a_request_with_too_long_headers_is_answered_before_its_connection_ends() {
        let (addr, _stop) = start(ONE).await;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.unwrap();
        stream.write_all(&vec![b'x'; 16_000_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_if_an_unread_body_does_not_arrive() {
        let (addr, _stop) = start(ONE).await;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n";
        stream.write_all(head).await.unwrap();
        assert!(answer(&mut stream).await.ends_with("refused unread"));
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_finish_or_start_its_headers_loses_its_connection() {
        let (addr, _stop) = start(ConnectionLimits { served: 2, waiting: 0, ..ONE }).await;
        for sent in ["GET / HTTP/1.1\r\nhost: local", ""] {
            let mut slow = TcpStream::connect(addr).await.unwrap();
            slow.write_all(sent.as_bytes()).await.unwrap();
            let closed = timeout(KEEP_ALIVE * 10, slow.read_to_end(&mut Vec::new())).await;
            closed.expect("the connection is still open").unwrap();
        }
    }

    /// A load balancer takes a connection that it has kept for a minute for usable.
    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_kept_for_longer_than_load_balancers_keep_theirs() {
        let (addr, _stop) = start(ONE).await;
        let mut kept = TcpStream::connect(addr).await.unwrap();
        for _ in 0..3 {
            assert!(ask(&mut kept).await.ends_with("served"));
            sleep(Duration::from_secs(60)).await;
        }
        sleep(KEEP_ALIVE).await;
        assert_eq!(kept.read(&mut [0]).await.unwrap(), 0);
    }

    /// It would otherwise hold its connection, and what waits for it, for ever.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_loses_its_connection() {
        let (addr, _stop) = start(ConnectionLimits { served: 1, waiting: 0, ..ONE }).await;
        let mut slow = TcpStream::connect(addr).await.unwrap();
        slow.write_all(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let error = loop {
            if let Some(error) = slow.take_error().unwrap() {
                break error;
            }
            sleep(Duration::from_secs(1)).await;
        };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn an_idle_connection_does_not_delay_the_shutdown() {
        let (addr, stop) = start(ONE).await;
        let mut idle = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut idle).await.ends_with("served"));
        let mut silent = TcpStream::connect(addr).await.unwrap();
        stop.cancel();
        assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
        // Closed, or reset if it was not accepted yet.
        assert!(!silent.read(&mut [0]).await.is_ok_and(|length| length > 0));
    }
}
