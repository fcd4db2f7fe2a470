//! `/api/transactions`.

use std::{collections::HashMap, str::FromStr};

use axum::{
    Json, Router,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use domain::{Attempt, Currency, FieldError, Page, Principal, Submission, Transaction};
use gateway::{Cursor, Filter, Gateway, MAX_PAGE};
use serde::Serialize;
use uuid::Uuid;

use super::{Web, body::JsonBody, problem::Problem};

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

async fn submit(State(gateway): State<Gateway>, body: JsonBody) -> Result<Response, Problem> {
    let submission = Submission::from_json(&body.0).map_err(Problem::invalid)?;
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
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Result<Json<Page>, Problem> {
    let Query(query) = query.map_err(|_| Problem::malformed("the query cannot be read"))?;
    let mut parameters = Parameters { query, errors: Vec::new() };
    let filter = Filter {
        status: parameters.read("status", domain::State::from_str),
        currency: parameters.read("currency", Currency::parse),
        reference: parameters.read("reference", |text| match text.contains('\0') {
            true => Err("must not contain the character U+0000"),
            false => Ok(text.to_owned()),
        }),
        from: parameters.read("from", instant),
        to: parameters.read("to", instant),
        min_attempts: parameters.read("minAttempts", |text| {
            text.parse().map_err(|_| "must be a whole number, zero or more")
        }),
    };
    let cursor = parameters.read("cursor", Cursor::from_str);
    let limit = parameters.read("limit", |text| match text.parse() {
        Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        _ => Err(format!("must be a whole number from 1 to {MAX_PAGE}")),
    });
    if !parameters.errors.is_empty() {
        return Err(Problem::invalid(parameters.errors));
    }
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    Ok(Json(gateway.transactions(&filter, cursor.as_ref(), limit).await?))
}

/// A text that is no UUID names no transaction.
fn known(id: Result<Path<Uuid>, PathRejection>) -> Result<Uuid, Problem> {
    id.map(|Path(id)| id).map_err(|_| Problem::no_such_transaction())
}

/// Reads query parameters one by one and gathers what is wrong with them.
struct Parameters {
    query: HashMap<String, String>,
    errors: Vec<FieldError>,
}

impl Parameters {
    /// An empty parameter counts as absent: that is what an empty form field sends.
    fn read<T, E: ToString>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.query.get(name).filter(|text| !text.is_empty())?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.push(FieldError::new(format!("/{name}"), error.to_string()));
                None
            }
        }
    }
}

fn instant(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    at.map_err(|_| "must be a date and time of RFC 3339, such as 2026-01-31T12:00:00Z")
}
