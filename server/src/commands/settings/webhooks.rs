//! The settings of inbound webhooks.

use std::ffi::OsStr;

use clap::{Args, builder::TypedValueParser, error::ErrorKind, value_parser};

use crate::http::{WebhookSecretError, WebhookSecrets};

/// Which webhooks are accepted.
#[derive(Debug, Clone, Args)]
pub struct WebhookSettings {
    /// The secrets that inbound webhooks must be signed with (Standard Webhooks): whsec_<base64>, several
    /// separated by commas during a rotation. Unset: signatures are not checked
    #[arg(long, env = "WEBHOOK_SECRETS", value_name = "WEBHOOK_SECRETS", hide_env_values = true, value_parser = SecretsParser)]
    pub webhook_secrets: Option<WebhookSecrets>,
    /// How far the timestamp of a signed webhook may differ from this machine's clock, in seconds
    #[arg(long, env = "WEBHOOK_TOLERANCE_SECONDS", value_name = "WEBHOOK_TOLERANCE_SECONDS", default_value_t = 300, value_parser = value_parser!(u64).range(1..=86_400))]
    pub webhook_tolerance_seconds: u64,
}

/// Parses secrets. clap's own parsers repeat a bad value in their error message.
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
