//! A client that asks and does not read would otherwise hold its connection, and all that waits to be written, for ever.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::close_delimited::ResetIfCutOff;

/// How long a client may take to read the least that it must read.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The least that a client must read in that time, in bytes, if that much waits.
const LEAST_BYTES: usize = 16 * 1024;

/// The stream of a connection. It is reset if the client reads too slowly.
pub struct WriteProgress {
    stream: ResetIfCutOff,
    /// When enough must have been written; absent while nothing waits.
    deadline: Option<Pin<Box<Sleep>>>,
    /// What was written since the deadline was set.
    written_bytes: usize,
}

impl WriteProgress {
    /// Wraps a stream.
    pub fn new(stream: ResetIfCutOff) -> Self {
        Self { stream, deadline: None, written_bytes: 0 }
    }

    /// Whether the stream will be reset when it is dropped.
    pub fn resets(&self) -> bool {
        self.stream.resets()
    }

    /// Writes, and watches over the time that it takes.
    fn poll_writing(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut ResetIfCutOff>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match write(Pin::new(&mut self.stream), context) {
            Poll::Ready(Ok(bytes)) => {
                self.written_bytes = self.written_bytes.saturating_add(bytes);
                if self.written_bytes >= LEAST_BYTES {
                    self.deadline = None;
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                if self.deadline.is_none() {
                    self.written_bytes = 0;
                }
                let deadline = self
                    .deadline
                    .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE_TIMEOUT)));
                ready!(deadline.as_mut().poll(context));
                self.stream.reset();
                let error = io::Error::new(io::ErrorKind::TimedOut, "the client reads too slowly");
                Poll::Ready(Err(error))
            }
        }
    }
}

impl AsyncRead for WriteProgress {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for WriteProgress {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_writing(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// It is called when nothing waits any more: the system has taken all of it.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.deadline = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
