//! What the way an attempt ended proves about it. The outcome is proof, not hope: where the posting
//! service may have written, it is `unknown`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::breaker::Signal;

/// What an attempt is known to have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// The posting service confirmed that it has the transaction.
    Posted,
    /// The posting service refused the transaction for good.
    Refused,
    /// Nothing that could have been applied reached the posting service.
    NotSent,
    /// The attempt may have been applied, or may still be.
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

/// The time after an attempt of unknown outcome during which an absence proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// After a timeout, a broken connection, or an answer that says that a gateway or the service gave
    /// up: the request may still be applied.
    Settle,
    /// After any other answer: the request is over, but a verification may not see its write yet.
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

/// The longest `Retry-After` that Onceward honours.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What the body of an answer to a POST says about the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerBody {
    /// Nothing that contradicts the transaction: its own id, amount or currency, or none of them.
    Agrees,
    /// Another id, amount or currency: it may be the answer to another request.
    Contradicts,
    /// Something that is no confirmation: it is cut off, is no JSON, is a list, or names an error.
    Unclear,
}

/// How one POST to the posting service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// An answer came.
    Answered {
        /// Its HTTP status.
        status: u16,
        /// What its body says about the transaction.
        body: AnswerBody,
        /// `Retry-After` as a duration, if the answer had one that could be read.
        retry_after: Option<Duration>,
    },
    /// None of the request's body was written: the connection was refused, the host was unreachable or
    /// its name not found, TLS failed, or the connection broke or timed out before that.
    NotWritten,
    /// No answer came within the timeout of one request.
    TimedOut,
    /// The connection broke after writing the body had begun.
    Broken,
}

impl Ending {
    /// What the attempt is known to have done, and, if that is unknown, which window applies.
    ///
    /// | ending | outcome | counts | what follows |
    /// |---|---|---|---|
    /// | connection refused, host unreachable, name not found, TLS failed, connection broken or timed out before any of the body was written | `not_sent` | no | a POST after a backoff |
    /// | no answer in time; connection broken after that point | `unknown`, settle | yes | verification at once, then again when the windows have passed |
    /// | 202 | `unknown`, settle: accepted, and not done yet | yes | verification after a while |
    /// | any other 2xx whose body agrees, or says nothing | `posted` | yes | completed |
    /// | 2xx with another id, amount or currency | `unknown`, settle: perhaps the answer to another request | yes | verification at once |
    /// | 2xx with a body that is cut off, is no JSON, is a list, or names an error | `unknown`, visibility: something answered, perhaps not the service | yes | verification at once |
    /// | 401, 403 | `not_sent`: the service refuses our credentials, so it did not look at the transaction | no | a POST after a backoff; see [`Ending::signal`] |
    /// | 404, 405, 407 | `not_sent`: the service turned us away, not the transaction | no | a POST after a backoff |
    /// | 408 | `unknown`, settle: the service gave up waiting, as we do on a timeout | yes | verification at once |
    /// | 502, 503, 504, 520 and above | `unknown`, settle: a gateway gave up on a request that may still be applied | yes | verification at once |
    /// | 409, 425, 429, 1xx, 3xx, any other 5xx | `unknown`, visibility | yes | verification at once |
    /// | any other 4xx | `refused` | yes | failed, with the answer |
    ///
    /// `Retry-After` delays the next request about the transaction, be it a POST or a verification.
    pub fn outcome(&self) -> (Outcome, Option<Window>) {
        match *self {
            Self::NotWritten => (Outcome::NotSent, None),
            Self::TimedOut | Self::Broken => (Outcome::Unknown, Some(Window::Settle)),
            Self::Answered { status, body, .. } => match (status, body) {
                (200..=299, AnswerBody::Contradicts) | (202, _) => {
                    (Outcome::Unknown, Some(Window::Settle))
                }
                (200..=299, AnswerBody::Agrees) => (Outcome::Posted, None),
                (200..=299, AnswerBody::Unclear) => (Outcome::Unknown, Some(Window::Visibility)),
                _ => Self::outcome_of_error(status),
            },
        }
    }

    fn outcome_of_error(status: u16) -> (Outcome, Option<Window>) {
        match status {
            401 | 403 | 404 | 405 | 407 => (Outcome::NotSent, None),
            408 | 502..=504 | 520..=599 => (Outcome::Unknown, Some(Window::Settle)),
            409 | 425 | 429 => (Outcome::Unknown, Some(Window::Visibility)),
            400..=499 => (Outcome::Refused, None),
            _ => (Outcome::Unknown, Some(Window::Visibility)),
        }
    }

    /// Whether the posting service has taken the transaction over and says that it is not done yet: a
    /// verification at once would come too early.
    pub fn is_accepted_only(&self) -> bool {
        matches!(
            self,
            Self::Answered { status: 202, body: AnswerBody::Agrees | AnswerBody::Unclear, .. }
        )
    }

    /// Whether the posting service has taken the transaction over, as far as its answer can say: it works,
    /// even if a verification has to follow.
    pub fn is_success(&self) -> bool {
        self.is_accepted_only() || self.outcome().0 == Outcome::Posted
    }

    /// Whether the posting service refused our credentials, whatever the transaction.
    pub fn refuses_credentials(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if refuses_credentials(*status))
    }

    /// What the attempt says about the posting service. A success that is yet to be verified says that it works.
    pub fn signal(&self) -> Signal {
        if self.refuses_credentials() {
            return Signal::CredentialsRefused;
        }
        match self.outcome().0 {
            Outcome::Posted | Outcome::Refused => Signal::Works,
            _ if self.is_accepted_only() => Signal::Works,
            Outcome::NotSent | Outcome::Unknown => Signal::Fails,
        }
    }

    /// How long the posting service asked us to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Whether an answer with this status refuses our credentials: 401, "the request has not been applied because it
/// lacks valid authentication credentials", and 403, which refuses them as insufficient (RFC 9110, sections 15.5.2
/// and 15.5.4).
pub fn refuses_credentials(status: u16) -> bool {
    matches!(status, 401 | 403)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODIES: [AnswerBody; 3] =
        [AnswerBody::Agrees, AnswerBody::Contradicts, AnswerBody::Unclear];

    fn ending(status: u16, body: AnswerBody) -> Ending {
        Ending::Answered { status, body, retry_after: None }
    }

    fn answered(status: u16, body: AnswerBody) -> (Outcome, Option<Window>) {
        ending(status, body).outcome()
    }

    #[test]
    fn only_a_success_whose_body_agrees_is_posted_and_202_is_not() {
        for status in 100..600 {
            let posted = answered(status, AnswerBody::Agrees).0 == Outcome::Posted;
            assert_eq!(posted, (200..300).contains(&status) && status != 202, "{status}");
            for body in [AnswerBody::Contradicts, AnswerBody::Unclear] {
                assert_ne!(answered(status, body).0, Outcome::Posted, "{status}");
            }
        }
    }

    #[test]
    fn what_is_accepted_or_contradicted_may_still_be_applied() {
        let settle = (Outcome::Unknown, Some(Window::Settle));
        for body in BODIES {
            assert_eq!(answered(202, body), settle, "{body:?}");
        }
        assert_eq!(answered(200, AnswerBody::Contradicts), settle);
        assert!(ending(202, AnswerBody::Unclear).is_accepted_only());
        assert!(!ending(202, AnswerBody::Contradicts).is_accepted_only());
        assert!(!ending(200, AnswerBody::Agrees).is_accepted_only());
    }

    #[test]
    fn a_server_error_is_never_taken_for_a_refusal() {
        for status in (500..600).chain([408, 409, 425, 429]) {
            assert_eq!(answered(status, AnswerBody::Agrees).0, Outcome::Unknown, "{status}");
        }
    }

    #[test]
    fn an_attempt_that_may_still_be_applied_waits_for_the_settle_window() {
        assert_eq!(Ending::TimedOut.outcome(), (Outcome::Unknown, Some(Window::Settle)));
        assert_eq!(Ending::Broken.outcome(), (Outcome::Unknown, Some(Window::Settle)));
        assert_eq!(Ending::NotWritten.outcome(), (Outcome::NotSent, None));
    }

    #[test]
    fn only_an_unknown_outcome_has_a_window() {
        for status in 100..600 {
            for body in BODIES {
                let (outcome, window) = answered(status, body);
                assert_eq!(outcome == Outcome::Unknown, window.is_some(), "{status}");
            }
        }
    }

    #[test]
    fn an_answer_that_refuses_our_credentials_neither_counts_nor_says_anything_about_the_transaction()
     {
        for status in 100..600 {
            let ending = ending(status, AnswerBody::Agrees);
            let refused = ending.signal() == Signal::CredentialsRefused;
            assert_eq!(refused, status == 401 || status == 403, "{status}");
            if refused {
                assert_eq!(ending.outcome(), (Outcome::NotSent, None), "{status}");
            }
        }
    }

    #[test]
    fn a_success_and_a_refusal_say_that_the_service_works() {
        for status in [200, 201, 202, 400, 422] {
            assert_eq!(ending(status, AnswerBody::Agrees).signal(), Signal::Works, "{status}");
        }
        for status in [404, 407, 408, 429, 500, 503] {
            assert_eq!(ending(status, AnswerBody::Agrees).signal(), Signal::Fails, "{status}");
        }
        assert_eq!(ending(200, AnswerBody::Unclear).signal(), Signal::Fails);
        assert_eq!(Ending::NotWritten.signal(), Signal::Fails);
    }
}
