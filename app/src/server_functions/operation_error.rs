//! The error of an operator's action.

use leptos::{prelude::FromServerFnError, server_fn::error::ServerFnErrorErr};
use serde::{Deserialize, Serialize};

use crate::server_functions::{
    json_codec::{Answer, Json},
    load_error::LoadError,
    plain_form_post::error_in_address,
};

/// Why an operator's action was not done, as a sentence for the operator. Where WASM is not
/// running, it travels in the page's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationError(pub String);

impl FromServerFnError for OperationError {
    type Encoder = Json;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self(error.to_string())
    }
}

#[cfg(feature = "ssr")]
impl From<gateway::EngineError> for OperationError {
    fn from(error: gateway::EngineError) -> Self {
        tracing::warn!(%error, cause = ?error, "an operator's action was not confirmed");
        Self(format!("Not confirmed: {error}. Check the result before you try again."))
    }
}

/// The error of the plain form post that led to this page. A [`LoadError`] parses the same JSON,
/// and the page already has the code for it.
pub fn earlier_error(path: &str) -> Option<String> {
    error_in_address::<LoadError>(path).map(|error| error.0)
}

/// The error in an answer, if it is one.
pub fn error_message(answer: &Answer) -> Option<String> {
    answer.as_ref().err().map(|why| message(why))
}

/// The sentence in a server function's answer.
pub fn message(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
}
