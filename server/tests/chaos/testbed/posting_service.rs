//! The misbehaving posting service: a simulator process, its faults and its ledger.

use std::{path::Path, time::Duration};

use reqwest::Client;
use serde::Deserialize;
use simulator::{Audit, Faults};

use crate::{
    Fallible,
    testbed::process::{Log, Process, ProcessSpec, free_port},
    wait,
};

/// How long it may take to start, or to answer one request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A simulator process.
#[derive(Debug)]
pub struct PostingService {
    pub process: Process,
    pub url: String,
    client: Client,
}

/// The answer of `GET /transactions`.
#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
}

impl PostingService {
    /// Starts it with the simulator's default faults.
    pub async fn start(folder: &Path, seed: u64) -> Fallible<Self> {
        let addr = format!("127.0.0.1:{}", free_port()?);
        let spec = ProcessSpec {
            name: "the posting service".to_owned(),
            command: "simulator",
            environment: vec![
                ("SIMULATOR_ADDR", addr.clone()),
                ("SIMULATOR_SEED", seed.to_string()),
                ("ONCEWARD_DATA", folder.join("data").display().to_string()),
            ],
            log: Log::File(folder.join("simulator.log")),
        };
        let process = Process::start(spec)?;
        let client = Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        let service = Self { process, url: format!("http://{addr}"), client };
        service.ready().await?;
        Ok(service)
    }

    /// Replaces all faults, from the next request on.
    pub async fn set_faults(&self, faults: &Faults) -> Fallible<()> {
        let url = format!("{}/admin/faults", self.url);
        self.client.put(url).json(faults).send().await?.error_for_status()?;
        Ok(())
    }

    pub async fn audit(&self) -> Fallible<Audit> {
        let url = format!("{}/admin/audit", self.url);
        Ok(self.client.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// The ids of all entries; an id with two entries appears twice.
    pub async fn ledger(&self) -> Fallible<Vec<String>> {
        let url = format!("{}/transactions", self.url);
        let list: List = self.client.get(url).send().await?.error_for_status()?.json().await?;
        Ok(list.data.into_iter().map(|entry| entry.id).collect())
    }

    /// Kills it: nothing listens any more.
    pub async fn kill(&mut self) -> Fallible<()> {
        self.process.kill().await
    }

    /// Restarts it, with the same ledger and the default faults.
    pub async fn restart(&mut self) -> Fallible<()> {
        self.process.restart()?;
        self.ready().await
    }

    async fn ready(&self) -> Fallible<()> {
        let url = format!("{}/health", self.url);
        wait::until("the posting service answers", TIMEOUT, || async {
            self.client.get(&url).send().await.ok()
        })
        .await?;
        Ok(())
    }
}
