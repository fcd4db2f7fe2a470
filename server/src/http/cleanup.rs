//! `POST /cleanup`: empties everything, the simulator included. Exists only where it runs inside.

use axum::{Json, Router, extract::State, routing::post};
use gateway::Gateway;
use serde_json::{Value, json};
use simulator::SimulatorHandle;

use super::{Web, problem::Problem};

/// The route of the cleanup.
pub fn routes() -> Router<Web> {
    Router::new().route("/cleanup", post(cleanup))
}

async fn cleanup(
    State(gateway): State<Gateway>,
    State(simulator): State<Option<SimulatorHandle>>,
) -> Result<Json<Value>, Problem> {
    // Ours first: what is still being posted then finds its transaction gone, and is not repeated.
    let count = gateway.cleanup().await?;
    if let Some(simulator) = simulator {
        simulator.cleanup().await.map_err(|error| Problem::internal(error.to_string()))?;
    }
    Ok(Json(json!({ "count": count })))
}
