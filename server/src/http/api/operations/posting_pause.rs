//! `/api/posting`: the status of posting as a whole, its pause and its resumption.

use axum::{Extension, Json, extract::State};
use domain::{Caller, PostingStatus};
use gateway::Gateway;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::reason::Reason;
use crate::http::{
    problem::{Problem, error_responses},
    state::WebState,
};

/// The routes of posting as a whole.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(pause)).routes(routes!(resume))
}

/// Show the status of posting
///
/// Whether it is paused, and by whom; and the circuit breakers of the workers.
#[utoipa::path(
    get,
    path = "/api/posting",
    operation_id = "showPosting",
    tag = "Posting",
    responses(
        (
            status = 200,
            description = "The status.",
            body = PostingStatus,
            example = json!({"paused": null, "circuits": {"closed": 2, "open": 0, "halfOpen": 0, "credentialsRefused": 0}}),
        ),
        error_responses::Any,
    ),
)]
async fn show(State(gateway): State<Gateway>) -> Result<Json<PostingStatus>, Problem> {
    Ok(Json(gateway.posting().await?))
}

/// Pause all posting
///
/// In every process, until it is resumed. Transactions are still accepted and verified.
#[utoipa::path(
    post,
    path = "/api/posting/pause",
    operation_id = "pausePosting",
    tag = "Posting",
    request_body(content = Option<Reason>, example = json!({"reason": "the posting service is being updated"})),
    responses(
        (
            status = 200,
            description = "Posting is paused, now or by an earlier request.",
            body = PostingStatus,
            example = json!({
                "paused": {
                    "pausedAt": "2026-01-31T12:00:00Z",
                    "pausedBy": "anonymous",
                    "reason": "the posting service is being updated",
                },
                "circuits": {"closed": 2, "open": 0, "halfOpen": 0, "credentialsRefused": 0},
            }),
        ),
        error_responses::OfReason,
    ),
)]
async fn pause(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Reason { reason }: Reason,
) -> Result<Json<PostingStatus>, Problem> {
    let paused = gateway.pause(&caller.actor, reason.as_deref()).await;
    paused.map_err(Problem::of_change)?;
    Ok(Json(gateway.posting().await?))
}

/// Resume posting
///
/// In every process, at once.
#[utoipa::path(
    post,
    path = "/api/posting/resume",
    operation_id = "resumePosting",
    tag = "Posting",
    request_body(content = Option<Reason>, example = json!({"reason": "the update is finished"})),
    responses(
        (
            status = 200,
            description = "Posting continues.",
            body = PostingStatus,
            example = json!({"paused": null, "circuits": {"closed": 2, "open": 0, "halfOpen": 0, "credentialsRefused": 0}}),
        ),
        error_responses::OfReason,
    ),
)]
async fn resume(
    State(gateway): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Reason { reason }: Reason,
) -> Result<Json<PostingStatus>, Problem> {
    let resumed = gateway.resume(&caller.actor, reason.as_deref()).await;
    resumed.map_err(Problem::of_change)?;
    Ok(Json(gateway.posting().await?))
}
