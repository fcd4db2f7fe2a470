//! `POST /cleanup`: empties everything, the simulator included. Exists only where it runs inside.

use axum::{Json, extract::State};
use gateway::Gateway;
use serde::Serialize;
use simulator::SimulatorHandle;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::http::{
    problem::{Problem, error_responses},
    state::Web,
};

/// The route of the cleanup.
pub fn routes() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(cleanup))
}

/// What was emptied.
#[derive(Serialize, ToSchema)]
struct Cleaned {
    /// How many transactions there were.
    count: u64,
}

/// Empty everything
///
/// The simulated posting service, too. Exists only where it runs inside.
#[utoipa::path(
    post,
    path = "/cleanup",
    operation_id = "cleanUp",
    tag = "Operation",
    responses(
        (status = 200, description = "All is gone.", body = Cleaned, example = json!({"count": 1000})),
        error_responses::Any,
    ),
)]
async fn cleanup(
    State(gateway): State<Gateway>,
    State(simulator): State<Option<SimulatorHandle>>,
) -> Result<Json<Cleaned>, Problem> {
    // Ours first: what is still being posted then finds its transaction gone, and is not repeated.
    let count = gateway.cleanup().await?;
    if let Some(simulator) = simulator {
        simulator.cleanup().await.map_err(|error| Problem::internal(error.to_string()))?;
    }
    Ok(Json(Cleaned { count }))
}
