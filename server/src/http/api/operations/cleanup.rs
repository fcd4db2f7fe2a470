//! `POST /cleanup`: deletes everything, including the simulator's ledger. Exists only if the simulator runs inside.

use axum::{Extension, Json, extract::State};
use domain::Caller;
use gateway::Gateway;
use serde::Serialize;
use simulator::SimulatorHandle;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    problem::{Problem, error_responses},
    state::WebState,
};

/// The route of the cleanup.
pub fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new().routes(routes!(cleanup))
}

/// The result of a cleanup.
#[derive(Serialize, ToSchema)]
struct Cleaned {
    /// How many transactions were deleted.
    count: u64,
}

/// Delete everything
///
/// Everything but the audit, which records the cleanup; the ledger of the simulated posting service included. Exists only if the simulator runs inside.
#[utoipa::path(
    post,
    path = "/cleanup",
    operation_id = "cleanUp",
    tag = "Operation",
    responses(
        (status = 200, description = "Everything is deleted.", body = Cleaned, example = json!({"count": 1000})),
        error_responses::Any,
    ),
)]
async fn cleanup(
    State(gateway): State<Gateway>,
    State(simulator): State<Option<SimulatorHandle>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Cleaned>, Problem> {
    // Our own tables first: an execution in flight then finds its transaction gone, and does not repeat the POST.
    let count = gateway.cleanup(&caller.actor).await?;
    if let Some(simulator) = simulator {
        simulator.cleanup().await.map_err(|error| Problem::internal(error.to_string()))?;
    }
    Ok(Json(Cleaned { count }))
}
