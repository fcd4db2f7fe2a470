//! The body of a POST, and the ledger entry made from it.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// A valid body of a POST.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    pub(crate) id: String,
    pub(crate) amount: Number,
    pub(crate) currency: String,
    pub(crate) description: Option<String>,
    pub(crate) timestamp: Option<String>,
    pub(crate) metadata: Option<Value>,
}

/// Why a body is not a valid submission.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidBody {
    /// It cannot be read: what is wrong, worded to follow its subject.
    #[error("the body {0}")]
    Malformed(String),
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`amount` is neither a number nor a string that contains one")]
    Amount,
}

/// A body before it is known to be complete.
#[derive(Deserialize)]
struct Body {
    id: Option<String>,
    amount: Option<Value>,
    currency: Option<String>,
    description: Option<String>,
    timestamp: Option<String>,
    metadata: Option<Value>,
}

impl Submission {
    /// Reads the body of a POST. Unknown fields are ignored, as in the real service.
    pub(crate) fn from_json(body: &[u8]) -> Result<Self, InvalidBody> {
        let body = domain::json::read(body)
            .map_err(|unreadable| InvalidBody::Malformed(unreadable.to_string()))?;
        let body: Body = serde_json::from_value(body)
            .map_err(|error| InvalidBody::Malformed(format!("is not a transaction: {error}")))?;
        let amount = match body.amount {
            None => return Err(InvalidBody::Missing("amount")),
            Some(Value::Number(amount)) => amount,
            // Parsed as JSON, so the digits stay as they are.
            Some(Value::String(amount)) => amount.parse().map_err(|_| InvalidBody::Amount)?,
            Some(_) => return Err(InvalidBody::Amount),
        };
        Ok(Self {
            id: present("id", body.id)?,
            amount,
            currency: present("currency", body.currency)?,
            description: body.description,
            timestamp: body.timestamp,
            metadata: body.metadata,
        })
    }
}

fn present(field: &'static str, value: Option<String>) -> Result<String, InvalidBody> {
    value.filter(|value| !value.is_empty()).ok_or(InvalidBody::Missing(field))
}

/// A row of the ledger.
///
/// It is kept as JSON, which is both a line of the file and the answer: so the digits stay as they
/// came, nothing is serialised twice, and a million rows fit into memory.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The row's number, which distinguishes two rows of one id.
    pub(crate) row: u64,
    pub(crate) id: Box<str>,
    /// The whole row, without a line break.
    pub(crate) json: Bytes,
    /// When it was written, for the visibility lag; `None` if it was read back from the file, since
    /// a restart takes longer than any lag.
    written: Option<Instant>,
}

/// A row as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(rename = "_id")]
    row: u64,
    id: &'a str,
    amount: &'a Number,
    currency: &'a str,
    description: Option<&'a str>,
    timestamp: Option<&'a str>,
    metadata: Option<&'a Value>,
    created_at: DateTime<Utc>,
}

/// The fields by which a row is found.
#[derive(Deserialize)]
struct Key {
    #[serde(rename = "_id")]
    row: u64,
    id: Box<str>,
}

impl Entry {
    /// The row that is made from a submission now.
    pub(crate) fn new(row: u64, submission: &Submission) -> Result<Self, serde_json::Error> {
        let json = serde_json::to_vec(&Row {
            row,
            id: &submission.id,
            amount: &submission.amount,
            currency: &submission.currency,
            description: submission.description.as_deref(),
            timestamp: submission.timestamp.as_deref(),
            metadata: submission.metadata.as_ref(),
            created_at: Utc::now(),
        })?;
        Ok(Self {
            row,
            id: submission.id.as_str().into(),
            json: json.into(),
            written: Some(Instant::now()),
        })
    }

    /// The row in a line of the file.
    pub(crate) fn from_line(line: &[u8]) -> Result<Self, serde_json::Error> {
        let Key { row, id } = serde_json::from_slice(line)?;
        Ok(Self { row, id, json: Bytes::copy_from_slice(line.trim_ascii_end()), written: None })
    }

    /// Whether it is at least this old.
    pub(crate) fn is_older_than(&self, age_ms: u64) -> bool {
        self.written.is_none_or(|written| written.elapsed() >= Duration::from_millis(age_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Submission, InvalidBody> {
        Submission::from_json(body.as_bytes())
    }

    #[test]
    fn amounts_keep_their_digits_as_a_number_and_as_a_string() {
        for digits in ["0.1", "100.50", "9999999999999.99", "0.30000000000000000001", "7"] {
            for amount in [digits.to_owned(), format!("\"{digits}\"")] {
                let body = format!(r#"{{"id":"a","amount":{amount},"currency":"USD"}}"#);
                assert_eq!(parse(&body).unwrap().amount.to_string(), digits);
            }
        }
    }

    #[test]
    fn an_error_names_the_missing_field() {
        for (body, field) in [
            (r#"{"amount":1,"currency":"USD"}"#, "id"),
            (r#"{"id":"","amount":1,"currency":"USD"}"#, "id"),
            (r#"{"id":"a","currency":"USD"}"#, "amount"),
            (r#"{"id":"a","amount":null,"currency":"USD"}"#, "amount"),
            (r#"{"id":"a","amount":1}"#, "currency"),
        ] {
            assert_eq!(parse(body).unwrap_err(), InvalidBody::Missing(field), "{body}");
        }
    }

    #[test]
    fn an_amount_that_is_not_a_number_is_invalid() {
        for amount in [r#""abc""#, r#""""#, "true", "[1]", r#""1 2""#] {
            let body = format!(r#"{{"id":"a","amount":{amount},"currency":"USD"}}"#);
            assert_eq!(parse(&body).unwrap_err(), InvalidBody::Amount, "{body}");
        }
    }

    #[test]
    fn a_body_that_is_not_an_object_of_the_right_types_is_malformed() {
        for body in ["", "[]", "{", r#"{"id":5,"amount":1,"currency":"USD"}"#] {
            assert!(matches!(parse(body), Err(InvalidBody::Malformed(_))), "{body}");
        }
    }

    #[test]
    fn an_entry_is_read_back_from_its_line_unchanged() {
        let body = r#"{"id":"txn_1","amount":100.50,"currency":"EUR","description":"d","timestamp":"t","metadata":{"n":1.10}}"#;
        let written = Entry::new(3, &parse(body).unwrap()).unwrap();
        let line = [&written.json[..], b"\n"].concat();
        let read = Entry::from_line(&line).unwrap();
        assert_eq!((read.row, &*read.id, &read.json), (3, "txn_1", &written.json));
        let json = String::from_utf8(line).unwrap();
        assert!(json.contains(r#""amount":100.50"#) && json.contains(r#""n":1.10"#), "{json}");
        assert_eq!(json.lines().count(), 1);
    }

    #[test]
    fn a_line_break_in_the_body_does_not_split_the_line() {
        let body =
            "{\"id\":\"a\",\"amount\":1,\"currency\":\"USD\",\n\"metadata\": {\"n\":\n\"1\\n2\"}}";
        let written = Entry::new(1, &parse(body).unwrap()).unwrap();
        assert!(!written.json.contains(&b'\n'));
    }
}
