//! Throughput of accepting: how many transactions per second are accepted over HTTP, one per
//! request.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::environment::onceward_process::OncewardProcess;
use crate::environment::profile::Profile;
use crate::environment::testbed::Testbed;
use crate::error::Fallible;
use crate::load::closed_loop::{self, Until};
use crate::scenarios::audit;

/// The connections of the closed loop.
const CONNECTIONS: usize = 64;

/// The measured throughput.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throughput {
    pub accepted_a_second: f64,
    /// Answers that were not 202.
    pub others: BTreeMap<String, u64>,
}

/// Measures on an existing database, without workers.
///
/// # Errors
/// An accepted transaction is not stored, or Onceward fails.
pub async fn measure(testbed: &Testbed, database: &str) -> Fallible<Throughput> {
    let web = testbed.start("web", database, &[]).await?;
    let throughput = load(testbed, database, &web, None).await?;
    web.stop().await?;
    Ok(throughput)
}

/// Puts a web process under load, with this bearer credential in each request.
///
/// # Errors
/// An accepted transaction is not stored, or Onceward fails.
pub async fn load(
    testbed: &Testbed,
    database: &str,
    web: &OncewardProcess,
    bearer: Option<&str>,
) -> Fallible<Throughput> {
    testbed.cluster.checkpoint().await?;
    let profile = Profile::begin(testbed, Some(web)).await?;
    let (warm_up, measured) = (testbed.scale.warm_up, testbed.scale.throughput);
    let until = Until::Over { warm_up, measured };
    let answers = closed_loop::submit(web.web()?, CONNECTIONS, until, bearer).await?;
    profile.end(testbed, "accepting", answers.accepted.len() as f64).await?;
    audit::stored(testbed, database, &answers.accepted).await?;
    Ok(Throughput {
        accepted_a_second: answers.measured as f64 / measured.as_secs_f64(),
        others: answers.others,
    })
}
