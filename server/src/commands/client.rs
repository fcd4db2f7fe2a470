//! `onceward client`: clients, which are the accounts of programs, and their keys.

use std::process::ExitCode;

use access::Access;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Args, Subcommand};
use domain::{Actor, PrincipalKind, Role};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use uuid::Uuid;

use super::{database::DatabaseSettings, fatal::Fatal, print::print};

/// Settings of `client`.
#[derive(Debug, Clone, Args)]
pub struct ClientSettings {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(subcommand)]
    command: ClientCommand,
}

/// What to do with clients.
#[derive(Debug, Clone, Subcommand)]
enum ClientCommand {
    /// Create a client, and print its id
    Create {
        /// Its name, which is its principal and stays for ever
        name: String,
        /// viewer, submitter, operator, approver or admin
        #[arg(long)]
        role: Role,
        /// Its own rate limit, such as 100/s, instead of that of the settings
        #[arg(long)]
        rate_limit: Option<String>,
    },
    /// List the clients: name, role, id, and whether it is disabled
    List,
    /// Change the role of a client
    SetRole {
        /// Its name
        name: String,
        /// viewer, submitter, operator, approver or admin
        #[arg(long)]
        role: Role,
    },
    /// Disable a client: none of its keys is accepted from now on
    Disable {
        /// Its name
        name: String,
    },
    /// Enable a client that is disabled
    Enable {
        /// Its name
        name: String,
    },
    /// The keys of a client
    #[command(subcommand)]
    Key(KeyCommand),
}

/// What to do with keys.
#[derive(Debug, Clone, Subcommand)]
enum KeyCommand {
    /// Create a key, and print it: it is not shown again
    Create {
        /// The client's name
        name: String,
        /// After what time it expires, such as 90d or 12h. Unset: never
        #[arg(long, value_parser = lifetime)]
        expires_in: Option<TimeDelta>,
    },
    /// List the keys of a client: id, when created, until when valid, when last used, and whether it is revoked
    List {
        /// The client's name
        name: String,
    },
    /// Revoke a key: every process obeys within a second
    Revoke {
        /// The key's id, between its first two underscores
        key_id: String,
    },
}

/// Carries out a command.
///
/// # Errors
/// If the database cannot be reached, or the command breaks a rule.
pub async fn run(settings: ClientSettings) -> Result<ExitCode, Fatal> {
    let ClientSettings { database, command } = settings;
    database.run(async |pool| carry_out(pool, command).await).await?;
    Ok(ExitCode::SUCCESS)
}

async fn carry_out(pool: PgPool, command: ClientCommand) -> Result<(), Fatal> {
    let (access, actor) = (Access::new(pool), Actor::command_line());
    match command {
        ClientCommand::Create { name, role, rate_limit } => {
            let id = access.create_client(&actor, &name, role, rate_limit.as_deref()).await?;
            print(id)?;
        }
        ClientCommand::List => {
            for client in access.principals(PrincipalKind::Client).await? {
                let state = if client.disabled_at.is_some() { "\tdisabled" } else { "" };
                print(format!("{}\t{}\t{}{state}", client.name, client.role, client.id))?;
            }
        }
        ClientCommand::SetRole { name, role } => {
            let id = named(&access, &name).await?;
            access.change_client(&actor, id, Some(role), None, None).await?;
        }
        ClientCommand::Disable { name } => {
            let id = named(&access, &name).await?;
            access.change_client(&actor, id, None, None, Some(true)).await?;
        }
        ClientCommand::Enable { name } => {
            let id = named(&access, &name).await?;
            access.change_client(&actor, id, None, None, Some(false)).await?;
        }
        ClientCommand::Key(KeyCommand::Create { name, expires_in }) => {
            let id = named(&access, &name).await?;
            let key = access.create_key(&actor, id, expires_in).await?;
            print(key.text.expose_secret())?;
        }
        ClientCommand::Key(KeyCommand::List { name }) => {
            for key in access.keys(named(&access, &name).await?).await? {
                let state = if key.revoked_at.is_some() { "\trevoked" } else { "" };
                let (created, expires) = (time(Some(key.created_at)), time(key.expires_at));
                let used = time(key.last_used_at);
                print(format!("{}\t{created}\t{expires}\t{used}{state}", key.id))?;
            }
        }
        ClientCommand::Key(KeyCommand::Revoke { key_id }) => {
            access.revoke_key(&actor, None, &key_id).await?;
        }
    }
    Ok(())
}

async fn named(access: &Access, name: &str) -> Result<Uuid, Fatal> {
    let client = access.principal(PrincipalKind::Client, name).await?;
    Ok(client.ok_or_else(|| format!("there is no client {name}"))?.id)
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// A number with a unit, such as `90d`.
fn lifetime(text: &str) -> Result<TimeDelta, String> {
    let wrong = || "must be a whole number followed by s, m, h or d, such as 90d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    TimeDelta::try_seconds(i64::from(number) * seconds).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_has_a_unit() {
        assert_eq!(lifetime("90d"), Ok(TimeDelta::days(90)));
        assert_eq!(lifetime("12h"), Ok(TimeDelta::hours(12)));
        for text in ["", "d", "90", "-1d", "1w", "1.5h", "9999999999d", "1ä"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
