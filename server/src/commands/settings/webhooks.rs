//! The settings of inbound webhooks.

use clap::{Args, value_parser};

use super::secret_parser::SecretParser;
use crate::http::WebhookSecrets;

/// Which webhooks are accepted.
#[derive(Debug, Clone, Args)]
pub struct WebhookSettings {
    /// The secrets that inbound webhooks must be signed with (Standard Webhooks): whsec_<base64>, several
    /// separated by commas during a rotation. Unset: signatures are not checked
    #[arg(long, env = "WEBHOOK_SECRETS", value_name = "WEBHOOK_SECRETS", hide_env_values = true, value_parser = SecretParser::<WebhookSecrets>::new("WEBHOOK_SECRETS"))]
    pub webhook_secrets: Option<WebhookSecrets>,
    /// How far the timestamp of a signed webhook may differ from this machine's clock, in seconds
    #[arg(long, env = "WEBHOOK_TOLERANCE_SECONDS", value_name = "WEBHOOK_TOLERANCE_SECONDS", default_value_t = 300, value_parser = value_parser!(u64).range(1..=86_400))]
    pub webhook_tolerance_seconds: u64,
}
