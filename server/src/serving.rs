//! The connections of a listener, bounded in number, and each in what it may hold without saying what it
//! wants: a client that sends nothing, or its headers byte by byte, keeps no place for ever.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::counter;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// Connections at once, of the program. One that rests takes some ten kilobytes.
pub const CONNECTIONS: usize = 4096;
/// How long a client may take for the headers of a request, and rest between two.
const HEADERS_LIMIT: Duration = Duration::from_secs(30);
/// Of what a client sends, what is held until it is read.
const BUFFER_BYTES: usize = 64 * 1024;
/// What a connection beyond the bound is told.
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\n\
    content-type: application/problem+json\r\ncontent-length: 127\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
    \"detail\":\"too many connections are open\",\"code\":\"overloaded\"}\n";
/// How long one may take to read that.
const REFUSAL_LIMIT: Duration = Duration::from_secs(1);
/// Before the next try where the system has no more files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves so many connections at once until it is told to stop, and then until what is under way is done.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: &CancellationToken,
    connections: usize,
) {
    let free = Arc::new(Semaphore::new(connections));
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = free.clone().try_acquire_owned() else {
            counter!("onceward_refused_total", "kind" => "connection").increment(1);
            tokio::spawn(timeout(REFUSAL_LIMIT, refuse(stream)));
            continue;
        };
        let connection = converse(stream, peer, router.clone(), stop.clone());
        connections.spawn(async move {
            connection.await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn converse(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    // An answer is not to wait for the acknowledgement of the one before it.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_LIMIT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let served = match stop.run_until_cancelled(connection.as_mut()).await {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

/// What has been sent is read, or the client would see its connection reset before the answer.
async fn refuse(mut stream: TcpStream) {
    if stream.write_all(REFUSAL).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut unread = [0; 4096];
    while stream.read(&mut unread).await.is_ok_and(|length| length > 0) {}
}

#[cfg(test)]
mod tests {
    use axum::routing::get;

    use super::*;

    /// A server with room for one connection.
    async fn start() -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let router = Router::new().route("/", get(async || "served"));
        tokio::spawn({
            let stop = stop.clone();
            async move { serve(listener, router, &stop, 1).await }
        });
        (addr, stop)
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = vec![0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        String::from_utf8(answer[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_connection_too_many_is_told_so_and_has_room_when_another_ends() {
        let (addr, _stop) = start().await;
        let mut first = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut first).await.ends_with("served"));
        let mut second = TcpStream::connect(addr).await.unwrap();
        let refused = ask(&mut second).await;
        let (head, body) = refused.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 1"), "{head}");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
        drop(first);
        while !ask(&mut TcpStream::connect(addr).await.unwrap()).await.ends_with("served") {}
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_its_headers_loses_its_connection() {
        let (addr, _stop) = start().await;
        let mut slow = TcpStream::connect(addr).await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: local").await.unwrap();
        let closed = timeout(HEADERS_LIMIT * 10, slow.read_to_end(&mut Vec::new())).await;
        closed.expect("the connection is still open").unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_rests_does_not_hold_the_end() {
        let (addr, stop) = start().await;
        let mut resting = TcpStream::connect(addr).await.unwrap();
        assert!(ask(&mut resting).await.ends_with("served"));
        stop.cancel();
        assert_eq!(resting.read(&mut [0]).await.unwrap(), 0);
    }
}
