//! How many transactions a second are accepted over HTTP, one a request.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::environment::profile::Profile;
use crate::environment::testbed::Stage;
use crate::error::Fallible;
use crate::load::closed_loop::{self, Until};
use crate::scenarios::audit;

/// Connections that each wait for an answer before they send the next request.
const CONNECTIONS: usize = 64;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throughput {
    pub accepted_a_second: f64,
    /// Answers that were not 202.
    pub others: BTreeMap<String, u64>,
}

/// Measures it on a database that is there, with the workers off. What was accepted must be stored.
///
/// # Errors
/// Where something accepted is not stored, or the program fails.
pub async fn measure(stage: &Stage, database: &str) -> Fallible<Throughput> {
    let web = stage.start("web", database, &[]).await?;
    stage.cluster.checkpoint().await?;
    let profile = Profile::begin(stage, Some(&web)).await?;
    let (warm_up, measured) = (stage.scale.warm_up, stage.scale.throughput);
    let until = Until::Over { warm_up, measured };
    let answers = closed_loop::submit(web.web()?, CONNECTIONS, until).await?;
    profile.end(stage, "accepting", answers.accepted.len() as f64).await?;
    web.stop().await?;
    audit::stored(stage, database, &answers.accepted).await?;
    Ok(Throughput {
        accepted_a_second: answers.measured as f64 / measured.as_secs_f64(),
        others: answers.others,
    })
}
