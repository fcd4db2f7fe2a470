//! The command line. Every setting is a flag and an environment variable; `--help` is the manual.

use std::{ffi::OsStr, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand,
    builder::{BoolishValueParser, TypedValueParser},
    error::ErrorKind,
    value_parser,
};
use domain::{backoff::Backoff, protocol::Policy};

use crate::{
    commands::serve_web_worker::Role,
    http::{WebhookSecretError, WebhookSecrets},
};

/// Hand over transactions to a slow, unreliable posting service: accepted in milliseconds, never
/// lost, posted exactly once.
#[derive(Debug, Parser)]
#[command(name = "onceward", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "The log goes to standard error; RUST_LOG sets its levels.")]
pub struct Cli {
    /// What to do; without one, `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of `serve`.
    #[command(flatten)]
    pub serve: Settings,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Web and workers in one process (the default)
    Serve(Settings),
    /// The web side alone: pages and API. Any number on one database
    Web(Settings),
    /// A worker alone: it posts. Any number on one database
    Worker(WorkerSettings),
    /// The misbehaving posting service alone
    Simulator(SimulatorSettings),
    /// Submit at a fixed rate, wait until everything is final, and audit: exit code 1 where anything
    /// is lost or duplicated
    Load(LoadSettings),
}

/// Settings of `serve`, `web` and `worker`.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where the web side listens
    #[arg(
        long,
        env = "LEPTOS_SITE_ADDR",
        value_name = "LEPTOS_SITE_ADDR",
        default_value = "127.0.0.1:3000"
    )]
    pub site_addr: SocketAddr,
    /// PostgreSQL to use. Without it Onceward runs its own under ONCEWARD_DATA
    #[arg(long, env = "DATABASE_URL", value_name = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Onceward's folder: its own PostgreSQL and the simulator's ledger
    #[arg(long, env = "ONCEWARD_DATA", value_name = "ONCEWARD_DATA", default_value = "./data")]
    pub data: PathBuf,
    /// The posting service. Without it the simulator runs inside
    #[arg(long, env = "POSTING_URL", value_name = "POSTING_URL", hide_env_values = true, value_parser = http_url)]
    pub posting_url: Option<String>,
    /// Where the simulator listens when it runs inside
    #[arg(
        long,
        env = "SIMULATOR_ADDR",
        value_name = "SIMULATOR_ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub simulator_addr: SocketAddr,
    #[command(flatten)]
    pub posting: PostingSettings,
    #[command(flatten)]
    pub webhooks: WebhookSettings,
    /// Refuse submissions over the API that have no idempotency key
    #[arg(long, env = "IDEMPOTENCY_KEY_REQUIRED", value_parser = BoolishValueParser::new())]
    pub idempotency_key_required: bool,
    /// How long a shutdown waits for what is under way, in milliseconds
    #[arg(
        long,
        env = "SHUTDOWN_GRACE_MS",
        value_name = "SHUTDOWN_GRACE_MS",
        default_value_t = 10_000
    )]
    pub shutdown_grace_ms: u64,
}

impl Settings {
    /// How long a shutdown waits for what is under way.
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_millis(self.shutdown_grace_ms)
    }
}

/// Whose webhooks are believed.
#[derive(Debug, Clone, Args)]
pub struct WebhookSettings {
    /// What inbound webhooks must be signed with, by Standard Webhooks: whsec_<base64>, several with commas
    /// between while one takes the place of another. Unset: signatures are not looked at
    #[arg(long, env = "WEBHOOK_SECRETS", value_name = "WEBHOOK_SECRETS", hide_env_values = true, value_parser = SecretsParser)]
    pub webhook_secrets: Option<WebhookSecrets>,
    /// How far the timestamp of a signed webhook may be from this machine's clock, either way, in seconds
    #[arg(long, env = "WEBHOOK_TOLERANCE_SECONDS", value_name = "WEBHOOK_TOLERANCE_SECONDS", default_value_t = 300, value_parser = value_parser!(u64).range(1..=86_400))]
    pub webhook_tolerance_seconds: u64,
}

/// Reads secrets. clap's own parsers repeat a bad value in their error.
#[derive(Clone)]
struct SecretsParser;

impl TypedValueParser for SecretsParser {
    type Value = WebhookSecrets;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<WebhookSecrets, clap::Error> {
        value.to_str().unwrap_or_default().parse().map_err(|error: WebhookSecretError| {
            let message = format!("WEBHOOK_SECRETS: {error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

/// Settings of `worker`.
#[derive(Debug, Clone, Args)]
pub struct WorkerSettings {
    /// What it shares with the others.
    #[command(flatten)]
    pub settings: Settings,
    /// Where it tells of itself: /metrics, /livez and /readyz. Without it, nowhere
    #[arg(long, env = "METRICS_ADDR", value_name = "METRICS_ADDR")]
    pub metrics_addr: Option<SocketAddr>,
}

/// How a worker posts.
#[derive(Debug, Clone, Args)]
pub struct PostingSettings {
    /// How long one request to the posting service may take, in milliseconds
    #[arg(long, env = "POSTING_TIMEOUT_MS", value_name = "POSTING_TIMEOUT_MS", default_value_t = 10_000, value_parser = value_parser!(u64).range(1..=3_600_000))]
    pub posting_timeout_ms: u64,
    /// How long after a time-out or a broken connection the posting service may still apply a
    /// request, in milliseconds
    #[arg(long, env = "POSTING_SETTLE_MS", value_name = "POSTING_SETTLE_MS", default_value_t = 30_000, value_parser = value_parser!(u64).range(..=86_400_000))]
    pub posting_settle_ms: u64,
    /// How long after a write a verification may still miss it, in milliseconds
    #[arg(long, env = "POSTING_VISIBILITY_MS", value_name = "POSTING_VISIBILITY_MS", default_value_t = 1_000, value_parser = value_parser!(u64).range(..=86_400_000))]
    pub posting_visibility_ms: u64,
    /// POSTs under way per process, each with the verification that follows it at once. Each has a
    /// connection, hence an open file
    #[arg(long, env = "POSTING_CONCURRENCY", value_name = "POSTING_CONCURRENCY", default_value_t = 64, value_parser = value_parser!(u16).range(1..=16_384))]
    pub posting_concurrency: u16,
    /// Verifications of earlier attempts under way per process. They go on while nothing is posted
    #[arg(long, env = "VERIFICATION_CONCURRENCY", value_name = "VERIFICATION_CONCURRENCY", default_value_t = 16, value_parser = value_parser!(u16).range(1..=4096))]
    pub verification_concurrency: u16,
    /// Requests a second to the posting service per process, of either kind. Unset: no limit
    #[arg(long, env = "POSTING_RATE_LIMIT", value_name = "POSTING_RATE_LIMIT", value_parser = positive)]
    pub posting_rate_limit: Option<f64>,
    /// How many attempts a transaction gets
    #[arg(long, env = "POSTING_MAX_ATTEMPTS", value_name = "POSTING_MAX_ATTEMPTS", default_value_t = 20, value_parser = value_parser!(u32).range(1..=10_000))]
    pub posting_max_attempts: u32,
    /// The first delay between attempts is at most this, in milliseconds; it doubles each time
    #[arg(long, env = "POSTING_RETRY_BASE_MS", value_name = "POSTING_RETRY_BASE_MS", default_value_t = 500, value_parser = value_parser!(u64).range(1..=3_600_000))]
    pub posting_retry_base_ms: u64,
    /// No delay between attempts is longer than this, in milliseconds
    #[arg(long, env = "POSTING_RETRY_MAX_MS", value_name = "POSTING_RETRY_MAX_MS", default_value_t = 60_000, value_parser = value_parser!(u64).range(1..=86_400_000))]
    pub posting_retry_max_ms: u64,
}

impl PostingSettings {
    /// How many requests to the posting service a process has under way at most.
    pub fn requests_at_once(&self, role: Role) -> u64 {
        match role {
            Role::Web => 0,
            Role::Both | Role::Worker { .. } => {
                u64::from(self.posting_concurrency) + u64::from(self.verification_concurrency)
            }
        }
    }

    /// The protocol's settings. In doubt, verification goes on ten times slower than attempts did.
    pub fn policy(&self) -> Policy {
        let backoff = Backoff {
            base: Duration::from_millis(self.posting_retry_base_ms),
            max: Duration::from_millis(self.posting_retry_max_ms),
        };
        Policy {
            max_attempts: self.posting_max_attempts,
            timeout: Duration::from_millis(self.posting_timeout_ms),
            settle: Duration::from_millis(self.posting_settle_ms),
            visibility: Duration::from_millis(self.posting_visibility_ms),
            backoff,
            in_doubt_backoff: Backoff { base: backoff.base * 10, max: backoff.max * 10 },
        }
    }
}

/// Settings of `simulator`.
#[derive(Debug, Clone, Args)]
pub struct SimulatorSettings {
    /// Where it listens
    #[arg(
        long,
        env = "SIMULATOR_ADDR",
        value_name = "SIMULATOR_ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub simulator_addr: SocketAddr,
    /// Its ledger is kept in this folder
    #[arg(long, env = "ONCEWARD_DATA", value_name = "ONCEWARD_DATA", default_value = "./data")]
    pub data: PathBuf,
    /// Decides which requests are hit by a fault
    #[arg(long, env = "SIMULATOR_SEED", value_name = "SIMULATOR_SEED", default_value_t = 1)]
    pub seed: u64,
}

/// Settings of `load`.
#[derive(Debug, Clone, Args)]
pub struct LoadSettings {
    /// Submissions a second
    #[arg(long, default_value_t = 200.0, value_parser = positive)]
    pub rate: f64,
    /// For how long, such as 30s, 5m or 500ms
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub duration: Duration,
    /// How long to wait after that until everything is final
    #[arg(long, default_value = "300s", value_parser = duration)]
    pub wait: Duration,
    /// Onceward
    #[arg(long, default_value = "http://127.0.0.1:3000", value_parser = http_url)]
    pub url: String,
    /// The posting service, whose ledger is the judge
    #[arg(long, env = "POSTING_URL", value_name = "POSTING_URL", hide_env_values = true, default_value = "http://127.0.0.1:8080", value_parser = http_url)]
    pub posting_url: String,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

fn http_url(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("must be an http or https URL".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("must be a number greater than zero".to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale_ms = match unit {
        "ms" => 1.0,
        "s" | "" => 1_000.0,
        "m" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return Err("must be a number with ms, s, m or h, such as 30s".to_owned()),
    };
    let number = positive(number)?;
    Duration::try_from_secs_f64(number * scale_ms / 1_000.0).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_serves() {
        let cli = Cli::try_parse_from(["onceward", "--site-addr", "127.0.0.1:4000"]).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.serve.site_addr.port(), 4000);
    }

    #[test]
    fn a_switch_is_on_where_it_is_named() {
        let required = |arguments: &[&str]| {
            Cli::try_parse_from(arguments).unwrap().serve.idempotency_key_required
        };
        assert!(!required(&["onceward"]));
        assert!(required(&["onceward", "--idempotency-key-required"]));
    }

    #[test]
    fn a_bad_value_is_refused_with_the_settings_name() {
        for (flag, value, name) in [
            ("--site-addr", "localhost", "LEPTOS_SITE_ADDR"),
            ("--posting-timeout-ms", "0", "POSTING_TIMEOUT_MS"),
            ("--posting-concurrency", "many", "POSTING_CONCURRENCY"),
            ("--posting-url", "ftp://x", "POSTING_URL"),
        ] {
            let error = Cli::try_parse_from(["onceward", "serve", flag, value]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_bad_secret_is_refused_without_being_repeated() {
        let refused = |value: &str| {
            let arguments = ["onceward", "web", "--webhook-secrets", value];
            Cli::try_parse_from(arguments).unwrap_err().to_string()
        };
        for value in ["c2VjcmV0", "whsec_c2VjcmV0", "whsec_c2VjcmV0*"] {
            let error = refused(value);
            assert!(error.contains("WEBHOOK_SECRETS: secret 1 "), "{error}");
            assert!(!error.contains("c2VjcmV0"), "{error}");
        }
        assert!(refused("").contains("WEBHOOK_SECRETS: names no secret"));
    }

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "s", "-1s", "0s", "1x"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
