//! A request's body that reads and discards its unread rest when it is dropped. If a body is not read to its end, hyper
//! closes the connection and does not announce that in the response. A client that is refused before its body is read
//! would then lose its next request, or even the response.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Bytes, HttpBody};
use futures::StreamExt;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{runtime::Handle, time::timeout};

/// How long the rest may take to arrive. After that the connection is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A body whose rest is read and discarded when it is dropped.
pub struct DrainedBody(Option<Incoming>);

impl DrainedBody {
    /// Wraps a body.
    pub fn new(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        let unread = self.0.take().filter(|body| !body.is_end_stream());
        let (Some(body), Ok(runtime)) = (unread, Handle::try_current()) else { return };
        runtime.spawn(timeout(DRAIN_TIMEOUT, async {
            let mut rest = axum::body::Body::new(body).into_data_stream();
            while let Some(Ok(_)) = rest.next().await {}
        }));
    }
}

impl HttpBody for DrainedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
