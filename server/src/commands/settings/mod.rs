//! The settings of `serve`, `web` and `worker`, and how their values are read.
//!
//! The settings of `simulator` and `load` are in the files of those commands.

pub mod access;
pub mod limits;
pub mod metrics;
pub mod posting;
pub mod posting_credentials;
pub mod posting_proxy;
pub mod secret_parser;
pub mod tokens;
pub mod values;
pub mod web;
pub mod webhooks;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, builder::BoolishValueParser};
use gateway::database::Schema;

use access::AccessSettings;
use limits::LimitSettings;
use metrics::MetricsSettings;
use posting::PostingSettings;
use tokens::TokenSettings;
use values::{http_url, listen_addr};
use web::WebSettings;
use webhooks::WebhookSettings;

/// Settings of `serve`, `web` and `worker`.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where the web side listens
    #[arg(
        long,
        env = "LEPTOS_SITE_ADDR",
        value_name = "LEPTOS_SITE_ADDR",
        default_value = "127.0.0.1:3000",
        value_parser = listen_addr
    )]
    pub site_addr: SocketAddr,
    /// The PostgreSQL to use. Unset: Onceward runs its own under ONCEWARD_DATA
    #[arg(long, env = "DATABASE_URL", value_name = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// The schema of Onceward's tables; it is created if it does not exist. Unset: where PostgreSQL creates tables,
    /// which usually is public
    #[arg(long, env = "ONCEWARD_SCHEMA", value_name = "ONCEWARD_SCHEMA")]
    pub schema: Option<Schema>,
    /// The folder of Onceward's own PostgreSQL and of the simulator's ledger
    #[arg(long, env = "ONCEWARD_DATA", value_name = "ONCEWARD_DATA", default_value = "./data")]
    pub data: PathBuf,
    /// The URL of the posting service. Unset: the simulator runs inside Onceward
    #[arg(long, env = "POSTING_URL", value_name = "POSTING_URL", hide_env_values = true, value_parser = http_url)]
    pub posting_url: Option<String>,
    /// Where the simulator listens if it runs inside Onceward
    #[arg(
        long,
        env = "SIMULATOR_ADDR",
        value_name = "SIMULATOR_ADDR",
        default_value = "127.0.0.1:8080",
        value_parser = listen_addr
    )]
    pub simulator_addr: SocketAddr,
    #[command(flatten)]
    pub posting: PostingSettings,
    #[command(flatten)]
    pub webhooks: WebhookSettings,
    #[command(flatten)]
    pub web: WebSettings,
    #[command(flatten)]
    pub limits: LimitSettings,
    #[command(flatten)]
    pub metrics: MetricsSettings,
    #[command(flatten)]
    pub access: AccessSettings,
    #[command(flatten)]
    pub tokens: TokenSettings,
    /// Refuse API submissions without an idempotency key
    #[arg(long, env = "IDEMPOTENCY_KEY_REQUIRED", value_parser = BoolishValueParser::new())]
    pub idempotency_key_required: bool,
    /// How long a shutdown waits for requests and executions in flight, in milliseconds
    #[arg(
        long,
        env = "SHUTDOWN_GRACE_MS",
        value_name = "SHUTDOWN_GRACE_MS",
        default_value_t = 10_000
    )]
    pub shutdown_grace_ms: u64,
}

impl Settings {
    /// How long a shutdown waits for requests and executions in flight.
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_millis(self.shutdown_grace_ms)
    }
}

/// Settings of `worker`.
#[derive(Debug, Clone, Args)]
pub struct WorkerSettings {
    /// The settings that it shares with `serve` and `web`.
    #[command(flatten)]
    pub settings: Settings,
    /// Where the worker serves /metrics, /livez and /readyz. Unset: nowhere
    #[arg(long, env = "METRICS_ADDR", value_name = "METRICS_ADDR", value_parser = listen_addr)]
    pub metrics_addr: Option<SocketAddr>,
}
