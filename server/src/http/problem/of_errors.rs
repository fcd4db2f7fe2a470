//! The problem of each error of the crates that do the work.

use access::{AccessError, TokenError};
use domain::FieldError;
use gateway::{CommitFault, EngineError, InterventionError, SubmitError};

use super::{Problem, code::Code};

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Database(ref cause) => {
                let fault = CommitFault::of(cause);
                Self::unavailable(error.to_string()).caused_by(&error).of_fault(Some(fault))
            }
            EngineError::Unreadable(unreadable) => {
                Self::new(Code::Unreadable, unreadable.to_string())
                    .about(Some(unreadable.transaction_id))
            }
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Database(ref cause) => {
                let fault = CommitFault::of(cause);
                Self::unavailable(error.to_string()).caused_by(&error).of_fault(Some(fault))
            }
            AccessError::NotFound(_) => Self::not_found(error.to_string()),
            AccessError::NameTaken => Self::conflict("/name", "is taken", error.to_string()),
            AccessError::LastAdmin => Self::conflict("/role", "must stay admin", error.to_string()),
            AccessError::Invalid(field, message) => {
                Self::invalid(vec![FieldError::new(format!("/{field}"), message)])
            }
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Conflict { pointer } => Self::conflict(
                pointer,
                "belongs to another transaction, with other content or idempotency key",
                error.to_string(),
            ),
            SubmitError::KeyReused => Self::new(Code::IdempotencyKeyReused, error.to_string()),
            SubmitError::Overloaded => Self::overloaded(error.to_string()),
            SubmitError::Unconfirmed { id, .. } => {
                let problem = Self::unavailable(error.to_string()).caused_by(&error);
                let mut problem = problem.of_fault(error.fault());
                problem.unconfirmed_id = Some(id);
                problem
            }
            SubmitError::Query(error) => error.into(),
        }
    }
}

impl From<InterventionError> for Problem {
    fn from(error: InterventionError) -> Self {
        match error {
            InterventionError::NoSuchTransaction => Self::no_such_transaction(),
            InterventionError::NotPermitted(_) => Self::new(Code::NotPermitted, error.to_string()),
            InterventionError::Changing => Self::unavailable(error.to_string()),
            InterventionError::Engine(error) => Self::of_change(error),
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Refused(refusal) => Self::unauthenticated(Some(refusal.to_string())),
            TokenError::NoKeysYet => Self::unavailable(error.to_string()),
            TokenError::Signing => Self::internal(error.to_string()),
            TokenError::Access(error) => error.into(),
        }
    }
}
