//! The error of a query.

use leptos::{prelude::FromServerFnError, server_fn::error::ServerFnErrorErr};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::server_functions::json_codec::Json;

/// Why something could not be loaded, as a clause without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{0}")]
pub struct LoadError(pub String);

impl FromServerFnError for LoadError {
    type Encoder = Json;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        Self(match error {
            ServerFnErrorErr::Request(_) => "Onceward cannot be reached".to_owned(),
            other => other.to_string(),
        })
    }
}

#[cfg(feature = "ssr")]
impl From<gateway::EngineError> for LoadError {
    fn from(error: gateway::EngineError) -> Self {
        tracing::warn!(%error, source = ?error, "a page could not be loaded");
        Self(error.to_string())
    }
}
