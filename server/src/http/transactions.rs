//! `/api/transactions`.

use std::str::FromStr;

use axum::{
    Json, Router,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::{Attempt, Page, Principal, Submission, Transaction};
use gateway::{Cursor, Gateway, MAX_PAGE};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    Web,
    body::JsonBody,
    fields::Fields,
    filter,
    idempotency_key::{self, KeyRequired},
    problem::Problem,
    trace_parent,
};

/// Transactions in a page where the client does not say.
const DEFAULT_LIMIT: u32 = 50;
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The routes of transactions.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/api/transactions", get(list).post(submit))
        .route("/api/transactions/{id}", get(show))
        .route("/api/transactions/{id}/attempts", get(attempts))
}

async fn submit(
    State(gateway): State<Gateway>,
    State(key_required): State<KeyRequired>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let mut submission = Submission::from_json(&body.0).map_err(Problem::invalid)?;
    idempotency_key::take_from_header(&mut submission, &headers)?;
    key_required.check(&submission)?;
    submission.trace_parent = trace_parent::of(&headers);
    let id = submission.id;
    let submitted = gateway
        .submit(&Principal::anonymous(), submission)
        .await
        .map_err(|error| Problem::from(error).about(id))?;
    let location = format!("/api/transactions/{}", submitted.transaction.transaction_id);
    let mut response =
        (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(submitted.transaction))
            .into_response();
    if submitted.replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

async fn show(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Transaction>, Problem> {
    let id = known(id)?;
    gateway.transaction(id).await?.map(Json).ok_or_else(Problem::no_such_transaction)
}

#[derive(Serialize)]
struct Attempts {
    data: Vec<Attempt>,
}

async fn attempts(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Attempts>, Problem> {
    let id = known(id)?;
    let data = gateway.attempts(id).await?;
    if data.is_empty() && gateway.transaction(id).await?.is_none() {
        return Err(Problem::no_such_transaction());
    }
    Ok(Json(Attempts { data }))
}

async fn list(
    State(gateway): State<Gateway>,
    query: Result<Query<Map<String, Value>>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let mut fields = Fields::of_query(query);
    let filter = filter::read(&mut fields, "", domain::State::from_str);
    let cursor = fields.text("/cursor", Cursor::from_str);
    let limit = fields.text("/limit", |text| match text.parse() {
        Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        _ => Err(format!("must be a whole number from 1 to {MAX_PAGE}")),
    });
    let (filter, cursor, limit) = fields.end(Some((filter, cursor, limit)))?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    Ok(Json(gateway.transactions(&filter, cursor.as_ref(), limit).await?))
}

/// A text that is no UUID names no transaction.
pub fn known(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| Problem::no_such_transaction())
}
