//! Reading a batch: its lines, and the form in which they are written.

use axum::{
    extract::{FromRequest, Request},
    http::HeaderMap,
};
use domain::{FieldError, json::without_byte_order_mark};
use serde_json::{Value, value::RawValue};

use crate::http::{body_limits::MAX_BATCH_BODY_BYTES, problem::Problem, request::body};

/// The most transactions in one batch.
const MAX_LINES: usize = 1000;
const MEDIA_TYPES: &str = "the body must be a JSON array, with content-type application/json, or JSON \
    line by line, with application/x-ndjson or application/jsonl";

/// The lines of a batch, including those that are not JSON, and their format.
pub struct Batch {
    pub lines: Vec<Result<Value, Problem>>,
    pub format: Format,
}

#[derive(Clone, Copy)]
pub enum Format {
    /// One array.
    Json,
    /// One line for each submission.
    JsonLines,
}

impl Format {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match body::media_type(headers).as_str() {
            "application/x-ndjson" | "application/jsonl" => Ok(Self::JsonLines),
            _ if body::is_json(headers) => Ok(Self::Json),
            _ => Err(Problem::unsupported_media_type(MEDIA_TYPES)),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Batch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let format = Format::of(request.headers())?;
        let body = body::read_at_most(MAX_BATCH_BODY_BYTES, request, state).await?;
        let bytes = without_byte_order_mark(&body);
        let lines: Vec<&[u8]> = match format {
            Format::Json => {
                let Ok(lines) = serde_json::from_slice::<Vec<&RawValue>>(bytes) else {
                    body::parse("the body", bytes)?;
                    return Err(Problem::invalid(vec![FieldError::new("", "must be an array")]));
                };
                lines.into_iter().map(|line| line.get().as_bytes()).collect()
            }
            Format::JsonLines => bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.trim_ascii().is_empty())
                .collect(),
        };
        if lines.len() > MAX_LINES {
            let message = format!("must have at most {MAX_LINES} transactions");
            return Err(Problem::invalid(vec![FieldError::new("", message)]));
        }
        let lines = lines.into_iter().map(|line| body::parse("the line", line)).collect();
        Ok(Self { lines, format })
    }
}
