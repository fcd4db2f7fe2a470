//! A retry of all transactions in a state, as the page follows it.

use domain::State;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::server_functions::{
    json_codec::JsonAnswer, load_error::LoadError, operation_error::OperationError,
};

/// How far a bulk retry has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which one.
    pub id: Uuid,
    /// Transactions that it has come past.
    pub examined: u64,
    /// Of these, those that it has retried. The others changed meanwhile.
    pub retried: u64,
    /// Whether it is through.
    pub finished: bool,
}

/// Has all transactions in a state retried, and leads to the list that shows how far that is.
#[server(output = JsonAnswer)]
pub async fn retry_all(
    /// Those of the list.
    status: State,
    /// Why, if they say so.
    reason: String,
) -> Result<(), OperationError> {
    let reason = crate::server_functions::operator_reason::parse(&reason)?;
    let filter = gateway::Filter { status: Some(status), ..Default::default() };
    let gateway = expect_context::<gateway::Gateway>();
    let principal = domain::Principal::anonymous();
    let requested = gateway.retry_all(&principal, filter, reason).await?;
    let id = requested.bulk_retry_id;
    leptos_axum::redirect(&format!("/?status={status}&retry={id}"));
    Ok(())
}

/// How far a bulk retry has come, or `None` where there is none with this id.
#[server(output = JsonAnswer)]
pub async fn bulk_retry_progress(
    /// Which one.
    id: Uuid,
) -> Result<Option<Progress>, LoadError> {
    let found = expect_context::<gateway::Gateway>().bulk_retry(id).await?;
    Ok(found.map(|it| Progress {
        id,
        examined: it.examined,
        retried: it.retried,
        finished: it.finished_at.is_some(),
    }))
}
