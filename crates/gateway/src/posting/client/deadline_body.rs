//! The body of a POST that is sent before its deadline or not at all.
//!
//! The connection polls the body at the last moment, when it is about to write the request: after waiting
//! for a connection, and after anything that delayed the process. If the body refuses then, the request
//! stays incomplete for ever, and the posting service cannot have applied it.

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

use crate::posting::boot_instant::BootInstant;

const WAITING: u8 = 0;
const SENT: u8 = 1;
const REFUSED: u8 = 2;

/// The body was polled after its deadline.
#[derive(Debug, Error)]
#[error("held up for too long before it was sent")]
pub struct DeadlinePassed;

/// A body that is handed over only before its deadline.
pub struct DeadlineBody {
    bytes: Bytes,
    send_deadline: BootInstant,
    send_state: SendState,
}

/// Whether a body was sent.
#[derive(Clone, Default)]
pub struct SendState(Arc<AtomicU8>);

impl SendState {
    /// Prevents the body from being sent from now on. False if it may have been sent before.
    pub fn prevent_send(&self) -> bool {
        match self.0.compare_exchange(WAITING, REFUSED, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(found) => found == REFUSED,
        }
    }
}

impl DeadlineBody {
    /// A body of these bytes, to be sent before `send_deadline`.
    pub fn new(bytes: impl Into<Bytes>, send_deadline: BootInstant) -> Self {
        Self { bytes: bytes.into(), send_deadline, send_state: SendState::default() }
    }

    /// A handle on the state, for use after the body was given to the client.
    pub fn send_state(&self) -> SendState {
        self.send_state.clone()
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
        let state = &self.send_state.0;
        let is_allowed =
            state.compare_exchange(WAITING, SENT, Ordering::AcqRel, Ordering::Acquire).is_ok();
        // The clock is read last: only the write comes after it.
        if !is_allowed || BootInstant::now() >= self.send_deadline {
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

    fn is_handed_over(body: &mut DeadlineBody) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(Pin::new(body).poll_frame(&mut context), Poll::Ready(Some(Ok(_))))
    }

    #[test]
    fn before_the_deadline_it_is_sent_and_cannot_be_recalled() {
        let mut body = DeadlineBody::new("{}", BootInstant::now() + Duration::from_secs(60));
        let send_state = body.send_state();
        assert!(is_handed_over(&mut body));
        assert!(!send_state.prevent_send());
    }

    #[test]
    fn after_the_deadline_it_is_not_sent() {
        let mut body = DeadlineBody::new("{}", BootInstant::now());
        let send_state = body.send_state();
        assert!(!is_handed_over(&mut body));
        assert!(send_state.prevent_send());
    }

    #[test]
    fn once_reported_as_not_written_it_is_never_sent() {
        let mut body = DeadlineBody::new("{}", BootInstant::now() + Duration::from_secs(60));
        assert!(body.send_state().prevent_send());
        assert!(!is_handed_over(&mut body));
        assert!(body.send_state().prevent_send());
    }
}
