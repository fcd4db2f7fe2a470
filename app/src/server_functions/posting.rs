//! How posting as a whole stands, and pausing it.

use domain::PostingStatus;
use leptos::prelude::*;

use crate::server_functions::{
    json_codec::JsonAnswer, load_error::LoadError, operation_error::OperationError,
};

/// How posting as a whole stands.
#[server(output = JsonAnswer)]
pub async fn read_posting_status() -> Result<PostingStatus, LoadError> {
    Ok(expect_context::<gateway::Gateway>().posting().await?)
}

/// Pauses posting, or lets it go on, and answers how it stands then.
#[server(output = JsonAnswer)]
pub async fn set_pause(
    /// Whether it is to be paused.
    paused: bool,
    /// Why, if they say so.
    #[server(default)]
    reason: String,
) -> Result<PostingStatus, OperationError> {
    let reason = crate::server_functions::operator_reason::parse(&reason)?;
    let gateway = expect_context::<gateway::Gateway>();
    let principal = domain::Principal::anonymous();
    match paused {
        true => gateway.pause(&principal, reason).await?,
        false => gateway.resume(&principal, reason).await?,
    }
    Ok(gateway.posting().await?)
}
