//! The fields of a submission, and the rules they must follow.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

#[cfg(feature = "openapi")]
use super::schema;
use super::{
    IdempotencyKey,
    limits::{MAX_DESCRIPTION_CHARS, MAX_NAME_CHARS},
    metadata::{metadata, nul_in_object},
    near_names::field_meant_by,
    reference::Reference,
};
use crate::{
    Amount, Currency, TraceParent, TraceState,
    date_time::read_date_time,
    json::pointer_to,
    nul::{ContainsNul, without_nul},
};

/// A transaction that a client submits to be posted.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(rename_all = "camelCase"))]
pub struct Submission {
    /// The transaction's id, if the client chose one.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::id))]
    pub id: Option<Uuid>,
    /// The amount to post, in units of `currency`.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::amount))]
    pub amount: Amount,
    /// The currency of `amount`.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::AcceptedCurrency))]
    pub currency: Currency,
    /// The client's own id for the transaction.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::reference))]
    pub reference: Option<Reference>,
    /// The client's own key, which makes it safe to submit the transaction again.
    pub idempotency_key: Option<IdempotencyKey>,
    /// A description for people to read.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::description))]
    pub description: Option<String>,
    /// When it happened according to the client, to the microsecond.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::timestamp))]
    pub timestamp: Option<DateTime<Utc>>,
    /// The account that the money comes from.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::source_account))]
    pub source_account: Option<String>,
    /// The account that the money goes to.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::destination_account))]
    pub destination_account: Option<String>,
    /// Any data that the client wants to keep with the transaction.
    #[cfg_attr(feature = "openapi", schema(schema_with = schema::metadata))]
    pub metadata: Option<Map<String, Value>>,
    /// The trace of the request that submitted it, if any. Not part of the JSON body.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub trace_parent: Option<TraceParent>,
    /// What the vendors of that trace keep in it. Not part of the JSON body.
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub trace_state: Option<TraceState>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field, such as `/amount`; empty for the body as a whole.
    pub pointer: String,
    /// What is wrong, worded to follow the field's name, such as `must not be empty`.
    pub message: String,
}

impl FieldError {
    /// An error of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

impl Submission {
    /// Reads and checks the JSON body of a submission. A member that is null counts as absent. One that
    /// is not a field is an error if its name resembles a field's, and is ignored otherwise.
    ///
    /// # Errors
    /// An error for every field that breaks a rule, not only the first.
    pub fn from_json(body: &Value) -> Result<Self, Vec<FieldError>> {
        let Value::Object(body) = body else {
            return Err(vec![FieldError::new("", "must be a JSON object")]);
        };
        let mut fields = Fields { body, errors: Vec::new() };
        let id = fields.read("id", |value| {
            text(value)?.parse::<Uuid>().map_err(|_| "must be a UUID".to_owned())
        });
        let amount = fields.required("amount", |value| {
            let text = match value {
                Value::Number(number) => number.to_string(),
                other => text(other).map_err(|_| "must be a number".to_owned())?.to_owned(),
            };
            Amount::parse(&text).map_err(|error| error.to_string())
        });
        let currency = fields.required("currency", |value| {
            Currency::parse(text(value)?).map_err(|error| error.to_string())
        });
        if let (Some(amount), Some(currency)) = (amount, currency)
            && let Some(decimals) = currency.decimals()
            && amount.decimals() > decimals
        {
            let message = format!("must have at most {decimals} decimals in {currency}");
            fields.errors.push(FieldError::new("/amount", message));
        }
        let reference = fields.read("reference", reference);
        let idempotency_key = fields.read("idempotencyKey", |value| {
            text(value)?.parse::<IdempotencyKey>().map_err(|error| error.to_string())
        });
        let description =
            fields.read("description", |value| bounded(value, 0, MAX_DESCRIPTION_CHARS));
        let timestamp = fields.read("timestamp", timestamp);
        let source_account =
            fields.read("sourceAccount", |value| bounded(value, 1, MAX_NAME_CHARS));
        let destination_account =
            fields.read("destinationAccount", |value| bounded(value, 1, MAX_NAME_CHARS));
        let metadata = fields.read("metadata", metadata);
        if let Some(pointer) = metadata.as_ref().and_then(nul_in_object) {
            let pointer = format!("/metadata{pointer}");
            fields.errors.push(FieldError::new(pointer, ContainsNul.to_string()));
        }
        fields.refuse_near_names();
        match (amount, currency) {
            (Some(amount), Some(currency)) if fields.errors.is_empty() => Ok(Self {
                id,
                amount,
                currency,
                reference,
                idempotency_key,
                description,
                timestamp,
                source_account,
                destination_account,
                metadata,
                trace_parent: None,
                trace_state: None,
            }),
            _ => Err(fields.errors),
        }
    }
}

/// Reads the members of an object one by one and collects their errors.
struct Fields<'a> {
    body: &'a Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields<'_> {
    fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.body.get(name).filter(|value| !value.is_null())?;
        match parse(value) {
            Ok(parsed) => Some(parsed),
            Err(message) => {
                self.errors.push(FieldError::new(format!("/{name}"), message));
                None
            }
        }
    }

    /// Reports members that are not fields, but are probably meant as one.
    fn refuse_near_names(&mut self) {
        for (name, value) in self.body {
            if let Some(field) = field_meant_by(name)
                && !value.is_null()
            {
                let message = format!("is not a field; did you mean {field}?");
                self.errors.push(FieldError::new(pointer_to(name), message));
            }
        }
    }

    fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        if self.body.get(name).is_none_or(Value::is_null) {
            self.errors.push(FieldError::new(format!("/{name}"), "is required"));
            return None;
        }
        self.read(name, parse)
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "must be a string".to_owned())
}

fn bounded(value: &Value, min_chars: usize, max_chars: usize) -> Result<String, String> {
    let text = text(value)?;
    check_length(text, min_chars, max_chars)?;
    without_nul(text).map(str::to_owned).map_err(|error| error.to_string())
}

fn check_length(text: &str, min_chars: usize, max_chars: usize) -> Result<(), String> {
    let chars = text.chars().count();
    if chars < min_chars {
        return Err("must not be empty".to_owned());
    }
    if chars > max_chars {
        return Err(format!("must have at most {max_chars} characters"));
    }
    Ok(())
}

fn reference(value: &Value) -> Result<Reference, String> {
    let reference = Reference::of(&bounded(value, 1, MAX_NAME_CHARS)?);
    // Nothing may be left without the white space, and a few characters are longer when they are composed.
    check_length(reference.as_str(), 1, MAX_NAME_CHARS)?;
    Ok(reference)
}

fn timestamp(value: &Value) -> Result<DateTime<Utc>, String> {
    Ok(read_date_time(text(value)?)?.trunc_subsecs(6))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(body: Value) -> Vec<String> {
        let errors = Submission::from_json(&body).unwrap_err();
        errors.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn a_minimal_submission_is_an_amount_and_a_currency() {
        let submission = Submission::from_json(&json!({"amount": 100, "currency": "USD"})).unwrap();
        assert_eq!(submission.amount.to_string(), "100");
        assert_eq!(submission.metadata, None);
    }

    #[test]
    fn every_invalid_field_is_reported_at_once() {
        let body = json!({
            "id": "not-a-uuid", "amount": "abc", "currency": "XXZ", "reference": "",
            "idempotencyKey": "a b", "description": 7, "timestamp": "yesterday", "sourceAccount": "x".repeat(129),
            "destinationAccount": "a\u{0}b", "metadata": [],
        });
        assert_eq!(
            pointers(body),
            [
                "/id",
                "/amount",
                "/currency",
                "/reference",
                "/idempotencyKey",
                "/description",
                "/timestamp",
                "/sourceAccount",
                "/destinationAccount",
                "/metadata",
            ]
        );
        assert_eq!(pointers(json!({})), ["/amount", "/currency"]);
        assert_eq!(pointers(json!([])), [""]);
    }

    #[test]
    fn more_decimals_than_the_currency_has_are_refused() {
        assert_eq!(pointers(json!({"amount": "100.005", "currency": "USD"})), ["/amount"]);
        assert_eq!(pointers(json!({"amount": "100.5", "currency": "JPY"})), ["/amount"]);
        assert!(Submission::from_json(&json!({"amount": "100.005", "currency": "BHD"})).is_ok());
    }

    #[test]
    fn a_misspelt_field_is_refused_by_its_name_and_an_unrelated_one_is_ignored() {
        let body = json!({
            "amount": 1, "currency": "USD", "idempotency_key": "a", "transactionId": "b", "a/b": 1,
            "Source/Account": "c", "user_id": "u", "metadata": {"idempotency_key": 1}, "Memo": null,
        });
        let errors = Submission::from_json(&body).unwrap_err();
        let mut errors: Vec<_> =
            errors.into_iter().map(|error| (error.pointer, error.message)).collect();
        errors.sort();
        assert_eq!(
            errors,
            [
                ("/Source~1Account", "is not a field; did you mean sourceAccount?"),
                ("/idempotency_key", "is not a field; did you mean idempotencyKey?"),
                ("/transactionId", "is not a field; did you mean id?"),
            ]
            .map(|(pointer, message)| (pointer.to_owned(), message.to_owned()))
        );
    }

    #[test]
    fn a_timestamp_without_an_offset_is_utc() {
        let at = |text: &str| {
            let body = json!({"amount": 1, "currency": "USD", "timestamp": text});
            Submission::from_json(&body).unwrap().timestamp.unwrap().to_rfc3339()
        };
        assert_eq!(at("2026-01-31T12:00:00"), "2026-01-31T12:00:00+00:00");
        assert_eq!(at("2026-01-31T12:00:00.123456789+02:00"), "2026-01-31T10:00:00.123456+00:00");
    }
}
