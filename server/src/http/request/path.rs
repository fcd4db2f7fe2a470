//! Reading what a path names.

use axum::extract::{Path, rejection::PathRejection};
use uuid::Uuid;

use crate::http::problem::Problem;

/// A text that is no UUID names no transaction.
pub fn known(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| Problem::no_such_transaction())
}
