//! An intervention of an operator on a transaction, from its page.

use leptos::prelude::*;
use uuid::Uuid;

use crate::server_functions::{json_codec::JsonAnswer, operation_error::OperationError};

/// Cancels, retries or resolves a transaction, and answers with a sentence. A plain form post,
/// which a browser sends while WASM is not running, is redirected to the transaction's page.
#[server(output = JsonAnswer)]
pub async fn intervene(
    /// The transaction's id.
    id: Uuid,
    /// `cancel` or `retry`; or `completed` or `failed`, to resolve it as such.
    action: String,
    /// The reason.
    reason: String,
) -> Result<String, OperationError> {
    use crate::server_functions::plain_form_post::{is_plain, set_status};

    let done = carry_out(id, &action, &reason).await;
    match &done {
        Ok(_) if is_plain() => leptos_axum::redirect(&format!("/transactions/{id}")),
        Ok(_) => {}
        // Not a failure of the server.
        Err(_) => set_status(axum::http::StatusCode::CONFLICT),
    }
    done
}

#[cfg(feature = "ssr")]
async fn carry_out(id: Uuid, action: &str, reason: &str) -> Result<String, OperationError> {
    use domain::{Intervention, Resolution};

    let (intervention, done) = match action {
        "cancel" => {
            (Intervention::Cancel, "Cancelled. Nothing was sent, and nothing will be sent.")
        }
        "retry" => (Intervention::Retry, "Retry requested. The transaction is due now."),
        "completed" => (Intervention::Resolve(Resolution::Completed), "Resolved as completed."),
        "failed" => (Intervention::Resolve(Resolution::Failed), "Resolved as failed."),
        _ => {
            return Err(OperationError(
                "Not done: choose whether the transaction completed or failed.".to_owned(),
            ));
        }
    };
    let reason = crate::server_functions::operator_reason::parse(reason)?;
    if reason.is_none() && matches!(intervention, Intervention::Resolve(_)) {
        return Err(OperationError("Not resolved: give a reason.".to_owned()));
    }
    let (gateway, caller) =
        crate::server_functions::permitted::permitted(domain::Permission::Operate)?;
    match gateway.intervene(&caller.actor, id, intervention, reason).await {
        Ok(_) => Ok(done.to_owned()),
        Err(gateway::InterventionError::Engine(error)) => Err(error.into()),
        Err(error) => Err(OperationError(format!("Not done: {error}."))),
    }
}
