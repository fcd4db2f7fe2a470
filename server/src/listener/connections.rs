//! The connections of a listener, bounded in number, and each in what it may hold without saying what it
//! wants: a client that sends nothing, or its headers byte by byte, keeps no place for ever.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::counter;
use tokio::{
    io::{self, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::unconstrained,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{bounds::Bounds, drained_body::UnreadBody};
use crate::http;

/// How long a client may take for the headers of a request, and rest between two.
const HEADERS_LIMIT: Duration = Duration::from_secs(30);
/// Of what a client sends, what is held until it is read.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long a client may go on sending on a connection that has been closed to it.
const LINGER: Duration = Duration::from_secs(1);
/// Before the next try where the system has no more files.
const PAUSE: Duration = Duration::from_millis(100);

/// What the connections of a listener share.
#[derive(Clone)]
struct Service {
    router: Router,
    /// Answers where there is no place.
    refusal: Router,
    places: Arc<Semaphore>,
}

/// Serves so many connections at once until it is told to stop, and then until what is under way is done.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: &CancellationToken,
    bounds: Bounds,
) {
    let places = Arc::new(Semaphore::new(bounds.served));
    let service = Service { router, refusal: http::refusal(), places };
    let open = Arc::new(Semaphore::new(bounds.served + bounds.waiting));
    let connections = TaskTracker::new();
    let accept = async || {
        let permit = open.clone().acquire_owned().await;
        (listener.accept().await, permit)
    };
    // In a flood it is a second until this task has its next turn, so it accepts all that there are in each.
    while let Some((accepted, permit)) = stop.run_until_cancelled(unconstrained(accept())).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let connection = converse(stream, peer, service.clone(), stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn converse(
    mut stream: TcpStream,
    peer: SocketAddr,
    service: Service,
    stop: CancellationToken,
) {
    // An answer is not to wait for the acknowledgement of the one before it.
    let _ = stream.set_nodelay(true);
    // hyper would make its buffers at once, and a connection may never say anything.
    let speaks = stop.run_until_cancelled(timeout(HEADERS_LIMIT, stream.readable())).await;
    if !matches!(speaks, Some(Ok(Ok(())))) {
        return;
    }
    let place = OnceLock::new();
    let answer = service_fn(move |request: Request<Incoming>| {
        let has_place = http::tells_how_it_is_doing(request.uri().path())
            || place.get().is_some()
            || service.places.clone().try_acquire_owned().is_ok_and(|free| place.set(free).is_ok());
        let router = match has_place {
            true => &service.router,
            false => {
                counter!("onceward_refused_total", "kind" => "connection").increment(1);
                &service.refusal
            }
        };
        router.clone().oneshot(request.map(|body| Body::new(UnreadBody::new(body))))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_LIMIT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(&mut stream), answer);
    let served = {
        let mut connection = pin!(connection);
        match stop.run_until_cancelled(connection.as_mut()).await {
            Some(served) => served,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection broke");
    }
    // What the client still sends is read, or it would see a break before it has read its answer.
    let _ = stream.shutdown().await;
    let _ = timeout(LINGER, io::copy(&mut stream, &mut io::sink())).await;
}

#[cfg(test)]
mod tests {
    use super::super::socket::listen;
    use axum::routing::{get, post};
    use serde_json::Value;
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A server with room for so many connections.
    async fn start(bounds: Bounds) -> (SocketAddr, CancellationToken) {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new()
            .route("/", get(async || "served"))
            .route("/", post(async || "refused unread"))
            .route("/livez", get(async || "alive"));
        tokio::spawn({
            let stop = stop.clone();
            async move { serve(listener, router, &stop, bounds).await }
        });
        (addr, stop)
    }

    const ONE: Bounds = Bounds { served: 1, waiting: 1 };

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
    async fn a_connection_too_many_is_refused_request_by_request_until_it_has_a_place() {
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
        // It keeps the place.
        let mut third = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut third).await.contains("overloaded"));
        assert!(ask(&mut second).await.ends_with("served"));
    }

    #[tokio::test]
    async fn a_probe_needs_no_place_and_takes_none() {
        let (addr, _stop) = start(ONE).await;
        let mut probe = TcpStream::connect(addr).await.unwrap();
        assert!(ask_for("/livez", &mut probe).await.ends_with("alive"));
        let mut other = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut other).await.ends_with("served"));
        assert!(ask(&mut probe).await.contains("overloaded"));
        assert!(ask_for("/livez", &mut probe).await.ends_with("alive"));
    }

    #[tokio::test]
    async fn beyond_both_bounds_a_connection_waits_until_another_ends() {
        let (addr, _stop) = start(ONE).await;
        let mut open = Vec::new();
        for expected in ["served", "overloaded"] {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            assert!(ask(&mut stream).await.contains(expected));
            open.push(stream);
        }
        let mut beyond = TcpStream::connect(addr).await.unwrap();
        beyond.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        // Others are answered meanwhile, and this one is not.
        for stream in &mut open {
            ask(stream).await;
        }
        let error = beyond.try_read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        drop(open.pop());
        assert!(answer(&mut beyond).await.contains("overloaded"));
    }

    #[tokio::test]
    async fn a_body_that_nobody_reads_costs_neither_the_answer_nor_the_connection() {
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
    async fn what_is_too_long_to_be_read_is_answered_before_its_connection_ends() {
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
    async fn a_body_that_nobody_reads_and_that_does_not_end_ends_its_connection() {
        let (addr, _stop) = start(ONE).await;
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n";
        stream.write_all(head).await.unwrap();
        assert!(answer(&mut stream).await.ends_with("refused unread"));
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_its_headers_or_begins_them_loses_its_connection() {
        let (addr, _stop) = start(Bounds { served: 2, waiting: 0 }).await;
        for sent in ["GET / HTTP/1.1\r\nhost: local", ""] {
            let mut slow = TcpStream::connect(addr).await.unwrap();
            slow.write_all(sent.as_bytes()).await.unwrap();
            let closed = timeout(HEADERS_LIMIT * 10, slow.read_to_end(&mut Vec::new())).await;
            closed.expect("the connection is still open").unwrap();
        }
    }

    #[tokio::test]
    async fn a_connection_that_rests_does_not_hold_the_end() {
        let (addr, stop) = start(ONE).await;
        let mut resting = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut resting).await.ends_with("served"));
        let mut silent = TcpStream::connect(addr).await.unwrap();
        stop.cancel();
        assert_eq!(resting.read(&mut [0]).await.unwrap(), 0);
        // Closed, or reset where it was not accepted yet.
        assert!(!silent.read(&mut [0]).await.is_ok_and(|length| length > 0));
    }
}
