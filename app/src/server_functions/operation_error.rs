//! Why something that a person asked for was not done.

use leptos::{prelude::FromServerFnError, server_fn::error::ServerFnErrorErr};
use serde::{Deserialize, Serialize};

use crate::server_functions::{
    json_codec::{Answer, Json},
    load_error::LoadError,
    plain_form_post::error_in_address,
};

/// Why something that a person asked for was not done: a sentence for that person. Where WASM is not
/// running it travels in the page's address.
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
        tracing::warn!(%error, cause = ?error, "what a person asked for was not done for certain");
        Self(format!("Not done for certain: {error}. Look, and try again."))
    }
}

/// Why a plain form post failed that led to this page. A [`LoadError`] reads the same JSON, and the
/// page has the code for it.
pub fn earlier_error(path: &str) -> Option<String> {
    error_in_address::<LoadError>(path).map(|error| error.0)
}

/// Why it was not done, where that is the answer.
pub fn error_message(answer: &Answer) -> Option<String> {
    answer.as_ref().err().map(|why| message(why))
}

/// The sentence in a server function's answer.
pub fn message(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
}
