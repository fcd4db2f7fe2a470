//! The body of a POST that leaves in time or not at all.
//!
//! The connection asks for it at the last moment, when it is about to write the request: after a wait
//! for a connection, and after whatever held the process up. Refused then, the request is incomplete
//! for ever, and nobody can have applied it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use crate::BootInstant;

const WAITING: u8 = 0;
const LEFT: u8 = 1;
const REFUSED: u8 = 2;

/// The body was asked for too late.
#[derive(Debug, Error)]
#[error("held up for too long before it was sent")]
pub struct DeadlinePassed;

/// A body that is given out before its time is over.
pub struct DeadlineBody {
    bytes: Bytes,
    send_deadline: BootInstant,
    departure: Departure,
}

/// Whether a body has left.
#[derive(Clone, Default)]
pub struct Departure(Arc<AtomicU8>);

impl Departure {
    /// Keeps the body from leaving from now on. False where it may have left before.
    pub fn prevent(&self) -> bool {
        match self.0.compare_exchange(WAITING, REFUSED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(found) => found == REFUSED,
        }
    }
}

impl DeadlineBody {
    /// These bytes, until `send_deadline`.
    pub fn new(bytes: impl Into<Bytes>, send_deadline: BootInstant) -> Self {
        Self { bytes: bytes.into(), send_deadline, departure: Departure::default() }
    }

    /// Tells whether it has left, after it was handed over.
    pub fn departure(&self) -> Departure {
        self.departure.clone()
    }
}

impl Body for DeadlineBody {
    type Data = Bytes;
    type Error = DeadlinePassed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DeadlinePassed>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let bytes = std::mem::take(&mut self.bytes);
        let state = &self.departure.0;
        let leaves =
            state.compare_exchange(WAITING, LEFT, Ordering::AcqRel, Ordering::Acquire).is_ok();
        // The clock is looked at last: nothing but the write comes after it.
        if !leaves || BootInstant::now() >= self.send_deadline {
            state.store(REFUSED, Ordering::Release);
            return Poll::Ready(Some(Err(DeadlinePassed)));
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::{task::Waker, time::Duration};

    use super::*;

    fn asked(body: &mut DeadlineBody) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(Pin::new(body).poll_frame(&mut context), Poll::Ready(Some(Ok(_))))
    }

    #[test]
    fn in_time_it_leaves_and_cannot_be_called_back() {
        let mut body = DeadlineBody::new("{}", BootInstant::now() + Duration::from_secs(60));
        let departure = body.departure();
        assert!(asked(&mut body));
        assert!(!departure.prevent());
    }

    #[test]
    fn too_late_it_does_not_leave() {
        let mut body = DeadlineBody::new("{}", BootInstant::now());
        let departure = body.departure();
        assert!(!asked(&mut body));
        assert!(departure.prevent());
    }

    #[test]
    fn what_was_called_not_written_never_leaves_after_that() {
        let mut body = DeadlineBody::new("{}", BootInstant::now() + Duration::from_secs(60));
        assert!(body.departure().prevent());
        assert!(!asked(&mut body));
        assert!(body.departure().prevent());
    }
}
