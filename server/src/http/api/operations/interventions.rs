//! `/api/transactions/{id}/cancel`, `/retry`, `/resolve`: what operators do to a transaction, and `/interventions`, the
//! record of it.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
};
use domain::{Caller, Intervened, Intervention, Resolution, Scope, Transaction};
use gateway::Gateway;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, schema::Type},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::reason::Reason;
use crate::http::{
    api::transactions::example,
    problem::{Problem, error_responses},
    request::{body::JsonBody, fields::Fields, path::transaction_id},
    state::WebState,
};

/// The routes of interventions.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new()
        .routes(routes!(cancel))
        .routes(routes!(retry))
        .routes(routes!(resolve))
        .routes(routes!(record))
}

/// Cancel a transaction
///
/// Permitted only as long as it was never sent to the posting service.
#[utoipa::path(
    post,
    path = "/api/transactions/{id}/cancel",
    operation_id = "cancelTransaction",
    tag = "Interventions",
    params(("id" = Uuid, Path, description = "The transaction's id.")),
    request_body(content = Option<Reason>, example = json!({"reason": "submitted twice by mistake"})),
    responses(
        (status = 200, description = "The cancelled transaction.", body = Transaction, example = json!(example_of_cancelled())),
        error_responses::OfIntervention,
    ),
)]
async fn cancel(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    Reason { reason }: Reason,
) -> Result<Json<Transaction>, Problem> {
    intervene(&gateway, &caller, transaction_id(id)?, Intervention::Cancel, reason).await
}

/// Retry a transaction
///
/// At once, with a full number of attempts. Permitted if it is failed, in doubt, or waiting for its next attempt. If an
/// earlier attempt may have reached the posting service, it is verified first.
#[utoipa::path(
    post,
    path = "/api/transactions/{id}/retry",
    operation_id = "retryTransaction",
    tag = "Interventions",
    params(("id" = Uuid, Path, description = "The transaction's id.")),
    request_body(content = Option<Reason>, example = json!({"reason": "the posting service is back"})),
    responses(
        (status = 200, description = "The transaction, which is due.", body = Transaction, example = json!(example::pending())),
        error_responses::OfIntervention,
    ),
)]
async fn retry(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    Reason { reason }: Reason,
) -> Result<Json<Transaction>, Problem> {
    intervene(&gateway, &caller, transaction_id(id)?, Intervention::Retry, reason).await
}

/// The outcome of a transaction, as an operator states it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct Resolving {
    /// `completed` if the posting service has it, `failed` if it does not.
    #[schema(schema_with = resolutions)]
    status: String,
    #[schema(schema_with = domain::openapi::reason)]
    reason: String,
}

fn resolutions() -> Object {
    let states = [domain::State::Completed, domain::State::Failed].map(domain::State::as_str);
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(states)).build()
}

/// Resolve a transaction that is in doubt
///
/// Nothing proves the outcome except the operator's statement, so a reason is required.
#[utoipa::path(
    post,
    path = "/api/transactions/{id}/resolve",
    operation_id = "resolveTransaction",
    tag = "Interventions",
    params(("id" = Uuid, Path, description = "The transaction's id.")),
    request_body(
        content = Resolving,
        example = json!({"status": "completed", "reason": "seen in the ledger, entry 4711"}),
    ),
    responses(
        (status = 200, description = "The resolved transaction.", body = Transaction, example = json!(example_of_resolved())),
        error_responses::OfIntervention,
    ),
)]
async fn resolve(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
    JsonBody(body): JsonBody,
) -> Result<Json<Transaction>, Problem> {
    let id = transaction_id(id)?;
    let mut fields = Fields::of_body(body);
    fields.refuse_misspelt(&["status", "reason"]);
    fields.require("/status");
    let resolution = fields.text("/status", |text| match text {
        "completed" => Ok(Resolution::Completed),
        "failed" => Ok(Resolution::Failed),
        _ => Err("must be completed or failed"),
    });
    // Nothing proves the outcome except the operator's statement.
    fields.require("/reason");
    let reason = fields.reason();
    let (resolution, reason) = fields.finish(resolution.zip(reason))?;
    intervene(&gateway, &caller, id, Intervention::Resolve(resolution), Some(reason)).await
}

async fn intervene(
    gateway: &Gateway,
    caller: &Caller,
    id: Uuid,
    intervention: Intervention,
    reason: Option<String>,
) -> Result<Json<Transaction>, Problem> {
    let intervened = gateway.intervene(&caller.actor, id, intervention, reason.as_deref()).await;
    intervened.map(Json).map_err(|error| Problem::from(error).about(Some(id)))
}

/// The interventions in a transaction, first to last.
#[derive(Serialize, ToSchema)]
struct Record {
    /// The interventions.
    data: Vec<Intervened>,
}

/// List the interventions in a transaction
///
/// Who intervened, how, and why.
#[utoipa::path(
    get,
    path = "/api/transactions/{id}/interventions",
    operation_id = "listInterventions",
    tag = "Interventions",
    params(("id" = Uuid, Path, description = "The transaction's id.")),
    responses(
        (status = 200, description = "The interventions, first to last.", body = Record, example = json!(example_of_interventions())),
        error_responses::OfLookup,
    ),
)]
async fn record(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Record>, Problem> {
    let id = transaction_id(id)?;
    let data = gateway.interventions(id).await?;
    let scope = caller.scope();
    if (data.is_empty() || scope != Scope::All) && gateway.transaction(&scope, id).await?.is_none()
    {
        return Err(Problem::no_such_transaction());
    }
    Ok(Json(Record { data }))
}

/// A cancelled transaction.
fn example_of_cancelled() -> Value {
    json!(example::transaction().map(|transaction| Transaction {
        status: domain::State::Cancelled,
        completed_at: Some(example::at(900)),
        next_attempt_at: None,
        ..transaction
    }))
}

/// A transaction that an operator resolved as completed.
fn example_of_resolved() -> Value {
    json!(
        example::transaction().map(|transaction| Transaction {
            attempts: 20,
            ..example::completed_from(transaction)
        })
    )
}

/// The record of one cancellation.
fn example_of_interventions() -> Value {
    let intervened = Intervened {
        at: example::at(900),
        principal: "anonymous".to_owned(),
        action: "cancel".to_owned(),
        from_status: Some("pending".to_owned()),
        to_status: Some("cancelled".to_owned()),
        reason: Some("submitted twice by mistake".to_owned()),
    };
    json!({ "data": [intervened] })
}
