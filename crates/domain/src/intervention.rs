//! What a person may do to a transaction, and when.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::State;

/// What a person does to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intervention {
    /// Withdraw it, before anything was sent.
    Cancel,
    /// Have it attempted again: at once, with all its attempts, after a verification where anything
    /// was ever sent.
    Retry,
    /// Say what became of one that is in doubt.
    Resolve(Resolution),
}

/// What became of a transaction, by a person's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The posting service has it.
    Completed,
    /// The posting service does not have it.
    Failed,
}

/// The longest reason for an intervention, in characters.
pub const MAX_REASON_CHARS: usize = 500;

/// What is wrong with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadReason {
    /// There is nothing in it.
    #[error("must not be empty")]
    Empty,
    /// It is too long.
    #[error("must have at most {MAX_REASON_CHARS} characters")]
    TooLong,
    /// PostgreSQL's text cannot hold it.
    #[error("must not contain the character U+0000")]
    Nul,
}

/// Reads why somebody does what they do, without the white space around it.
///
/// # Errors
/// [`BadReason`], in words that follow the field's name.
pub fn read_reason(text: &str) -> Result<&str, BadReason> {
    match text.trim() {
        "" => Err(BadReason::Empty),
        text if text.chars().count() > MAX_REASON_CHARS => Err(BadReason::TooLong),
        text if text.contains('\0') => Err(BadReason::Nul),
        text => Ok(text),
    }
}

/// Why a transaction does not permit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotPermitted {
    /// Its state does not.
    #[error("a transaction that is {state} cannot be {}", .intervention.participle())]
    State {
        /// What was wanted.
        intervention: Intervention,
        /// The state.
        state: State,
    },
    /// It has been sent.
    #[error("it has been sent to the posting service, so it cannot be cancelled any more")]
    Sent,
}

/// One line of the record of what people did to a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Intervened {
    /// When.
    pub at: DateTime<Utc>,
    /// Who.
    pub principal: String,
    /// What: `cancel`, `retry` or `resolve`.
    pub action: String,
    /// The state before.
    pub from_status: Option<String>,
    /// The state after.
    pub to_status: Option<String>,
    /// Why, in their words.
    pub reason: Option<String>,
}

impl Intervention {
    /// The name in the record of interventions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Resolve(_) => "resolve",
        }
    }

    fn participle(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Retry => "retried",
            Self::Resolve(_) => "resolved",
        }
    }

    /// The state that it leads to. `sent` tells whether an attempt may have reached the posting
    /// service ever.
    ///
    /// # Errors
    /// [`NotPermitted`] where the transaction is as it is.
    pub fn leads_to(self, state: State, sent: bool) -> Result<State, NotPermitted> {
        match (self, state) {
            (Self::Cancel, State::Pending) if sent => Err(NotPermitted::Sent),
            (Self::Cancel, State::Pending) => Ok(State::Cancelled),
            (Self::Retry, State::Pending | State::Failed | State::InDoubt) => Ok(State::Pending),
            (Self::Resolve(Resolution::Completed), State::InDoubt) => Ok(State::Completed),
            (Self::Resolve(Resolution::Failed), State::InDoubt) => Ok(State::Failed),
            (intervention, state) => Err(NotPermitted::State { intervention, state }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Intervention; 4] = [
        Intervention::Cancel,
        Intervention::Retry,
        Intervention::Resolve(Resolution::Completed),
        Intervention::Resolve(Resolution::Failed),
    ];

    #[test]
    fn nothing_is_cancelled_that_may_have_been_sent() {
        for state in State::ALL {
            assert!(Intervention::Cancel.leads_to(state, true).is_err(), "{state}");
        }
        assert_eq!(Intervention::Cancel.leads_to(State::Pending, false), Ok(State::Cancelled));
    }

    #[test]
    fn what_is_completed_rejected_cancelled_or_under_way_is_left_alone() {
        for state in [State::Completed, State::Rejected, State::Cancelled, State::Processing] {
            for intervention in ALL {
                let refused = intervention.leads_to(state, false).unwrap_err().to_string();
                assert!(refused.contains(state.as_str()), "{refused}");
            }
        }
    }

    #[test]
    fn a_reason_is_text_of_some_length() {
        assert_eq!(read_reason(" the ledger is moved "), Ok("the ledger is moved"));
        assert_eq!(read_reason("  "), Err(BadReason::Empty));
        assert!(read_reason(&"ö".repeat(MAX_REASON_CHARS)).is_ok());
        assert_eq!(read_reason(&"x".repeat(MAX_REASON_CHARS + 1)), Err(BadReason::TooLong));
        assert_eq!(read_reason("a\0b"), Err(BadReason::Nul));
    }

    #[test]
    fn only_a_person_settles_a_doubt_and_only_a_doubt() {
        for state in State::ALL {
            for resolution in [Resolution::Completed, Resolution::Failed] {
                let permitted = Intervention::Resolve(resolution).leads_to(state, true).is_ok();
                assert_eq!(permitted, state == State::InDoubt, "{state}");
            }
        }
    }
}
