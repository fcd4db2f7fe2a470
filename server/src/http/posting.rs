//! `/api/posting`: how posting as a whole stands, its pause and its resumption.

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use domain::{PostingStatus, Principal};
use gateway::Gateway;

use super::{Web, body::Reason, problem::Problem};

/// The routes of posting as a whole.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/api/posting", get(show))
        .route("/api/posting/pause", post(pause))
        .route("/api/posting/resume", post(resume))
}

async fn show(State(gateway): State<Gateway>) -> Result<Json<PostingStatus>, Problem> {
    Ok(Json(gateway.posting().await?))
}

async fn pause(
    State(gateway): State<Gateway>,
    Reason(reason): Reason,
) -> Result<Json<PostingStatus>, Problem> {
    let paused = gateway.pause(&Principal::anonymous(), reason.as_deref()).await;
    paused.map_err(Problem::of_change)?;
    Ok(Json(gateway.posting().await?))
}

async fn resume(
    State(gateway): State<Gateway>,
    Reason(reason): Reason,
) -> Result<Json<PostingStatus>, Problem> {
    let resumed = gateway.resume(&Principal::anonymous(), reason.as_deref()).await;
    resumed.map_err(Problem::of_change)?;
    Ok(Json(gateway.posting().await?))
}
