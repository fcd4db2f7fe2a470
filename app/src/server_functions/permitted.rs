//! The engine, for callers that may use it. Each server function gets it here, so that it checks the permission also
//! when a page that is being rendered calls it.

use axum::http::request::Parts;
use domain::{Caller, Permission};
use gateway::Gateway;
use leptos::prelude::{expect_context, use_context};
use thiserror::Error;

use super::{load_error::LoadError, operation_error::OperationError};

/// The caller may not do this, or is not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("your role does not permit this")]
pub struct NotPermitted;

/// The engine and the caller, if the caller has this permission.
///
/// # Errors
/// [`NotPermitted`].
pub fn permitted(needed: Permission) -> Result<(Gateway, Caller), NotPermitted> {
    let caller = caller().filter(|caller| caller.may(needed)).ok_or(NotPermitted)?;
    Ok((expect_context(), caller))
}

/// Who requested the page or called the server function, as the server has authenticated it.
pub fn caller() -> Option<Caller> {
    use_context::<Parts>()?.extensions.get::<Caller>().cloned()
}

impl From<NotPermitted> for LoadError {
    fn from(error: NotPermitted) -> Self {
        Self(error.to_string())
    }
}

impl From<NotPermitted> for OperationError {
    fn from(error: NotPermitted) -> Self {
        Self(format!("Not done: {error}."))
    }
}
