//! Reading ids in paths.

use axum::extract::{Path, rejection::PathRejection};
use uuid::Uuid;

use crate::http::problem::Problem;

/// Reads the id of a transaction.
///
/// # Errors
/// 404 if it is not a UUID: no transaction has such an id.
pub fn transaction_id(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| Problem::no_such_transaction())
}
