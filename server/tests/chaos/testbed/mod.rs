//! The testbed of a scenario: PostgreSQL cluster, proxy, posting service, processes and load, and
//! the findings. The faults are in `scenarios`.

pub mod cluster;
pub mod fleet;
pub mod own_postgres;
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
        own_postgres::OwnPostgres,
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
    /// Whether one process of Onceward does everything, on its own PostgreSQL.
    pub own_postgres: bool,
    /// The size of the disk of Onceward's own PostgreSQL, if it has one to itself.
    pub disk_mb: Option<u32>,
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
    cluster: Option<Cluster>,
    own_postgres: Option<OwnPostgres>,
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
        let (cluster, own_postgres) = match requirements.own_postgres {
            true => (None, Some(OwnPostgres::make(folder.join("onceward"), requirements.disk_mb)?)),
            false => (Some(Cluster::make(folder.join("postgres"), settings).await?), None),
        };
        let database = match (&cluster, &own_postgres) {
            (Some(cluster), _) => cluster.pool()?,
            (None, Some(own)) => own.pool(),
            (None, None) => return Err("there is no PostgreSQL".into()),
        };
        let proxy = match &cluster {
            Some(cluster) if requirements.proxied => Some(Proxy::start(&cluster.socket()).await?),
            _ => None,
        };
        let database_url = match (&proxy, &cluster) {
            (Some(proxy), _) => Some(proxy.url()),
            (None, cluster) => cluster.as_ref().map(Cluster::url),
        };
        let service = PostingService::start(&folder, seed).await?;
        service.set_faults(&requirements.faults).await?;
        let rate_limit_per_s = requirements.rate_limit_per_s;
        let config = Config {
            folder: &folder,
            database_url: database_url.as_deref(),
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
            own_postgres,
            seed,
            load_began_at: Instant::now(),
            recoveries: JoinSet::new(),
        })
    }

    /// The PostgreSQL that the harness runs.
    pub fn cluster(&self) -> Fallible<&Cluster> {
        self.cluster.as_ref().ok_or_else(|| "Onceward runs PostgreSQL itself".into())
    }

    /// The same, to be stopped and restarted.
    pub fn cluster_mut(&mut self) -> Fallible<&mut Cluster> {
        self.cluster.as_mut().ok_or_else(|| "Onceward runs PostgreSQL itself".into())
    }

    /// The PostgreSQL that Onceward runs.
    pub fn own_postgres(&self) -> Fallible<&OwnPostgres> {
        self.own_postgres.as_ref().ok_or_else(|| "the harness runs PostgreSQL".into())
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
