//! Onceward's processes: one web process and two workers, each restarted at its old address.

use std::{path::Path, time::Duration};

use nix::sys::signal::Signal;
use reqwest::Client;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    Fallible,
    testbed::process::{Log, Process, ProcessSpec, free_port},
    wait,
};

/// How long a process may take to be ready, in a debug build and beside many others.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Windows that the simulator's faults keep to: see `Scenario::faults`.
const SETTINGS: [(&str, &str); 5] = [
    ("POSTING_TIMEOUT_MS", "2000"),
    ("POSTING_SETTLE_MS", "4000"),
    ("POSTING_VISIBILITY_MS", "1000"),
    ("POSTING_RETRY_BASE_MS", "100"),
    ("POSTING_RETRY_MAX_MS", "5000"),
];

/// A worker process and its run in the table `workers`: a new one at each start.
#[derive(Debug)]
pub struct Worker {
    pub process: Process,
    pub run: Uuid,
}

/// The processes.
#[derive(Debug)]
pub struct Fleet {
    pub web: Process,
    pub web_url: String,
    pub workers: Vec<Worker>,
    database: PgPool,
    client: Client,
}

/// The configuration of the processes.
pub struct Config<'a> {
    pub folder: &'a Path,
    /// None if one process does everything, on its own PostgreSQL.
    pub database_url: Option<&'a str>,
    pub posting_url: &'a str,
    /// A setting that not every version has.
    pub rate_limit_per_s: Option<u32>,
    /// Whether no process can write its log, each for another reason.
    pub logs_fail: bool,
}

impl Fleet {
    /// Starts one web process and two workers, or one process that does everything, and waits until they are ready.
    pub async fn start(config: Config<'_>, database: PgPool) -> Fallible<Self> {
        let addr = format!("127.0.0.1:{}", free_port()?);
        let spec = |name: &str, command, failing_log| {
            let mut environment: Vec<(&'static str, String)> =
                SETTINGS.map(|(name, value)| (name, value.to_owned())).into();
            environment.push(match config.database_url {
                Some(url) => ("DATABASE_URL", url.to_owned()),
                None => ("ONCEWARD_DATA", config.folder.join("onceward").display().to_string()),
            });
            environment.push(("POSTING_URL", config.posting_url.to_owned()));
            environment.push(("LEPTOS_SITE_ADDR", addr.clone()));
            if let Some(limit) = config.rate_limit_per_s {
                environment.push(("POSTING_RATE_LIMIT", limit.to_string()));
            }
            let log = match config.logs_fail {
                true => {
                    environment.push(("RUST_LOG", "debug".to_owned()));
                    failing_log
                }
                false => Log::File(config.folder.join(format!("{name}.log"))),
            };
            ProcessSpec { name: name.to_owned(), command, environment, log }
        };
        let role = if config.database_url.is_some() { "web" } else { "serve" };
        let web = Process::start(spec("web", role, Log::FullDisk))?;
        let client = Client::builder().no_proxy().timeout(READY_WITHIN).build()?;
        let web_url = format!("http://{addr}");
        let mut fleet = Self { web, web_url, workers: Vec::new(), database, client };
        fleet.web_ready().await?;
        let workers = match config.database_url {
            Some(_) => vec![("worker-1", Log::Unread), ("worker-2", Log::WithoutReader)],
            None => Vec::new(),
        };
        for (name, failing_log) in workers {
            let before = fleet.runs().await?;
            let process = Process::start(spec(name, "worker", failing_log))?;
            let run = fleet.new_run(&before).await?;
            fleet.workers.push(Worker { process, run });
        }
        Ok(fleet)
    }

    /// Restarts the web process after a kill, and waits until it is ready.
    pub async fn restart_web(&mut self) -> Fallible<()> {
        self.web.restart()?;
        self.web_ready().await
    }

    /// Restarts a worker after a kill, and waits until its new run has a lease.
    pub async fn restart_worker(&mut self, worker: usize) -> Fallible<()> {
        let before = self.runs().await?;
        self.workers[worker].process.restart()?;
        self.workers[worker].run = self.new_run(&before).await?;
        Ok(())
    }

    /// Resumes a stopped worker, and waits until it renews its lease.
    pub async fn resume(&self, worker: usize) -> Fallible<()> {
        let Worker { process, run } = &self.workers[worker];
        process.signal(Signal::SIGCONT)?;
        wait::until("a resumed worker renews its lease", READY_WITHIN, || async {
            let renewed = sqlx::query_scalar(
                "select expires_at > clock_timestamp() from workers where id = $1",
            );
            renewed.bind(run).fetch_one(&self.database).await.ok().filter(|renewed: &bool| *renewed)
        })
        .await?;
        Ok(())
    }

    /// The processes that ended although they were not killed.
    pub fn ended_by_themselves(&mut self) -> Fallible<Vec<String>> {
        let workers = self.workers.iter_mut().map(|worker| &mut worker.process);
        let mut ended = Vec::new();
        for process in workers.chain([&mut self.web]) {
            if let Some(status) = process.ended()? {
                ended.push(format!("{} ended by itself: {status}", process.spec.name));
            }
        }
        Ok(ended)
    }

    /// What the web process answers.
    pub async fn read_web(&self, path: &str) -> Fallible<String> {
        Ok(self.client.get(format!("{}{path}", self.web_url)).send().await?.text().await?)
    }

    /// Ends every process by a signal, and checks that it succeeds.
    pub async fn end_in_order(&mut self, within: Duration) -> Fallible<()> {
        let workers = self.workers.iter_mut().map(|worker| &mut worker.process);
        for process in workers.chain([&mut self.web]) {
            process.end_in_order(within).await?;
        }
        Ok(())
    }

    async fn web_ready(&self) -> Fallible<()> {
        let url = format!("{}/readyz", self.web_url);
        wait::until("the web process is ready", READY_WITHIN, || async {
            self.client.get(&url).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await?;
        Ok(())
    }

    async fn runs(&self) -> sqlx::Result<Vec<Uuid>> {
        sqlx::query_scalar("select id from workers").fetch_all(&self.database).await
    }

    /// The run that is new; only one worker starts at a time.
    async fn new_run(&self, before: &[Uuid]) -> Fallible<Uuid> {
        wait::until("a worker has started", READY_WITHIN, || async {
            self.runs().await.ok()?.into_iter().find(|run| !before.contains(run))
        })
        .await
    }
}
