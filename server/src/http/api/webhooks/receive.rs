//! `POST /v1/webhooks/transactions`: transactions that another system announces, in its own words. What is
//! stored is answered with 202, whatever becomes of it; sending it again is harmless.

use axum::{
    Json,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use domain::{Amount, Currency, FieldError, Principal, Submission};
use gateway::{Gateway, SubmitError};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{ToSchema, openapi::Object};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    sender_view::{self, SenderStatus},
    signature,
};
use crate::http::{
    api::transactions::example,
    problem::{Problem, error_responses},
    request::body::RawBody,
    state::{Web, WebhookSignatures},
};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The sender's names, and ours. There is no `id` among them: the id is ours to make. What else is sent, such as
/// when it was sent, may differ from one delivery to the next, and says nothing of the transaction.
const FIELDS: [(&str, &str); 5] = [
    ("transaction_id", "reference"),
    ("source_account", "sourceAccount"),
    ("destination_account", "destinationAccount"),
    ("amount", "amount"),
    ("currency", "currency"),
];
/// What must be there besides the amount and the currency, which every submission has.
const REQUIRED: [&str; 3] = ["transaction_id", "source_account", "destination_account"];

/// The route of inbound webhooks.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(receive))
}

/// A transaction as another system announces it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "for the document: every field that is wrong is told at once, so each is read by hand"
)]
struct Webhook {
    #[schema(schema_with = transaction_id)]
    transaction_id: String,
    #[schema(schema_with = source_account)]
    source_account: String,
    #[schema(schema_with = destination_account)]
    destination_account: String,
    #[schema(schema_with = domain::openapi::amount)]
    amount: Amount,
    /// The currency of `amount`.
    currency: Currency,
}

fn transaction_id() -> Object {
    domain::openapi::name("The sender's own id for it; it becomes the reference.")
}

fn source_account() -> Object {
    domain::openapi::name("Where the money comes from.")
}

fn destination_account() -> Object {
    domain::openapi::name("Where the money goes.")
}

/// A webhook that is stored.
#[derive(Serialize, ToSchema)]
struct Received<'a> {
    /// The sender's own id.
    transaction_id: &'a str,
    /// Where the transaction stands.
    status: SenderStatus,
}

/// Announce a transaction
///
/// 202 once it is stored, whatever becomes of it; repeating it is harmless. Where `WEBHOOK_SECRETS` is set it
/// must be signed by Standard Webhooks 1.0.0.
#[utoipa::path(
    post,
    path = "/v1/webhooks/transactions",
    operation_id = "announceTransaction",
    tag = "Webhooks",
    params(
        ("webhook-id" = Option<String>, Header, description = "The webhook's id, as it is signed.", example = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"),
        ("webhook-timestamp" = Option<String>, Header, description = "When it was signed: seconds since 1970.", example = "1769860800"),
        ("webhook-signature" = Option<String>, Header, description = "`v1,` and the HMAC-SHA256 of `id.timestamp.body` in Base64; several with spaces between.", example = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
    ),
    request_body(content = Webhook, example = json!(example_of_webhook())),
    responses(
        (
            status = 202,
            description = "It is stored, now or earlier.",
            body = Received<'_>,
            headers(
                ("Location" = String, description = "Where to see what becomes of it."),
                ("Idempotent-Replayed" = String, description = "`true` where it was stored earlier."),
            ),
            links(("show" = (operation_id = "showAnnounced", parameters(("transaction_id" = "$response.body#/transaction_id"))))),
            example = json!(example_of_received()),
        ),
        error_responses::OfWebhook,
    ),
)]
async fn receive(
    State(gateway): State<Gateway>,
    State(signatures): State<WebhookSignatures>,
    body: RawBody,
) -> Result<Response, Problem> {
    // First of all: who is not believed is not told what is wrong with the body.
    signature::check(&signatures, &body.headers, &body.bytes, Utc::now())?;
    let submission = read(&body.json()?).map_err(Problem::invalid)?;
    let submitted = gateway.submit(&Principal::anonymous(), submission).await.map_err(problem)?;
    let transaction_id = submitted.transaction.reference.as_deref().unwrap_or_default();
    let received = Received { transaction_id, status: submitted.transaction.status.into() };
    let location = sender_view::path_of(transaction_id);
    let mut response =
        (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(received)).into_response();
    if submitted.replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Reads a webhook's body by the rules of any submission. What else is in it is passed over: senders add
/// fields.
fn read(body: &Value) -> Result<Submission, Vec<FieldError>> {
    let Value::Object(sent) = body else { return Submission::from_json(body) };
    let missing = REQUIRED.into_iter().filter(|name| sent.get(*name).is_none_or(Value::is_null));
    let mut errors: Vec<_> =
        missing.map(|name| FieldError::new(format!("/{name}"), "is required")).collect();
    let known = FIELDS.iter().filter_map(|(theirs, ours)| {
        let value = sent.get(*theirs)?;
        Some(((*ours).to_owned(), value.clone()))
    });
    match Submission::from_json(&Value::Object(known.collect::<Map<_, _>>())) {
        Ok(submission) if errors.is_empty() => Ok(submission),
        Ok(_) => Err(errors),
        Err(broken) => {
            errors.extend(broken.into_iter().map(in_the_senders_words));
            Err(errors)
        }
    }
}

fn in_the_senders_words(error: FieldError) -> FieldError {
    let names = FIELDS.iter().find(|(_, ours)| error.pointer.strip_prefix('/') == Some(ours));
    match names {
        Some((theirs, _)) => FieldError::new(format!("/{theirs}"), error.message),
        None => error,
    }
}

fn problem(error: SubmitError) -> Problem {
    match error {
        SubmitError::Conflict { .. } => Problem::conflict(
            "/transaction_id",
            "belongs to another transaction with other content",
            "another transaction with other content has this transaction_id",
        ),
        // What the engine says names an id, which the sender does not know.
        SubmitError::Unconfirmed { .. } => Problem::unavailable(
            "the database did not confirm in time; it is safe to send it again",
        )
        .caused_by(&error),
        error => error.into(),
    }
}

/// A webhook with what it must have.
fn example_of_webhook() -> Value {
    json!({
        "transaction_id": "txn_abc123",
        "source_account": "acc_1",
        "destination_account": "acc_2",
        "amount": example::amount(),
        "currency": "USD",
    })
}

/// A webhook that is stored.
fn example_of_received() -> Value {
    json!(Received { transaction_id: "txn_abc123", status: SenderStatus::Processing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broken_field_is_named_as_the_sender_names_it() {
        let body = json!({
            "transaction_id": "", "source_account": 1, "amount": "1.005", "currency": "USD",
        });
        let mut pointers: Vec<_> =
            read(&body).unwrap_err().into_iter().map(|error| error.pointer).collect();
        pointers.sort();
        assert_eq!(
            pointers,
            ["/amount", "/destination_account", "/source_account", "/transaction_id"]
        );
        let none: Vec<_> =
            read(&json!({})).unwrap_err().into_iter().map(|error| error.pointer).collect();
        assert_eq!(
            none,
            ["/transaction_id", "/source_account", "/destination_account", "/amount", "/currency",]
        );
    }

    #[test]
    fn fields_that_are_not_the_senders_are_passed_over() {
        let body = json!({
            "transaction_id": "t", "source_account": "a", "destination_account": "b",
            "amount": 1500, "currency": "USD", "timestamp": 1795290000, "metadata": ["x"],
            "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "reference": "x", "sourceAccount": "x",
            "type": "transaction.created",
        });
        let submission = read(&body).unwrap();
        assert_eq!(submission.id, None);
        assert_eq!(submission.reference.as_deref(), Some("t"));
        assert_eq!(submission.source_account.as_deref(), Some("a"));
        assert_eq!((submission.timestamp, submission.metadata), (None, None));
    }
}
