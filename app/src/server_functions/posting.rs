//! The state of posting as a whole, and pausing it.

use domain::PostingStatus;
use leptos::prelude::*;

use crate::server_functions::{
    json_codec::JsonAnswer, load_error::LoadError, operation_error::OperationError,
};

/// Whether posting is paused, and the state of the circuit breakers.
#[server(output = JsonAnswer)]
pub async fn read_posting_status() -> Result<PostingStatus, LoadError> {
    let (gateway, _) = crate::server_functions::permitted::permitted(domain::Permission::ReadAll)?;
    Ok(gateway.posting().await?)
}

/// Pauses or resumes posting, and returns its new state.
#[server(output = JsonAnswer)]
pub async fn set_pause(
    /// Whether to pause or to resume.
    paused: bool,
    /// The reason; may be empty.
    #[server(default)]
    reason: String,
) -> Result<PostingStatus, OperationError> {
    let reason = crate::server_functions::operator_reason::parse(&reason)?;
    let (gateway, caller) =
        crate::server_functions::permitted::permitted(domain::Permission::Operate)?;
    match paused {
        true => gateway.pause(&caller.actor, reason).await?,
        false => gateway.resume(&caller.actor, reason).await?,
    }
    Ok(gateway.posting().await?)
}
