//! One connection: its handshake, its requests, and its end.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, response::Response};
use futures::TryFutureExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::counter;
use tokio::{
    io::{self, AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{
    close_delimited::{CloseDelimited, ResetIfCutOff},
    connections::Front,
    drained_body::DrainedBody,
    http2,
    write_progress::WriteProgress,
};
use crate::http::{self, SecurityHeaders};

/// How much of what a client sends is buffered until it is read.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long a client may take for its part of the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may keep sending on a connection that the server has closed.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection beyond all limits may send nothing.
const BRIEF_SILENCE: Duration = Duration::from_millis(250);

/// What the connections of a listener share.
#[derive(Clone)]
pub struct Service {
    /// The current router: another one while the process starts.
    pub router: watch::Receiver<Router>,
    /// Answers requests that have no permit.
    pub refusal: Router,
    /// The permits of connections.
    pub permits: Arc<Semaphore>,
    /// How long a connection may be idle.
    pub keep_alive: Duration,
    /// How clients reach the listener.
    pub front: Front,
}

/// An accepted connection.
pub struct Connection {
    /// What it shares with others.
    pub service: Service,
    /// The other end.
    pub peer: SocketAddr,
    /// Whether it is beyond all limits.
    pub is_brief: bool,
    /// Ends it when its requests in flight are answered.
    pub stop: CancellationToken,
}

impl Connection {
    /// Serves it until it ends.
    pub async fn serve(self, stream: TcpStream) {
        // A response must not wait for the acknowledgement of the one before it.
        let _ = stream.set_nodelay(true);
        // hyper allocates its buffers at once, and some connections never send anything.
        let silence = if self.is_brief { BRIEF_SILENCE } else { self.service.keep_alive };
        let readable = self.stop.run_until_cancelled(timeout(silence, stream.readable())).await;
        if !matches!(readable, Some(Ok(Ok(())))) {
            return;
        }
        let close_delimited = CloseDelimited::default();
        let mut stream = WriteProgress::new(ResetIfCutOff::new(stream, close_delimited.clone()));
        let Some(tls) = &self.service.front.tls else {
            self.serve_http1(&mut stream, close_delimited, false).await;
            if !stream.resets() {
                finish(stream).await;
            }
            return;
        };
        let handshake = timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(stream));
        let mut stream = match self.stop.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => stream,
            Some(Ok(Err(error))) => {
                tracing::debug!(peer = %self.peer, %error, "a TLS handshake failed");
                return;
            }
            Some(Err(_)) | None => return,
        };
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.serve_http2(&mut stream).await,
            _ => self.serve_http1(&mut stream, close_delimited, true).await,
        }
        if !stream.get_ref().0.resets() {
            finish(stream).await;
        }
    }

    async fn serve_http1(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        close_delimited: CloseDelimited,
        is_encrypted: bool,
    ) {
        let responder = self.responder(is_encrypted);
        let respond = service_fn(move |request: Request<Incoming>| {
            let (version, close_delimited) = (request.version(), close_delimited.clone());
            responder
                .respond(request)
                .inspect_ok(move |response| close_delimited.observe(version, response))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // It begins when the response before has been written, so it limits idle connections, too.
            .header_read_timeout(self.service.keep_alive)
            .max_buf_size(BUFFER_BYTES)
            .keep_alive(!self.is_brief)
            .serve_connection(TokioIo::new(stream), respond);
        let mut connection = pin!(connection);
        let served = match self.stop.run_until_cancelled(connection.as_mut()).await {
            Some(served) => served,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        self.note(served);
    }

    async fn serve_http2(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
        let responder = self.responder(true);
        let respond = service_fn(move |request: Request<Incoming>| {
            responder.respond(request).map_ok(|response| response.map(http2::watched))
        });
        let streams = http2::OpenStreams::new();
        let connection =
            http2::builder(streams.clone()).serve_connection(TokioIo::new(stream), respond);
        let mut connection = pin!(connection);
        tokio::select! {
            served = connection.as_mut() => return self.note(served),
            () = self.stop.cancelled() => {}
            // Also if the headers of a request do not arrive.
            () = streams.idle(self.service.keep_alive) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            served = connection => self.note(served),
            () = streams.ended() => {}
        }
    }

    fn note(&self, served: Result<(), hyper::Error>) {
        if let Err(error) = served {
            tracing::debug!(peer = %self.peer, %error, "a connection broke");
        }
    }

    fn responder(&self, is_encrypted: bool) -> Responder {
        let (service, peer, is_brief) = (self.service.clone(), self.peer, self.is_brief);
        Responder { service, peer, is_encrypted, is_brief, permit: OnceLock::new() }
    }
}

/// Answers the requests of a connection.
struct Responder {
    service: Service,
    peer: SocketAddr,
    is_encrypted: bool,
    is_brief: bool,
    /// The connection's permit, once it has one.
    permit: OnceLock<OwnedSemaphorePermit>,
}

impl Responder {
    fn respond(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + Send + use<> {
        let front = &self.service.front;
        front.path_prefix.remove_from(&mut request);
        front.proxies.identify_client(&mut request, self.peer.ip(), self.is_encrypted);
        let router = match http::is_probe(request.uri().path()) || self.has_permit() {
            true => self.service.router.borrow().clone(),
            false => {
                counter!("onceward_refused_total", "kind" => "connection").increment(1);
                self.service.refusal.clone()
            }
        };
        let (prefix, security) =
            (front.path_prefix.clone(), SecurityHeaders::for_request(&request));
        let responding = router.oneshot(request.map(|body| Body::new(DrainedBody::new(body))));
        responding.map_ok(move |mut response| {
            prefix.add_to(&mut response);
            security.add_to(&mut response);
            response
        })
    }

    /// Whether the connection has a permit; it takes one if there is one.
    fn has_permit(&self) -> bool {
        let free = || self.service.permits.clone().try_acquire_owned();
        self.permit.get().is_some()
            || (!self.is_brief && free().is_ok_and(|free| self.permit.set(free).is_ok()))
    }
}

/// Ends a stream in order. The rest of what the client sends is read; otherwise the client would see a reset before it has
/// read its response.
async fn finish(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = timeout(LINGER_TIMEOUT, async {
        stream.shutdown().await?;
        io::copy(&mut stream, &mut io::sink()).await
    })
    .await;
}
