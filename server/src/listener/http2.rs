//! The streams of an HTTP/2 connection: how many are open, so that an idle connection ends, and whether their clients take
//! what is sent, so that one that does not ends without the others.

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use hyper::{rt::Executor, server::conn::http2::Builder};
use hyper_util::rt::TokioTimer;
use tokio::{
    sync::watch,
    task_local,
    time::{sleep, timeout},
};

use super::write_progress::WRITE_TIMEOUT;

/// Requests of one connection in flight.
const MAX_STREAMS: u32 = 128;
/// The headers of a request, in bytes.
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// Streams that a client has opened and reset again before they were read ("rapid reset"), until the connection ends.
const MAX_RESET_STREAMS: usize = 32;
/// Streams that the server has reset because of errors of the client, until the connection ends.
const MAX_ERRORS: usize = 128;
/// How much of a response waits in memory for its client to read, in bytes.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// The time between two pings, and within which each must be answered.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long a client may take to end a connection that it was told to end.
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(5);

task_local! {
    /// That of the stream whose response is being sent.
    static PROGRESS: Arc<Progress>;
}

/// How connections are served, with these streams.
pub fn builder(streams: OpenStreams) -> Builder<OpenStreams> {
    let mut builder = Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_ERRORS)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    builder
}

/// Runs the streams of a connection. Cheap to clone.
#[derive(Clone)]
pub struct OpenStreams(Arc<watch::Sender<usize>>);

impl OpenStreams {
    /// None yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::channel(0).0))
    }

    /// Completes when there was no stream for so long.
    pub async fn idle(&self, keep_alive: Duration) {
        let mut open = self.0.subscribe();
        loop {
            if open.wait_for(|open| *open == 0).await.is_err() {
                return pending().await;
            }
            if timeout(keep_alive, open.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Completes when the streams in flight have ended and the client has had the time to end the connection.
    pub async fn ended(&self) {
        let mut open = self.0.subscribe();
        let _ = open.wait_for(|open| *open == 0).await;
        sleep(GOAWAY_TIMEOUT).await;
    }
}

impl<F> Executor<F> for OpenStreams
where
    F: Future<Output: Send> + Send + 'static,
{
    /// Runs a stream. One whose client takes nothing for too long is dropped, which resets it.
    fn execute(&self, stream: F) {
        let open = OpenStream::new(self.0.clone());
        let progress = Arc::new(Progress::default());
        let watched = progress.clone();
        tokio::spawn(PROGRESS.scope(progress, async move {
            tokio::select! {
                _ = stream => {}
                () = watched.stopped() => {}
            }
            drop(open);
        }));
    }
}

/// Counts a stream while it exists.
struct OpenStream(Arc<watch::Sender<usize>>);

impl OpenStream {
    fn new(open: Arc<watch::Sender<usize>>) -> Self {
        open.send_modify(|open| *open += 1);
        Self(open)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

/// Whether the client takes the response. hyper asks the body for more once the client has taken what it had.
#[derive(Default)]
struct Progress {
    /// How often the body was asked.
    asked: AtomicU64,
    /// Whether the client is to take something.
    waits_for_client: AtomicBool,
}

impl Progress {
    /// Completes when the client has taken nothing for too long.
    async fn stopped(&self) {
        loop {
            let asked = self.asked.load(Ordering::Relaxed);
            sleep(WRITE_TIMEOUT).await;
            if self.waits_for_client.load(Ordering::Relaxed)
                && self.asked.load(Ordering::Relaxed) == asked
            {
                return;
            }
        }
    }
}

/// A response's body that records the progress of its stream. It must be made and sent by [`OpenStreams`].
pub fn watched(body: Body) -> Body {
    match PROGRESS.try_with(Arc::clone) {
        Ok(progress) => Body::new(WatchedBody { body, progress }),
        Err(_) => body,
    }
}

struct WatchedBody {
    body: Body,
    progress: Arc<Progress>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let is_sent = matches!(frame, Poll::Ready(Some(Ok(_))));
        self.progress.asked.fetch_add(1, Ordering::Relaxed);
        self.progress.waits_for_client.store(is_sent, Ordering::Relaxed);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::{Request, Response};
    use hyper::{body::Incoming, client::conn::http2::SendRequest, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::task::JoinHandle;

    use super::*;

    /// A client of a server that answers `/large` with more than a client takes at once, and the server's streams.
    async fn connect() -> (SendRequest<String>, OpenStreams, JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(1 << 20);
        let streams = OpenStreams::new();
        let respond = service_fn(async |request: Request<Incoming>| {
            let body = match request.uri().path() {
                "/large" => {
                    let parts = std::iter::repeat_n(Ok::<_, Infallible>(vec![b'x'; 1 << 20]), 64);
                    watched(Body::from_stream(futures::stream::iter(parts)))
                }
                _ => watched(Body::from("small")),
            };
            Ok::<_, Infallible>(Response::new(body))
        });
        let served = builder(streams.clone()).serve_connection(TokioIo::new(far), respond);
        let served = tokio::spawn(async move {
            let _ = served.await;
        });
        let (client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near))
                .await
                .unwrap();
        tokio::spawn(connection);
        (client, streams, served)
    }

    async fn get(client: &mut SendRequest<String>, path: &str) -> Body {
        let uri = format!("http://localhost{path}");
        let request = Request::get(uri).body(String::new()).unwrap();
        Body::new(client.send_request(request).await.unwrap().into_body())
    }

    async fn read(body: Body) -> Result<usize, axum::Error> {
        axum::body::to_bytes(body, usize::MAX).await.map(|bytes| bytes.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_whose_client_does_not_read_is_reset_and_its_connection_goes_on() {
        let (mut client, streams, _) = connect().await;
        let unread = get(&mut client, "/large").await;
        let mut open = streams.0.subscribe();
        open.wait_for(|open| *open == 0).await.unwrap();
        assert_eq!(read(get(&mut client, "/").await).await.unwrap(), "small".len());
        read(unread).await.expect_err("it looks complete");
        assert_eq!(read(get(&mut client, "/large").await).await.unwrap(), 64 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_it_had_no_stream_for_long() {
        let (mut client, streams, _) = connect().await;
        let keep_alive = Duration::from_secs(75);
        for _ in 0..3 {
            assert!(timeout(keep_alive / 2, streams.idle(keep_alive)).await.is_err());
            assert_eq!(read(get(&mut client, "/").await).await.unwrap(), "small".len());
        }
        streams.idle(keep_alive).await;
    }
}
