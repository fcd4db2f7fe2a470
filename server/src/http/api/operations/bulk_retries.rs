//! `/api/bulk-retries`: retrying all transactions that match a filter.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{Caller, Currency};
use gateway::{BulkRetry, Filter, Gateway};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{AdditionalProperties, SchemaType, Type},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::{Uuid, uuid};

use crate::http::{
    api::transactions::{example, filter},
    problem::{Problem, error_responses},
    request::{body::JsonBody, fields::Fields},
    state::WebState,
};

/// The routes of bulk retries.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(request)).routes(routes!(show))
}

/// Which transactions to retry, and why.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct BulkRetryRequest {
    #[schema(schema_with = filter)]
    filter: Filter,
    #[schema(schema_with = domain::openapi::optional_reason)]
    reason: Option<String>,
}

/// The list's filter, with only two states and without unknown fields.
fn filter() -> RefOr<Schema> {
    let mut schema = Filter::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        let states = [Some("failed"), Some("in_doubt"), None];
        let status = ObjectBuilder::new()
            .schema_type(SchemaType::Array(vec![Type::String, Type::Null]))
            .enum_values(Some(states));
        object.properties.insert("status".to_owned(), status.into());
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }
    schema
}

/// Retry all transactions that match a filter
///
/// Those that are failed or in doubt, and were submitted before this request. An empty filter matches all. A worker
/// carries it out; `Location` is where to follow its progress.
#[utoipa::path(
    post,
    path = "/api/bulk-retries",
    operation_id = "requestBulkRetry",
    tag = "Bulk retries",
    request_body(
        content = BulkRetryRequest,
        example = json!({
            "filter": {"status": "failed", "currency": "USD"},
            "reason": "the posting service refused dollars by mistake",
        }),
    ),
    responses(
        (
            status = 202,
            description = "The bulk retry is queued.",
            body = BulkRetry,
            headers(("Location" = String, description = "The path of the bulk retry.")),
            links(("show" = (operation_id = "showBulkRetry", parameters(("id" = "$response.body#/bulkRetryId"))))),
            example = json!(example_of_running()),
        ),
        error_responses::OfReason,
    ),
)]
async fn request(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::of_body(body);
    fields.refuse_misspelt(&["filter", "reason"]);
    // An empty filter matches all; it is required so that no client matches all by leaving it out.
    fields.require("/filter");
    fields.refuse_unknown("/filter", &filter::FIELDS);
    let filter = filter::read(&mut fields, "/filter", |text| match text.parse() {
        Ok(state @ (domain::State::Failed | domain::State::InDoubt)) => Ok(state),
        _ => Err("must be failed or in_doubt: other transactions cannot be retried in bulk"),
    });
    let reason = fields.reason();
    let (filter, reason) = fields.finish(Some((filter, reason)))?;
    let requested = gateway.retry_all(&caller.actor, filter, reason.as_deref()).await;
    let bulk_retry = requested.map_err(Problem::of_change)?;
    let location = format!("/api/bulk-retries/{}", bulk_retry.bulk_retry_id);
    let accepted = (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(bulk_retry));
    Ok(accepted.into_response())
}

/// Show a bulk retry
///
/// With its filter, and how many transactions it has examined and retried so far.
#[utoipa::path(
    get,
    path = "/api/bulk-retries/{id}",
    operation_id = "showBulkRetry",
    tag = "Bulk retries",
    params(("id" = Uuid, Path, description = "The bulk retry's id.")),
    responses(
        (status = 200, description = "The bulk retry and its progress.", body = BulkRetry, example = json!(example_of_finished())),
        error_responses::OfLookup,
    ),
)]
async fn show(
    State(gateway): State<Gateway>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<BulkRetry>, Problem> {
    // No bulk retry has an id that is not a UUID.
    let Ok(Path(id)) = id else { return Err(Problem::no_such_bulk_retry()) };
    gateway.bulk_retry(id).await?.map(Json).ok_or_else(Problem::no_such_bulk_retry)
}

/// A bulk retry right after its request.
fn example_of_running() -> Value {
    json!(example())
}

/// A finished bulk retry.
fn example_of_finished() -> Value {
    json!(BulkRetry {
        status: "finished",
        examined: 120,
        retried: 118,
        finished_at: Some(example::at(9_000)),
        ..example()
    })
}

fn example() -> BulkRetry {
    BulkRetry {
        bulk_retry_id: uuid!("0199e2a4-5f7c-7cc3-9d3c-2f1a55b0a6f1"),
        status: "running",
        filter: Filter {
            status: Some(domain::State::Failed),
            currency: Currency::parse("USD").ok(),
            ..Filter::default()
        },
        examined: 0,
        retried: 0,
        requested_at: example::at(0),
        finished_at: None,
    }
}
