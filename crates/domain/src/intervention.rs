//! What an operator may do to a transaction, and when.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    State,
    nul::{ContainsNul, without_nul},
};

/// An operator's action on a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intervention {
    /// Withdraw it, before anything was sent.
    Cancel,
    /// Attempt it again at once, with all its attempts. If anything was ever sent, a verification comes
    /// first.
    Retry,
    /// Decide the outcome of a transaction that is in doubt.
    Resolve(Resolution),
}

/// The outcome of a transaction, as an operator states it.
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
    /// It is empty.
    #[error("must not be empty")]
    Empty,
    /// It is too long.
    #[error("must have at most {MAX_REASON_CHARS} characters")]
    TooLong,
    /// It contains U+0000.
    #[error(transparent)]
    Nul(#[from] ContainsNul),
}

/// Reads the reason for an operation, without surrounding white space.
///
/// # Errors
/// [`BadReason`], worded to follow the field's name.
pub fn read_reason(text: &str) -> Result<&str, BadReason> {
    match text.trim() {
        "" => Err(BadReason::Empty),
        text if text.chars().count() > MAX_REASON_CHARS => Err(BadReason::TooLong),
        text => Ok(without_nul(text)?),
    }
}

/// Why a transaction does not permit an intervention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotPermitted {
    /// Its state does not permit it.
    #[error("a transaction that is {state} cannot be {}", .intervention.participle())]
    State {
        /// The intervention.
        intervention: Intervention,
        /// The transaction's state.
        state: State,
    },
    /// The transaction has been sent.
    #[error("it has been sent to the posting service, so it can no longer be cancelled")]
    Sent,
}

/// One entry in the record of interventions in a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Intervened {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The principal that intervened.
    pub principal: String,
    /// The action: `cancel`, `retry` or `resolve`.
    pub action: String,
    /// The state before.
    pub from_status: Option<String>,
    /// The state after.
    pub to_status: Option<String>,
    /// The reason, in the principal's words.
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

    /// The state that the intervention leads to. `sent` says whether any attempt may have reached the
    /// posting service.
    ///
    /// # Errors
    /// [`NotPermitted`] if the transaction does not permit the intervention.
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
    fn a_transaction_that_may_have_been_sent_cannot_be_cancelled() {
        for state in State::ALL {
            assert!(Intervention::Cancel.leads_to(state, true).is_err(), "{state}");
        }
        assert_eq!(Intervention::Cancel.leads_to(State::Pending, false), Ok(State::Cancelled));
    }

    #[test]
    fn a_completed_rejected_cancelled_or_processing_transaction_permits_no_intervention() {
        for state in [State::Completed, State::Rejected, State::Cancelled, State::Processing] {
            for intervention in ALL {
                let refused = intervention.leads_to(state, false).unwrap_err().to_string();
                assert!(refused.contains(state.as_str()), "{refused}");
            }
        }
    }

    #[test]
    fn a_reason_is_trimmed_and_limited_in_length() {
        assert_eq!(read_reason(" the ledger is moved "), Ok("the ledger is moved"));
        assert_eq!(read_reason("  "), Err(BadReason::Empty));
        assert!(read_reason(&"ö".repeat(MAX_REASON_CHARS)).is_ok());
        assert_eq!(read_reason(&"x".repeat(MAX_REASON_CHARS + 1)), Err(BadReason::TooLong));
        assert_eq!(read_reason("a\0b"), Err(BadReason::Nul(ContainsNul)));
    }

    #[test]
    fn a_transaction_can_be_resolved_only_while_it_is_in_doubt() {
        for state in State::ALL {
            for resolution in [Resolution::Completed, Resolution::Failed] {
                let permitted = Intervention::Resolve(resolution).leads_to(state, true).is_ok();
                assert_eq!(permitted, state == State::InDoubt, "{state}");
            }
        }
    }
}
