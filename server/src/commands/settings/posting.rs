//! The settings of posting.

use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};
use domain::{backoff::Backoff, protocol::Policy};
use gateway::{ConnectorError, ForwardProxy, HttpPostingClient, RequiredFields};

use super::{
    posting_credentials::PostingCredentials, posting_proxy::PostingProxy,
    secret_parser::SecretParser, values::positive,
};
use crate::commands::fatal::Fatal;

/// How a worker posts.
#[derive(Debug, Clone, Args)]
pub struct PostingSettings {
    /// How long one request to the posting service may take, in milliseconds
    #[arg(long, env = "POSTING_TIMEOUT_MS", value_name = "POSTING_TIMEOUT_MS", default_value_t = 10_000, value_parser = value_parser!(u64).range(1..=3_600_000))]
    pub posting_timeout_ms: u64,
    /// The settle window: how long the posting service may still apply a request that timed out, whose
    /// connection broke, or that was answered 408, 502 to 504, or 520 and above, in milliseconds
    #[arg(long, env = "POSTING_SETTLE_MS", value_name = "POSTING_SETTLE_MS", default_value_t = 30_000, value_parser = value_parser!(u64).range(..=86_400_000))]
    pub posting_settle_ms: u64,
    /// The visibility window: how long after a write a verification may still miss it, in milliseconds
    #[arg(long, env = "POSTING_VISIBILITY_MS", value_name = "POSTING_VISIBILITY_MS", default_value_t = 1_000, value_parser = value_parser!(u64).range(..=86_400_000))]
    pub posting_visibility_ms: u64,
    /// POSTs in flight per process, each including the verification that directly follows it. Each uses
    /// a connection and thus an open file
    #[arg(long, env = "POSTING_CONCURRENCY", value_name = "POSTING_CONCURRENCY", default_value_t = 64, value_parser = value_parser!(u16).range(1..=16_384))]
    pub posting_concurrency: u16,
    /// Verifications of earlier attempts in flight per process. They continue while posting is paused or
    /// the circuit breaker is open
    #[arg(long, env = "VERIFICATION_CONCURRENCY", value_name = "VERIFICATION_CONCURRENCY", default_value_t = 16, value_parser = value_parser!(u16).range(1..=4096))]
    pub verification_concurrency: u16,
    /// Requests per second to the posting service per process, POSTs and verifications. Unset: no limit
    #[arg(long, env = "POSTING_RATE_LIMIT", value_name = "POSTING_RATE_LIMIT", value_parser = positive)]
    pub posting_rate_limit: Option<f64>,
    /// How many attempts a transaction has
    #[arg(long, env = "POSTING_MAX_ATTEMPTS", value_name = "POSTING_MAX_ATTEMPTS", default_value_t = 20, value_parser = value_parser!(u32).range(1..=10_000))]
    pub posting_max_attempts: u32,
    /// The upper bound of the first retry delay, in milliseconds; it doubles with each attempt
    #[arg(long, env = "POSTING_RETRY_BASE_MS", value_name = "POSTING_RETRY_BASE_MS", default_value_t = 500, value_parser = value_parser!(u64).range(1..=3_600_000))]
    pub posting_retry_base_ms: u64,
    /// The longest retry delay, in milliseconds
    #[arg(long, env = "POSTING_RETRY_MAX_MS", value_name = "POSTING_RETRY_MAX_MS", default_value_t = 60_000, value_parser = value_parser!(u64).range(1..=86_400_000))]
    pub posting_retry_max_ms: u64,
    /// The fields that an entry must have, besides the id, for a verification to find it: amount, currency, or
    /// both with a comma. Unset: none; those that it has are compared in any case
    #[arg(
        long,
        env = "POSTING_VERIFY_FIELDS",
        value_name = "POSTING_VERIFY_FIELDS",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub posting_verify_fields: Vec<VerifyField>,
    /// Which POSTs that were answered with a success are verified before they count as posted: unclear, or always
    #[arg(
        long,
        env = "POSTING_CONFIRM",
        value_name = "POSTING_CONFIRM",
        default_value = "unclear",
        hide_possible_values = true
    )]
    pub posting_confirm: Confirm,
    /// How long verification of a transaction may fail before it becomes in doubt while attempts are left, in
    /// milliseconds
    #[arg(long, env = "POSTING_DOUBT_AFTER_MS", value_name = "POSTING_DOUBT_AFTER_MS", default_value_t = 300_000, value_parser = value_parser!(u64).range(1..=86_400_000))]
    pub posting_doubt_after_ms: u64,
    /// The proxy for requests to POSTING_URL: off, environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY), or
    /// its URL
    #[arg(
        long,
        env = "POSTING_PROXY",
        value_name = "POSTING_PROXY",
        default_value = "off",
        hide_env_values = true,
        value_parser = SecretParser::<PostingProxy>::new("POSTING_PROXY")
    )]
    pub posting_proxy: PostingProxy,
    #[command(flatten)]
    pub credentials: PostingCredentials,
}

/// A field that an entry of the posting service must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VerifyField {
    /// The amount.
    Amount,
    /// The currency.
    Currency,
}

/// Which successes are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Confirm {
    /// Those that contradict the transaction, are no confirmation, or say that it is not done yet.
    Unclear,
    /// All of them.
    Always,
}

impl PostingSettings {
    /// The fields that an entry must have for a verification to find it.
    pub fn required_fields(&self) -> RequiredFields {
        RequiredFields {
            amount: self.posting_verify_fields.contains(&VerifyField::Amount),
            currency: self.posting_verify_fields.contains(&VerifyField::Currency),
        }
    }

    /// A client for the posting service at `url`, with the credentials and through the proxy that the settings name.
    ///
    /// # Errors
    /// If the proxy or a credential cannot be used, or there is no certificate to trust and one is needed.
    pub fn client(&self, url: &str) -> Result<HttpPostingClient, Fatal> {
        let proxy = self.posting_proxy.on_the_way_to(url)?;
        if let Some(proxy) = &proxy {
            tracing::info!(proxy = proxy.url, "requests to the posting service go through a proxy");
        }
        self.client_through(proxy, url)
    }

    /// A client for the simulator of this process at `url`: no proxy is on the way.
    ///
    /// # Errors
    /// If a credential cannot be used.
    pub fn client_of_own_simulator(&self, url: &str) -> Result<HttpPostingClient, Fatal> {
        self.client_through(None, url)
    }

    fn client_through(
        &self,
        proxy: Option<ForwardProxy>,
        url: &str,
    ) -> Result<HttpPostingClient, Fatal> {
        let (tls, credentials) = self.credentials.towards(url, &self.posting_proxy)?;
        let timeout = Duration::from_millis(self.posting_timeout_ms);
        let client = HttpPostingClient::through(proxy, url, tls, credentials, timeout);
        Ok(client
            .map_err(|error| match error {
                // It names its setting.
                ConnectorError::File(error) => error.to_string(),
                error => format!("POSTING_URL: {error}"),
            })?
            .requiring(self.required_fields()))
    }

    /// The protocol's settings. A transaction in doubt is verified ten times more slowly than attempts
    /// are retried.
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
            doubt_after: Duration::from_millis(self.posting_doubt_after_ms),
            confirms_posts: self.posting_confirm == Confirm::Always,
        }
    }
}
