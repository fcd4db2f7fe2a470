//! The settings of who may read the metrics.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use secrecy::SecretString;

use crate::{
    commands::fatal::Fatal,
    http::{MetricsAccess, TokenHash},
};

/// The shortest token, in characters.
const MIN_TOKEN_CHARS: usize = 16;

/// Who may read /metrics.
#[derive(Debug, Clone, Args)]
pub struct MetricsSettings {
    /// Who may read /metrics. Unset: whoever has the token, if METRICS_TOKEN_FILE is set; otherwise everyone on loopback, and
    /// nobody beyond it
    #[arg(long, env = "METRICS_ACCESS", value_name = "METRICS_ACCESS", value_enum)]
    pub metrics_access: Option<Access>,
    /// The file of the token that a scraper sends as Authorization: Bearer
    #[arg(long, env = "METRICS_TOKEN_FILE", value_name = "METRICS_TOKEN_FILE")]
    pub metrics_token_file: Option<PathBuf>,
}

/// Who may read the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Access {
    /// Everyone.
    Open,
    /// Whoever has the token.
    Token,
    /// Nobody.
    Off,
}

impl MetricsSettings {
    /// Who may read the metrics of a listener, with the token if one is needed.
    ///
    /// # Errors
    /// If there is none, or it is too short.
    pub fn read(&self, is_loopback: bool) -> Result<MetricsAccess, Fatal> {
        let file = match (self.metrics_access, &self.metrics_token_file) {
            (Some(Access::Off), _) => return Ok(MetricsAccess::Off),
            (Some(Access::Open), _) => return Ok(MetricsAccess::Open),
            // They show volumes and failures, so beyond loopback someone has to decide.
            (None, None) if is_loopback => return Ok(MetricsAccess::Open),
            (None, None) => return Ok(MetricsAccess::Off),
            (Some(Access::Token), None) => {
                return Err("METRICS_ACCESS: token needs METRICS_TOKEN_FILE".into());
            }
            (Some(Access::Token) | None, Some(file)) => file,
        };
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!("METRICS_TOKEN_FILE: cannot read {}: {error}", file.display())
        })?;
        let token = text.trim();
        if token.chars().count() < MIN_TOKEN_CHARS {
            return Err(format!(
                "METRICS_TOKEN_FILE: the token must have at least {MIN_TOKEN_CHARS} characters"
            )
            .into());
        }
        Ok(MetricsAccess::Token(TokenHash::of(&SecretString::from(token))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(metrics_access: Option<Access>, token: Option<&str>) -> Result<MetricsAccess, Fatal> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let metrics_token_file = token.map(|token| {
            std::fs::write(&file, token).unwrap();
            file
        });
        MetricsSettings { metrics_access, metrics_token_file }.read(true)
    }

    #[test]
    fn the_metrics_are_open_unless_a_token_or_the_setting_closes_them() {
        const TOKEN: Option<&str> = Some("0123456789abcdef\n");
        assert!(matches!(read(None, None), Ok(MetricsAccess::Open)));
        assert!(matches!(read(None, TOKEN), Ok(MetricsAccess::Token(_))));
        assert!(matches!(read(Some(Access::Token), TOKEN), Ok(MetricsAccess::Token(_))));
        assert!(matches!(read(Some(Access::Open), TOKEN), Ok(MetricsAccess::Open)));
        assert!(matches!(read(Some(Access::Off), TOKEN), Ok(MetricsAccess::Off)));
        assert!(read(Some(Access::Token), None).is_err());
        let beyond = MetricsSettings { metrics_access: None, metrics_token_file: None }.read(false);
        assert!(matches!(beyond, Ok(MetricsAccess::Off)));
        let error = read(None, Some("secret")).unwrap_err().to_string();
        assert!(error.contains("16") && !error.contains("secret"), "{error}");
    }
}
