//! The settings of posting.

use std::time::Duration;

use clap::{Args, value_parser};
use domain::{backoff::Backoff, protocol::Policy};

use super::values::positive;
use crate::commands::role::Role;

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
