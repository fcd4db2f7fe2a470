//! `/api/transactions/{id}/cancel`, `/retry`, `/resolve`: what people do to a transaction, and
//! `/interventions`, the record of it.

use axum::{
    Json, Router,
    extract::{Path, State, rejection::PathRejection},
    routing::{get, post},
};
use domain::{Intervened, Intervention, Principal, Resolution, Transaction};
use gateway::Gateway;
use serde::Serialize;
use uuid::Uuid;

use super::{
    Web,
    body::{JsonBody, Reason},
    fields::Fields,
    problem::Problem,
    transactions::known,
};

/// The routes of interventions.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/api/transactions/{id}/cancel", post(cancel))
        .route("/api/transactions/{id}/retry", post(retry))
        .route("/api/transactions/{id}/resolve", post(resolve))
        .route("/api/transactions/{id}/interventions", get(record))
}

async fn cancel(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
    Reason(reason): Reason,
) -> Result<Json<Transaction>, Problem> {
    intervene(&gateway, known(id)?, Intervention::Cancel, reason).await
}

async fn retry(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
    Reason(reason): Reason,
) -> Result<Json<Transaction>, Problem> {
    intervene(&gateway, known(id)?, Intervention::Retry, reason).await
}

async fn resolve(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Json<Transaction>, Problem> {
    let id = known(id)?;
    let mut fields = Fields::of_body(body);
    fields.require("/status");
    let resolution = fields.text("/status", |text| match text {
        "completed" => Ok(Resolution::Completed),
        "failed" => Ok(Resolution::Failed),
        _ => Err("must be completed or failed"),
    });
    // Nothing but a person's word stands behind it.
    fields.require("/reason");
    let reason = fields.reason();
    let (resolution, reason) = fields.end(resolution.zip(reason))?;
    intervene(&gateway, id, Intervention::Resolve(resolution), Some(reason)).await
}

async fn intervene(
    gateway: &Gateway,
    id: Uuid,
    intervention: Intervention,
    reason: Option<String>,
) -> Result<Json<Transaction>, Problem> {
    let principal = Principal::anonymous();
    let intervened = gateway.intervene(&principal, id, intervention, reason.as_deref()).await;
    intervened.map(Json).map_err(|error| Problem::from(error).about(Some(id)))
}

#[derive(Serialize)]
struct Record {
    data: Vec<Intervened>,
}

async fn record(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Record>, Problem> {
    let id = known(id)?;
    let data = gateway.interventions(id).await?;
    if data.is_empty() && gateway.transaction(id).await?.is_none() {
        return Err(Problem::no_such_transaction());
    }
    Ok(Json(Record { data }))
}
