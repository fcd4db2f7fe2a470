//! Starting a bulk retry, and its progress.

use domain::State;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::server_functions::{
    json_codec::JsonAnswer, load_error::LoadError, operation_error::OperationError,
};

/// The progress of a bulk retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The bulk retry's id.
    pub id: Uuid,
    /// The number of transactions that it has examined.
    pub examined: u64,
    /// The number of those that it has retried. The others had changed meanwhile.
    pub retried: u64,
    /// Whether it has finished.
    pub finished: bool,
}

/// Retries all transactions in a state, and redirects to the list that shows its progress.
#[server(output = JsonAnswer)]
pub async fn retry_all(
    /// The state that the list is filtered by.
    status: State,
    /// The reason; may be empty.
    reason: String,
) -> Result<(), OperationError> {
    let reason = crate::server_functions::operator_reason::parse(&reason)?;
    let filter = gateway::Filter { status: Some(status), ..Default::default() };
    let (gateway, caller) =
        crate::server_functions::permitted::permitted(domain::Permission::Operate)?;
    let requested = gateway.retry_all(&caller.actor, filter, reason).await?;
    let id = requested.bulk_retry_id;
    leptos_axum::redirect(&format!("/?status={status}&retry={id}"));
    Ok(())
}

/// The progress of a bulk retry, or `None` if there is none with this id.
#[server(output = JsonAnswer)]
pub async fn bulk_retry_progress(
    /// The bulk retry's id.
    id: Uuid,
) -> Result<Option<Progress>, LoadError> {
    let (gateway, _) = crate::server_functions::permitted::permitted(domain::Permission::ReadAll)?;
    let found = gateway.bulk_retry(id).await?;
    Ok(found.map(|it| Progress {
        id,
        examined: it.examined,
        retried: it.retried,
        finished: it.finished_at.is_some(),
    }))
}
