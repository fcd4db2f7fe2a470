//! Responses that end with their connection, as those over HTTP/1.0 whose length is not known. A client takes the end of
//! the connection for the end of the response. So that a response that breaks off does not look complete, its connection
//! is reset, even if the process is killed meanwhile.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::HttpBody,
    http::{Response, Version},
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Whether the response that a connection writes ends with the connection.
#[derive(Clone, Default)]
pub struct CloseDelimited(Arc<AtomicBool>);

impl CloseDelimited {
    /// Looks at a response before it is written; `version` is that of its request.
    pub fn observe(&self, version: Version, response: &Response<impl HttpBody>) {
        if version < Version::HTTP_11 && response.body().size_hint().exact().is_none() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

/// The stream of a connection. It is reset when it is dropped between the first byte of a response that ends with the
/// connection and the orderly shutdown after the last one.
pub struct ResetIfCutOff {
    stream: TcpStream,
    response: CloseDelimited,
    resets: bool,
}

impl ResetIfCutOff {
    /// Wraps a stream.
    pub fn new(stream: TcpStream, response: CloseDelimited) -> Self {
        Self { stream, response, resets: false }
    }

    /// Whether it will be reset when it is dropped.
    pub fn resets(&self) -> bool {
        self.resets
    }

    /// Lets it be reset when it is dropped: what the system still holds of it is discarded.
    pub fn reset(&mut self) {
        // Without a linger time, the system resets a connection when it is closed.
        self.resets = self.stream.set_zero_linger().is_ok();
    }

    fn prepare(&mut self) -> io::Result<()> {
        if !self.resets && self.response.0.load(Ordering::Relaxed) {
            self.stream.set_zero_linger()?;
            self.resets = true;
        }
        Ok(())
    }
}

impl AsyncRead for ResetIfCutOff {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for ResetIfCutOff {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.prepare()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.prepare()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.resets {
            SockRef::from(&self.stream).set_linger(None)?;
            self.resets = false;
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
