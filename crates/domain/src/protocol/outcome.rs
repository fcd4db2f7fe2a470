//! What is known of an attempt by the way it ended. By proof, not by hope: an ending that leaves
//! room for the posting service to have written is `unknown`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an attempt is known to have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// The posting service said that it has it.
    Posted,
    /// The posting service said that it will not take it, for good.
    Refused,
    /// Nothing that could have been applied reached the posting service.
    NotSent,
    /// It may have been applied, or may yet be.
    Unknown,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Posted, Self::Refused, Self::NotSent, Self::Unknown];

    /// The name on the wire and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
        }
    }
}

/// How long after an attempt of unknown outcome an absence still proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// After a time-out or a broken connection: the request may still be applied.
    Settle,
    /// After an answered error: the request is over, but a verification may not see its write yet.
    Visibility,
}

impl Window {
    /// The name in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settle => "settle",
            Self::Visibility => "visibility",
        }
    }
}

/// The longest `Retry-After` that is obeyed.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// How one POST to the posting service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// An answer came.
    Answered {
        /// Its HTTP status.
        status: u16,
        /// Whether its body came whole and is JSON.
        readable: bool,
        /// `Retry-After`, where it was a number of seconds.
        retry_after: Option<Duration>,
    },
    /// Nothing of the request's body was written: the connection was refused, the host unreachable or
    /// its name not found, TLS failed, or it broke or took too long before that.
    NotWritten,
    /// No answer within the time for one request.
    TimedOut,
    /// The connection broke after the body was begun to be written.
    Broken,
}

impl Ending {
    /// What the attempt is known to have done, and, where that is unknown, which window applies.
    ///
    /// | ending | outcome | counts | what follows |
    /// |---|---|---|---|
    /// | connection refused, host unreachable, name not found, TLS failed, broken or out of time before any of the body was written | `not_sent` | no | a POST after a backoff |
    /// | no answer in time; broken after that | `unknown`, settle | yes | verification at once, then again when the windows have passed |
    /// | 2xx with a readable body | `posted` | yes | completed |
    /// | 2xx without | `unknown`, visibility: something answered, perhaps not the service | yes | verification at once |
    /// | 401, 403, 404, 405, 407 | `not_sent`: we were turned away, not the transaction | no | a POST after a backoff |
    /// | 408 | `unknown`, settle: the service gave up waiting, as we do | yes | verification at once |
    /// | 502, 503, 504, 520 and above | `unknown`, settle: a gateway gave up on a request that may still be applied | yes | verification at once |
    /// | 409, 425, 429, 1xx, 3xx, any other 5xx | `unknown`, visibility | yes | verification at once |
    /// | any other 4xx | `refused` | yes | failed, with what was answered |
    ///
    /// `Retry-After` holds back the next request about the transaction, of whichever kind.
    pub fn outcome(&self) -> (Outcome, Option<Window>) {
        match *self {
            Self::NotWritten => (Outcome::NotSent, None),
            Self::TimedOut | Self::Broken => (Outcome::Unknown, Some(Window::Settle)),
            Self::Answered { status, readable, .. } => match status {
                200..=299 if readable => (Outcome::Posted, None),
                401 | 403 | 404 | 405 | 407 => (Outcome::NotSent, None),
                408 | 502..=504 | 520..=599 => (Outcome::Unknown, Some(Window::Settle)),
                409 | 425 | 429 => (Outcome::Unknown, Some(Window::Visibility)),
                400..=499 => (Outcome::Refused, None),
                _ => (Outcome::Unknown, Some(Window::Visibility)),
            },
        }
    }

    /// How long the posting service asked us to stay away.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, readable: bool) -> (Outcome, Option<Window>) {
        Ending::Answered { status, readable, retry_after: None }.outcome()
    }

    #[test]
    fn only_a_readable_success_is_posted() {
        for status in 100..600 {
            let posted = answered(status, true).0 == Outcome::Posted;
            assert_eq!(posted, (200..300).contains(&status), "{status}");
            assert_ne!(answered(status, false).0, Outcome::Posted, "{status}");
        }
    }

    #[test]
    fn no_server_error_is_ever_taken_for_a_refusal() {
        for status in (500..600).chain([408, 409, 425, 429]) {
            assert_eq!(answered(status, true).0, Outcome::Unknown, "{status}");
        }
    }

    #[test]
    fn what_may_still_be_applied_waits_for_the_settle_window() {
        assert_eq!(Ending::TimedOut.outcome(), (Outcome::Unknown, Some(Window::Settle)));
        assert_eq!(Ending::Broken.outcome(), (Outcome::Unknown, Some(Window::Settle)));
        assert_eq!(Ending::NotWritten.outcome(), (Outcome::NotSent, None));
    }

    #[test]
    fn an_unknown_outcome_and_no_other_has_a_window() {
        for status in 100..600 {
            for readable in [true, false] {
                let (outcome, window) = answered(status, readable);
                assert_eq!(outcome == Outcome::Unknown, window.is_some(), "{status}");
            }
        }
    }
}
