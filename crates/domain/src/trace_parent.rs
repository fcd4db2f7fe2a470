//! The header `traceparent` of W3C Trace Context, which names the trace that a request belongs to.

use std::{fmt, str::FromStr};

use thiserror::Error;
use uuid::Uuid;

/// The flags that version 00 defines: sampled and random-trace-id. All others are sent as zero.
const KNOWN_FLAGS: u8 = 0b11;
/// The caller may have recorded the trace.
const SAMPLED: u8 = 0b01;

/// A trace, and the span in it that a request comes from. Neither id is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

/// The text is not a `traceparent`. Such a header is ignored; its request is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is not a traceparent of W3C Trace Context")]
pub struct BadTraceParent;

impl TraceParent {
    /// The trace of a transaction that was submitted without one: the transaction's id is the trace's id.
    pub fn of_transaction(id: Uuid) -> Self {
        let id = id.as_u128();
        Self { trace_id: id.max(1), span_id: (id as u64).max(1), flags: SAMPLED }
    }

    /// The same trace, from another span.
    pub fn from_span(self, span_id: u64) -> Self {
        Self { span_id: span_id.max(1), ..self }
    }

    /// The trace's id, as 32 hexadecimal digits.
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

/// Writes the header as it is sent, in version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl FromStr for TraceParent {
    type Err = BadTraceParent;

    /// From a later version, reads the part that version 00 defines and ignores the rest.
    fn from_str(text: &str) -> Result<Self, BadTraceParent> {
        let mut parts = text.splitn(5, '-');
        let mut hexadecimal = |digits: usize| {
            let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let part =
                parts.next().filter(|part| part.len() == digits && part.bytes().all(lower))?;
            u128::from_str_radix(part, 16).ok()
        };
        let version = hexadecimal(2).ok_or(BadTraceParent)?;
        let trace_id = hexadecimal(32).ok_or(BadTraceParent)?;
        let span_id = hexadecimal(16).ok_or(BadTraceParent)? as u64;
        let flags = hexadecimal(2).ok_or(BadTraceParent)? as u8;
        let more = parts.next().is_some();
        if version == 0xff || (version == 0 && more) || trace_id == 0 || span_id == 0 {
            return Err(BadTraceParent);
        }
        Ok(Self { trace_id, span_id, flags: flags & KNOWN_FLAGS })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_span_continues_the_trace_that_was_read() {
        let parent: TraceParent = TRACE.parse().unwrap();
        assert_eq!(parent.to_string(), TRACE);
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let sent = parent.from_span(0x1234).to_string();
        assert_eq!(sent, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000001234-01");
        let unsampled = TRACE.replace("-01", "-00");
        assert_eq!(unsampled.parse::<TraceParent>().unwrap().to_string(), unsampled);
    }

    #[test]
    fn the_known_part_of_a_later_version_is_read() {
        for later in [
            TRACE.replacen("00", "01", 1),
            TRACE.replacen("00", "cc", 1) + "-what-the-future-brings",
            TRACE.replace("-01", "-fd"),
        ] {
            assert_eq!(later.parse::<TraceParent>().unwrap().to_string(), TRACE, "{later}");
        }
    }

    #[test]
    fn a_text_that_the_specification_calls_invalid_is_not_read() {
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-+0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(BadTraceParent), "{text}");
        }
    }

    #[test]
    fn a_transactions_own_trace_is_valid_even_for_the_nil_id() {
        for id in [Uuid::nil(), Uuid::max()] {
            let own = TraceParent::of_transaction(id);
            assert_eq!(own.to_string().parse(), Ok(own));
        }
    }

    proptest! {
        #[test]
        fn a_trace_that_was_read_is_sent_in_a_valid_form(
            text in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?",
            span: u64,
        ) {
            if let Ok(parent) = text.parse::<TraceParent>() {
                let sent = parent.from_span(span);
                prop_assert_eq!(sent.to_string().parse(), Ok(sent));
                prop_assert_eq!(sent.trace_id(), &text[3..35]);
            }
        }
    }
}
