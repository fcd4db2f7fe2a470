//! The testbed of a scenario: PostgreSQL cluster, proxy, posting service, processes and load, and
//! the findings. The faults are in `scenarios`.

pub mod cluster;
pub mod fleet;
pub mod posting_service;
pub mod process;
pub mod proxy;

use std::{ops::Range, path::PathBuf, time::Duration};

use loadgen::{LoadConfig, LoadError, Report};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use simulator::Faults;
use sqlx::PgPool;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Fallible,
    observation::claims::Claims,
    testbed::{
        cluster::{Cluster, Settings},
        fleet::{Config, Fleet},
        posting_service::PostingService,
        proxy::Proxy,
    },
};

/// How long after the load every transaction has to be final.
const FINAL_WITHIN: Duration = Duration::from_secs(240);

/// The size of a scenario.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub transactions: u32,
    /// How long the load lasts.
    pub load: Duration,
    /// The full form, on a database whose commits reach the disk.
    pub full: bool,
}

impl Size {
    /// One of two values: for the full form, for the short one.
    pub fn pick<T>(&self, full: T, short: T) -> T {
        if self.full { full } else { short }
    }
}

/// What a scenario needs from its testbed.
#[derive(Debug)]
pub struct Requirements {
    /// Determines the random source, together with the seed.
    pub name: String,
    /// How many connections PostgreSQL accepts.
    pub max_connections: u32,
    /// Whether Onceward reaches PostgreSQL through a proxy.
    pub proxied: bool,
    /// The faults of the posting service.
    pub faults: Faults,
    /// The rate limit of each worker.
    pub rate_limit_per_s: Option<u32>,
    /// Whether no process can write its log.
    pub logs_fail: bool,
}

/// The findings of a scenario.
#[derive(Debug, Default)]
pub struct Findings {
    /// Violated invariants, with details.
    pub violations: Vec<String>,
    /// Measurements.
    pub remarks: Vec<String>,
    /// The longest time from a fault until the last claim it hit was recovered.
    pub longest_recovery: Option<Duration>,
}

/// The testbed. Dropping it ends all its processes.
#[derive(Debug)]
pub struct Testbed {
    pub size: Size,
    /// The random source of victims and moments, seeded by the seed and the scenario's name.
    pub rng: StdRng,
    pub findings: Findings,
    pub rate_limit_per_s: Option<u32>,
    pub fleet: Fleet,
    pub service: PostingService,
    pub proxy: Option<Proxy>,
    pub database: PgPool,
    pub cluster: Cluster,
    seed: u64,
    load_began_at: Instant,
    recoveries: JoinSet<Fallible<Duration>>,
}

impl Testbed {
    /// Starts everything except the load.
    pub async fn start(
        requirements: Requirements,
        size: Size,
        seed: u64,
        folder: PathBuf,
    ) -> Fallible<Self> {
        let settings =
            Settings { durable: size.full, max_connections: requirements.max_connections };
        let cluster = Cluster::make(folder.join("postgres"), settings).await?;
        let database = cluster.pool()?;
        let proxy = match requirements.proxied {
            true => Some(Proxy::start(&cluster.socket()).await?),
            false => None,
        };
        let service = PostingService::start(&folder, seed).await?;
        service.set_faults(&requirements.faults).await?;
        let rate_limit_per_s = requirements.rate_limit_per_s;
        let config = Config {
            folder: &folder,
            database_url: &proxy.as_ref().map_or_else(|| cluster.url(), Proxy::url),
            posting_url: &service.url,
            rate_limit_per_s,
            logs_fail: requirements.logs_fail,
        };
        let fleet = Fleet::start(config, database.clone()).await?;
        let seed_of_name = requirements.name.bytes().fold(seed, |seed, byte| {
            seed.rotate_left(8).wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        });
        Ok(Self {
            size,
            rng: StdRng::seed_from_u64(seed_of_name),
            findings: Findings::default(),
            rate_limit_per_s,
            fleet,
            service,
            proxy,
            database,
            cluster,
            seed,
            load_began_at: Instant::now(),
            recoveries: JoinSet::new(),
        })
    }

    /// Starts the load. It reports when every transaction is final, or the time for that is over.
    pub fn start_load(&mut self) -> JoinSet<Result<Report, LoadError>> {
        self.load_began_at = Instant::now();
        let Size { transactions, load, .. } = self.size;
        // A JoinSet, because dropping it ends the load.
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

    /// The moment at this fraction of the load.
    pub fn moment(&self, part: f64) -> Instant {
        self.load_began_at + self.size.load.mul_f64(part)
    }

    /// Random moments within a part of the load, spread over it, in order.
    pub fn moments(&mut self, count: usize, within: Range<f64>) -> Vec<Instant> {
        let slot = (within.end - within.start) / count as f64;
        let mut moment = |nth| within.start + slot * (nth as f64 + self.rng.random_range(0.1..0.9));
        let parts: Vec<f64> = (0..count).map(&mut moment).collect();
        parts.into_iter().map(|part| self.moment(part)).collect()
    }

    /// Pauses about as long as a supervisor before a restart.
    pub async fn restart_pause(&mut self) {
        let pause_ms = self.rng.random_range(100..800);
        sleep(Duration::from_millis(pause_ms)).await;
    }

    /// Measures from now on how long these claims take to recover.
    pub fn measure_recovery(&mut self, claims: Claims, fault: &'static str, since: Instant) {
        if !claims.is_empty() {
            self.recoveries.spawn(claims.recovered(self.database.clone(), fault, since));
        }
    }

    /// The findings, once every claim that a fault hit is recovered.
    pub async fn findings(mut self) -> Findings {
        while let Some(recovery) = self.recoveries.join_next().await {
            match recovery {
                Ok(Ok(took)) => {
                    let longest = self.findings.longest_recovery;
                    self.findings.longest_recovery = longest.max(Some(took));
                }
                Ok(Err(stuck)) => self.findings.violations.push(stuck.to_string()),
                Err(panicked) => self.findings.violations.push(panicked.to_string()),
            }
        }
        self.findings
    }
}
