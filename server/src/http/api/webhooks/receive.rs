//! `POST /v1/webhooks/transactions`: transactions that another system announces in its own format. A stored one is
//! answered with 202, whatever its final state; repeating a webhook is harmless.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use domain::{Amount, Caller, FieldError, Submission, openapi::AcceptedCurrency};
use gateway::{Gateway, SubmitError};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{ToSchema, openapi::Object};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    sender_view::{self, SenderStatus},
    signature::{self, SignatureError},
};
use crate::http::{
    WebhookSignatures,
    api::transactions::example,
    problem::{Problem, code::Code, error_responses},
    request::body::RawBody,
    state::WebState,
};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The sender's field names, and ours. `id` is not among them: Onceward generates it. Other fields, such as the time of
/// sending, may differ between two deliveries and do not describe the transaction.
const FIELDS: [(&str, &str); 5] = [
    ("transaction_id", "reference"),
    ("source_account", "sourceAccount"),
    ("destination_account", "destinationAccount"),
    ("amount", "amount"),
    ("currency", "currency"),
];
/// The required fields besides amount and currency, which every submission must have.
const REQUIRED: [&str; 3] = ["transaction_id", "source_account", "destination_account"];

/// The route of inbound webhooks.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(receive))
}

/// A transaction as another system announces it.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "for the API's document: all wrong fields are reported together, so each is read by hand"
)]
struct Webhook {
    #[schema(schema_with = transaction_id)]
    transaction_id: String,
    #[schema(schema_with = source_account)]
    source_account: String,
    #[schema(schema_with = destination_account)]
    destination_account: String,
    #[schema(schema_with = domain::submission::schema::amount)]
    amount: Amount,
    /// The currency of `amount`.
    currency: AcceptedCurrency,
}

fn transaction_id() -> Object {
    domain::submission::schema::id_of_client(
        "The sender's own id of the transaction; it becomes the reference.",
    )
    .build()
}

fn source_account() -> Object {
    domain::submission::schema::name("Where the money comes from.")
}

fn destination_account() -> Object {
    domain::submission::schema::name("Where the money goes.")
}

/// A stored webhook.
#[derive(Serialize, ToSchema)]
struct Received<'a> {
    /// The sender's own id, without white space around it.
    transaction_id: &'a str,
    /// The status of the transaction.
    status: SenderStatus,
}

/// Announce a transaction
///
/// Answered with 202 once the transaction is stored, whatever its final state. Repeating a webhook is harmless. If
/// `WEBHOOK_SECRETS` is set, it must be signed according to Standard Webhooks 1.0.0. The three headers may have Svix's
/// names instead: `svix-id`, `svix-timestamp` and `svix-signature`.
#[utoipa::path(
    post,
    path = "/v1/webhooks/transactions",
    operation_id = "announceTransaction",
    tag = "Webhooks",
    params(
        ("webhook-id" = Option<String>, Header, description = "The webhook's id, which is signed.", example = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"),
        ("webhook-timestamp" = Option<String>, Header, description = "The time of signing, in seconds since 1970.", example = "1769860800"),
        ("webhook-signature" = Option<String>, Header, description = "`v1,` and the HMAC-SHA256 of `id.timestamp.body` in Base64; several are separated by spaces.", example = "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
    ),
    request_body(content = Webhook, example = json!(example_of_webhook())),
    responses(
        (
            status = 202,
            description = "The transaction is stored, now or by an earlier webhook.",
            body = Received<'_>,
            headers(
                ("Location" = String, description = "The address of the sender's view of the transaction."),
                ("Idempotent-Replayed" = String, description = "`true` if it was stored by an earlier webhook."),
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
    Extension(caller): Extension<Caller>,
    body: RawBody,
) -> Result<Response, Problem> {
    // Before the body is read: a sender without a valid signature learns nothing about it.
    signature::check(&signatures, &body.headers, &body.bytes, Utc::now())?;
    let submission = read(&body.json()?).map_err(Problem::invalid)?;
    let submitted = gateway.submit(caller.principal(), submission).await.map_err(problem)?;
    let transaction_id = submitted.transaction.reference.as_deref().unwrap_or_default();
    let received = Received { transaction_id, status: submitted.transaction.status.into() };
    let location = sender_view::address_of(transaction_id);
    let mut response =
        (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(received)).into_response();
    if submitted.replayed {
        response.headers_mut().insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Reads a webhook's body by the rules of a submission. Other fields are ignored: senders add fields.
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
            errors.extend(broken.into_iter().map(with_the_senders_name));
            Err(errors)
        }
    }
}

fn with_the_senders_name(error: FieldError) -> FieldError {
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
            "belongs to another transaction with different content",
            "another transaction with different content has this transaction_id",
        ),
        // The engine's message names an id that the sender does not know.
        SubmitError::Unconfirmed { .. } => {
            let why = match error.fault() {
                Some(fault) if fault.is_refusal() => fault.reason(),
                _ => "the database did not confirm in time",
            };
            Problem::unavailable(format!("{why}; it is safe to repeat the webhook"))
                .caused_by(&error)
                .of_fault(error.fault())
        }
        error => error.into(),
    }
}

/// A webhook with the required fields.
fn example_of_webhook() -> Value {
    json!({
        "transaction_id": "txn_abc123",
        "source_account": "acc_1",
        "destination_account": "acc_2",
        "amount": example::amount(),
        "currency": "USD",
    })
}

/// The response to a stored webhook.
fn example_of_received() -> Value {
    json!(Received { transaction_id: "txn_abc123", status: SenderStatus::Processing })
}

impl From<SignatureError> for Problem {
    fn from(error: SignatureError) -> Self {
        let code = match error {
            SignatureError::Missing(_) => Code::SignatureMissing,
            SignatureError::Timestamp(_) | SignatureError::Wrong(_) => Code::SignatureInvalid,
            SignatureError::Past { .. } | SignatureError::Future { .. } => Code::SignatureOutOfTime,
        };
        Self::unsigned(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use domain::Reference;

    use super::*;
    use crate::http::problem::error_responses::EXAMPLE_REQUEST_ID;

    #[test]
    fn the_documented_examples_are_the_problems_that_clients_get() {
        for error in [
            SignatureError::Missing("webhook-signature"),
            SignatureError::Wrong("webhook-signature"),
            SignatureError::Past { header: "webhook-timestamp", tolerance_seconds: 300 },
        ] {
            let problem = Problem::from(error);
            let documented = error_responses::example(problem.code());
            let document = problem.document(Some(EXAMPLE_REQUEST_ID.to_owned()));
            assert_eq!(serde_json::to_value(document).unwrap(), documented);
        }
    }

    #[test]
    fn every_invalid_field_has_the_senders_name() {
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
    fn other_fields_are_ignored() {
        let body = json!({
            "transaction_id": "t", "source_account": "a", "destination_account": "b",
            "amount": 1500, "currency": "USD", "timestamp": 1795290000, "metadata": ["x"],
            "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7", "reference": "x", "sourceAccount": "x",
            "type": "transaction.created",
        });
        let submission = read(&body).unwrap();
        assert_eq!(submission.id, None);
        assert_eq!(submission.reference, Some(Reference::of("t")));
        assert_eq!(submission.source_account.as_deref(), Some("a"));
        assert_eq!((submission.timestamp, submission.metadata), (None, None));
    }
}
