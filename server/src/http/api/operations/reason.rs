//! The body of an action whose only field is an optional reason.

use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::{
    problem::Problem,
    request::{
        body::{is_json, parse, read},
        fields::Fields,
    },
};

/// Why the operator acts: the body's `reason`. Both the body and the reason are optional.
#[derive(ToSchema)]
pub struct Reason {
    #[schema(schema_with = domain::openapi::optional_reason)]
    pub reason: Option<String>,
}

impl<S: Send + Sync> FromRequest<S> for Reason {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let bytes = read(request, state).await?;
        let body = match (bytes.is_empty(), is_json) {
            (true, _) => Value::Object(Map::new()),
            (false, true) => parse("the body", &bytes)?,
            (false, false) => return Err(Problem::not_json()),
        };
        let mut fields = Fields::of_body(body);
        fields.refuse_misspelt(&["reason"]);
        let reason = fields.reason();
        Ok(fields.finish(Some(Self { reason }))?)
    }
}
