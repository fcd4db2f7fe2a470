//! `/api/bulk-retries`: retrying all transactions that pass a filter.

use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use domain::Principal;
use gateway::{BulkRetry, Gateway};
use uuid::Uuid;

use super::{Web, body::JsonBody, fields::Fields, filter, problem::Problem};

/// The routes of bulk retries.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/api/bulk-retries", post(request))
        .route("/api/bulk-retries/{id}", get(show))
}

async fn request(
    State(gateway): State<Gateway>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of_body(body);
    // An empty one means all; nobody is to mean all by leaving it out.
    fields.require("/filter");
    fields.only("/filter", &filter::FIELDS);
    let filter = filter::read(&mut fields, "/filter", |text| match text.parse() {
        Ok(state @ (domain::State::Failed | domain::State::InDoubt)) => Ok(state),
        _ => Err("must be failed or in_doubt: no others are retried in bulk"),
    });
    let reason = fields.reason();
    let (filter, reason) = fields.end(Some((filter, reason)))?;
    let requested = gateway.retry_all(&Principal::anonymous(), filter, reason.as_deref()).await;
    let bulk_retry = requested.map_err(Problem::of_change)?;
    let location = format!("/api/bulk-retries/{}", bulk_retry.bulk_retry_id);
    let accepted = (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(bulk_retry));
    Ok(accepted.into_response())
}

async fn show(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<BulkRetry>, Problem> {
    // A text that is no UUID names none.
    let Ok(Path(id)) = id else { return Err(Problem::no_such_bulk_retry()) };
    gateway.bulk_retry(id).await?.map(Json).ok_or_else(Problem::no_such_bulk_retry)
}
