//! A scenario's own everything: cluster, posting service, processes, load, and what was found.

pub mod cluster;
pub mod fleet;
pub mod posting_service;
pub mod process;
pub mod proxy;

use std::{ops::Range, path::PathBuf, time::Duration};

use loadgen::{LoadConfig, LoadError, Report};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::PgPool;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Fallible,
    observation::claims::Claims,
    scenarios::Scenario,
    testbed::{
        cluster::{Cluster, Settings},
        fleet::{Fleet, Orders},
        posting_service::PostingService,
        proxy::Proxy,
    },
};

/// How long after the load everything has to be final.
const FINAL_WITHIN: Duration = Duration::from_secs(240);

/// How much a scenario does.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub transactions: u32,
    /// How long the load goes on.
    pub load: Duration,
    /// Every scenario, at length, on a database whose commits reach the disk.
    pub full: bool,
}

impl Size {
    /// One of two numbers: for the full form, for the short one.
    pub fn pick<T>(&self, full: T, short: T) -> T {
        if self.full { full } else { short }
    }
}

/// What a scenario found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Invariants that broke, each with what and where.
    pub broken: Vec<String>,
    /// What was measured.
    pub remarks: Vec<String>,
    /// From a fault until the last claim it hit was taken up again, the longest.
    pub longest_recovery: Option<Duration>,
}

/// Everything of one scenario. Dropping it ends all its processes.
#[derive(Debug)]
pub struct Stage {
    pub size: Size,
    /// Draws victims and moments; from the seed and the scenario's name.
    pub draw: StdRng,
    pub findings: Findings,
    pub rate_limit_per_s: Option<u32>,
    pub fleet: Fleet,
    pub service: PostingService,
    pub proxy: Option<Proxy>,
    pub database: PgPool,
    pub cluster: Cluster,
    seed: u64,
    load_began: Instant,
    recoveries: JoinSet<Fallible<Duration>>,
}

impl Stage {
    /// Starts everything but the load.
    pub async fn set(scenario: Scenario, size: Size, seed: u64, folder: PathBuf) -> Fallible<Self> {
        let max_connections = scenario.max_connections();
        let settings = Settings { durable: size.full, max_connections };
        let cluster = Cluster::make(folder.join("postgres"), settings).await?;
        let database = cluster.pool()?;
        let proxy = match scenario {
            Scenario::CutConnections | Scenario::StopWorker => {
                Some(Proxy::start(&cluster.socket()).await?)
            }
            _ => None,
        };
        let service = PostingService::start(&folder, seed).await?;
        service.set_faults(&scenario.faults()).await?;
        let rate_limit_per_s = scenario.rate_limit_per_s(&size).await?;
        let orders = Orders {
            folder: &folder,
            database_url: &proxy.as_ref().map_or_else(|| cluster.url(), Proxy::url),
            posting_url: &service.url,
            rate_limit_per_s,
        };
        let fleet = Fleet::start(orders, database.clone()).await?;
        let seed_of_name = scenario.name().bytes().fold(seed, |seed, byte| {
            seed.rotate_left(8).wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        });
        Ok(Self {
            size,
            draw: StdRng::seed_from_u64(seed_of_name),
            findings: Findings::default(),
            rate_limit_per_s,
            fleet,
            service,
            proxy,
            database,
            cluster,
            seed,
            load_began: Instant::now(),
            recoveries: JoinSet::new(),
        })
    }

    /// Begins the load. Its report comes when everything is final, or the time for that is over.
    pub fn begin_load(&mut self) -> JoinSet<Result<Report, LoadError>> {
        self.load_began = Instant::now();
        let Size { transactions, load, .. } = self.size;
        // A JoinSet, since dropping it ends the load.
        let mut running = JoinSet::new();
        running.spawn(loadgen::run(LoadConfig {
            rate: f64::from(transactions) / load.as_secs_f64(),
            duration: load,
            wait: FINAL_WITHIN,
            seed: self.seed,
            ..LoadConfig::new(self.fleet.web_url.clone(), self.service.url.clone())
        }));
        running
    }

    /// This part of the way through the load.
    pub fn moment(&self, part: f64) -> Instant {
        self.load_began + self.size.load.mul_f64(part)
    }

    /// Moments within a part of the load, spread over it, in order.
    pub fn moments(&mut self, count: usize, within: Range<f64>) -> Vec<Instant> {
        let slot = (within.end - within.start) / count as f64;
        let mut moment =
            |nth| within.start + slot * (nth as f64 + self.draw.random_range(0.1..0.9));
        let parts: Vec<f64> = (0..count).map(&mut moment).collect();
        parts.into_iter().map(|part| self.moment(part)).collect()
    }

    /// As long as a supervisor waits before it starts something again, or a little more.
    pub async fn short_while(&mut self) {
        let pause_ms = self.draw.random_range(100..800);
        sleep(Duration::from_millis(pause_ms)).await;
    }

    /// From now on measures how long these claims take to be taken up.
    pub fn watch(&mut self, claims: Claims, fault: &'static str, since: Instant) {
        if !claims.is_empty() {
            self.recoveries.spawn(claims.taken_up(self.database.clone(), fault, since));
        }
    }

    /// The findings, once every claim that a fault hit is taken up.
    pub async fn findings(mut self) -> Findings {
        while let Some(recovery) = self.recoveries.join_next().await {
            match recovery {
                Ok(Ok(took)) => {
                    let longest = self.findings.longest_recovery;
                    self.findings.longest_recovery = longest.max(Some(took));
                }
                Ok(Err(stuck)) => self.findings.broken.push(stuck.to_string()),
                Err(panicked) => self.findings.broken.push(panicked.to_string()),
            }
        }
        self.findings
    }
}
