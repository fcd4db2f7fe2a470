//! Submitting a transaction from the page.

use domain::FieldError;
use leptos::{prelude::*, server, server_fn::error::ServerFnErrorErr};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::server_functions::json_codec::{Json, JsonAnswer};

/// The values of the form, field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FormValues {
    /// The id of the transaction. The page generates one per transaction, so that a form that is
    /// sent several times is stored once.
    pub id: String,
    /// A decimal number.
    pub amount: String,
    /// A currency code.
    pub currency: String,
    /// Free text.
    pub description: String,
    /// The client's own id.
    pub reference: String,
    /// A JSON object.
    pub metadata: String,
}

/// Why a form was not accepted. It never travels in an address, which ends in histories and in logs
/// of proxies: where WASM is not running, the form's page itself is the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionError {
    /// The errors, field by field; an empty pointer stands for the form as a whole.
    pub errors: Vec<FieldError>,
    /// The values that were sent. Its `id` is the one to send next time.
    pub typed: FormValues,
}

impl SubmissionError {
    /// The error of one field, or of a value in it; of the form as a whole if the pointer is empty.
    pub fn at(&self, pointer: &str) -> Option<&str> {
        let error = self.errors.iter().find(|error| {
            let below = error.pointer.strip_prefix(pointer);
            below.is_some_and(|below| {
                below.is_empty() || !pointer.is_empty() && below.starts_with('/')
            })
        })?;
        Some(&error.message)
    }

    /// Parses an answer of the server. Anything else counts as no answer.
    pub fn from_answer(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|_| {
            let message =
                "Onceward cannot be reached. Submit again; the transaction is stored at most once.";
            Self::of_form(message.to_owned())
        })
    }

    fn of_form(message: String) -> Self {
        Self { errors: vec![FieldError::new("", message)], typed: FormValues::default() }
    }
}

impl FromServerFnError for SubmissionError {
    type Encoder = Json;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self::of_form(error.to_string())
    }
}

/// Stores the form as a transaction and answers with its id. This is for the page's WASM; while that
/// is not running, the browser posts the form to its page, which calls [`submit_form`].
#[server(output = JsonAnswer)]
pub async fn submit_transaction(
    /// See [`FormValues::id`].
    id: String,
    /// A decimal number.
    amount: String,
    /// A currency code.
    currency: String,
    /// Free text.
    description: String,
    /// The client's own id.
    reference: String,
    /// A JSON object.
    metadata: String,
) -> Result<Uuid, SubmissionError> {
    use crate::server_functions::{
        permitted::permitted,
        plain_form_post::{is_plain, set_status},
    };

    let typed = FormValues { id, amount, currency, description, reference, metadata };
    let stored = match permitted(domain::Permission::Submit) {
        Ok((gateway, caller)) => submit_form(&gateway, &caller, typed).await,
        Err(error) => Err(SubmissionError {
            errors: vec![FieldError::new("", format!("Not submitted: {error}."))],
            typed,
        }),
    };
    stored.map_err(|error| {
        // A form that was not accepted is not a failure of the server.
        set_status(axum::http::StatusCode::UNPROCESSABLE_ENTITY);
        // Leptos would put the error of a plain form post into an address.
        let typed = if is_plain() { FormValues::default() } else { error.typed };
        SubmissionError { typed, ..error }
    })
}

/// Stores the form as a transaction of the caller, and returns its id.
///
/// # Errors
/// If the form is not accepted, or the database did not confirm it.
#[cfg(feature = "ssr")]
pub async fn submit_form(
    gateway: &gateway::Gateway,
    caller: &domain::Caller,
    typed: FormValues,
) -> Result<Uuid, SubmissionError> {
    let submission = match parse(&typed) {
        Ok(submission) => submission,
        Err(errors) => return Err(SubmissionError { errors, typed }),
    };
    let submitted = gateway.submit(caller.principal(), submission).await;
    Ok(submitted.map_err(|error| explain(&error, typed))?.transaction.transaction_id)
}

/// Parses the form as the JSON body of the REST API, by the same rules.
#[cfg(feature = "ssr")]
fn parse(typed: &FormValues) -> Result<domain::Submission, Vec<FieldError>> {
    use serde_json::{Map, Value};

    let currency = typed.currency.to_uppercase();
    let fields = [
        ("id", &typed.id),
        ("amount", &typed.amount),
        ("currency", &currency),
        ("description", &typed.description),
        ("reference", &typed.reference),
    ];
    let written = fields.into_iter().map(|(name, text)| (name, text.trim()));
    let mut body: Map<_, _> = written
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| (name.to_owned(), Value::from(text)))
        .collect();
    let mut malformed = None;
    if !typed.metadata.trim().is_empty() {
        match domain::json::read(typed.metadata.as_bytes()) {
            Ok(metadata) => drop(body.insert("metadata".to_owned(), metadata)),
            Err(error) => malformed = Some(FieldError::new("/metadata", error.to_string())),
        }
    }
    let read = domain::Submission::from_json(&Value::Object(body));
    match malformed {
        None => read,
        Some(malformed) => {
            let mut errors = read.err().unwrap_or_default();
            errors.push(malformed);
            Err(errors)
        }
    }
}

/// Explains an error of the engine to the user of the form.
#[cfg(feature = "ssr")]
fn explain(error: &gateway::SubmitError, mut typed: FormValues) -> SubmissionError {
    use gateway::SubmitError;

    let error = match error {
        SubmitError::Conflict { pointer: "/id" } => {
            typed.id = Uuid::now_v7().to_string();
            let message = "This form was already sent with other content, which is stored. \
                Submit again to store this as another transaction.";
            FieldError::new("", message)
        }
        SubmitError::Conflict { pointer } => {
            FieldError::new(*pointer, "is already used by another transaction")
        }
        // Cannot happen: the form sends no key.
        SubmitError::KeyReused => FieldError::new("", error.to_string()),
        SubmitError::Overloaded => {
            FieldError::new("", "Too many submissions are queued. Submit again shortly.")
        }
        SubmitError::Unconfirmed { .. } | SubmitError::Query(_) => {
            tracing::warn!(%error, cause = ?error, "the database did not confirm that a form is stored");
            let message = "The database did not confirm. Submit again; the transaction is stored at most once.";
            FieldError::new("", message)
        }
    };
    SubmissionError { errors: vec![error], typed }
}

#[cfg(test)]
#[cfg(feature = "ssr")]
mod tests {
    use super::*;

    fn typed(amount: &str, currency: &str, metadata: &str) -> FormValues {
        let text = str::to_owned;
        let typed =
            FormValues { amount: text(amount), currency: text(currency), ..FormValues::default() };
        FormValues { metadata: text(metadata), ..typed }
    }

    fn pointers(typed: &FormValues) -> Vec<String> {
        parse(typed).unwrap_err().into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn an_empty_field_is_omitted() {
        let submission = parse(&typed(" 100.50 ", "usd", " ")).unwrap();
        assert_eq!(submission.amount.to_string(), "100.50");
        assert_eq!(submission.currency.code(), "USD");
        assert_eq!(submission.id, None);
        assert_eq!(submission.reference, None);
        assert_eq!(submission.metadata, None);
        assert_eq!(pointers(&FormValues::default()), ["/amount", "/currency"]);
    }

    #[test]
    fn every_bad_field_is_reported_including_malformed_metadata() {
        assert_eq!(pointers(&typed("-1", "XXZ", "{")), ["/amount", "/currency", "/metadata"]);
        assert_eq!(pointers(&typed("1", "USD", "[1]")), ["/metadata"]);
        assert!(parse(&typed("1", "USD", r#"{"order_id": "12345"}"#)).is_ok());
    }

    #[test]
    fn an_error_within_the_metadata_is_shown_at_its_field() {
        let typed = typed("1", "USD", r#"{"notes": ["\u0000"]}"#);
        let answer = SubmissionError { errors: parse(&typed).unwrap_err(), typed };
        assert_eq!(answer.errors[0].pointer, "/metadata/notes/0");
        assert_eq!(answer.at("/metadata"), Some("must not contain the character U+0000"));
        assert_eq!((answer.at(""), answer.at("/meta")), (None, None));
    }

    #[test]
    fn a_form_already_sent_with_other_content_gets_a_new_id() {
        let before = FormValues { id: Uuid::now_v7().to_string(), ..typed("1", "USD", "") };
        let conflict = gateway::SubmitError::Conflict { pointer: "/id" };
        let answer = explain(&conflict, before.clone());
        assert_ne!(answer.typed.id, before.id);
        assert_eq!(answer.typed.amount, before.amount);
        let answer = explain(&gateway::SubmitError::Overloaded, before.clone());
        assert_eq!(answer.typed, before);
        assert!(answer.at("").is_some());
    }
}
