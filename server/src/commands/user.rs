//! `onceward user`: people's accounts.

use std::{fs, path::PathBuf, process::ExitCode};

use access::{Access, LINK_LIFETIME_HOURS, NewPassword, SecretToken};
use clap::{Args, Subcommand};
use domain::{Actor, Role};
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;

use super::{database::DatabaseSettings, fatal::Fatal, print::print};

/// Settings of `user`.
#[derive(Debug, Clone, Args)]
pub struct UserSettings {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(subcommand)]
    command: UserCommand,
}

/// What to do with users.
#[derive(Debug, Clone, Subcommand)]
enum UserCommand {
    /// Create a user, and print its id. Without a password, the user needs a link of `reset-password`
    Create {
        /// Its name, which is its principal and stays for ever
        name: String,
        /// viewer, submitter, operator, approver or admin
        #[arg(long)]
        role: Role,
        /// The file with its password. A line break at the end does not count
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
    /// List the users: name, role, id, and whether it has no password, has an authenticator app, or is disabled
    List,
    /// Change the role of a user, and end its sessions
    SetRole {
        /// Its name
        name: String,
        /// viewer, submitter, operator, approver or admin
        #[arg(long)]
        role: Role,
    },
    /// Print a link with which the user sets a new password, once and within 24 hours; or set the password from a file
    ResetPassword {
        /// Its name
        name: String,
        /// The file with its new password
        #[arg(long)]
        password_file: Option<PathBuf>,
        /// Also remove its authenticator app and its recovery codes
        #[arg(long)]
        remove_totp: bool,
        /// Where people reach Onceward
        #[arg(
            long,
            env = "ONCEWARD_URL",
            value_name = "ONCEWARD_URL",
            default_value = "http://127.0.0.1:3000"
        )]
        url: String,
    },
    /// Disable a user, and end its sessions
    Disable {
        /// Its name
        name: String,
    },
    /// Enable a user that is disabled
    Enable {
        /// Its name
        name: String,
    },
}

/// Carries out a command.
///
/// # Errors
/// If the database cannot be reached, or the command breaks a rule.
pub async fn run(settings: UserSettings) -> Result<ExitCode, Fatal> {
    let UserSettings { database, command } = settings;
    database.run(async |pool| carry_out(pool, command).await).await?;
    Ok(ExitCode::SUCCESS)
}

async fn carry_out(pool: PgPool, command: UserCommand) -> Result<(), Fatal> {
    let (access, actor) = (Access::new(pool), Actor::command_line());
    match command {
        UserCommand::Create { name, role, password_file } => {
            let password = password_file.map(|file| read_password(&file, &name)).transpose()?;
            print(access.create_user(&actor, &name, role, password).await?)?;
        }
        UserCommand::List => {
            for user in access.users().await? {
                let marks = [
                    (!user.has_password, "\tno password"),
                    (user.has_totp, "\tauthenticator app"),
                    (user.disabled_at.is_some(), "\tdisabled"),
                ];
                let marks: String =
                    marks.iter().filter(|(is_so, _)| *is_so).map(|(_, mark)| *mark).collect();
                print(format!("{}\t{}\t{}{marks}", user.name, user.role, user.id))?;
            }
        }
        UserCommand::SetRole { name, role } => {
            access.change_user(&actor, &name, Some(role), None).await?;
        }
        UserCommand::ResetPassword { name, password_file, remove_totp, url } => {
            match password_file {
                Some(file) => {
                    access.set_user_password(&actor, &name, read_password(&file, &name)?).await?;
                }
                None => {
                    print(link(&url, &access.create_link(&actor, &name).await?).expose_secret())?
                }
            }
            if remove_totp {
                access.remove_totp(&actor, &name).await?;
            }
        }
        UserCommand::Disable { name } => {
            access.change_user(&actor, &name, None, Some(true)).await?;
        }
        UserCommand::Enable { name } => {
            access.change_user(&actor, &name, None, Some(false)).await?;
        }
    }
    Ok(())
}

/// The address of the page on which a link's owner sets a password.
pub fn link(url: &str, token: &SecretToken) -> SecretString {
    let (url, token) = (url.trim_end_matches('/'), token.text());
    format!("{url}/set-password?token={}", token.expose_secret()).into()
}

/// What to tell whoever receives a link.
pub fn link_note() -> String {
    format!("it is valid for {LINK_LIFETIME_HOURS} hours, and once")
}

/// Reads a new password for a user.
///
/// # Errors
/// If the file cannot be read, or the password breaks a rule.
pub fn read_password(file: &std::path::Path, user: &str) -> Result<NewPassword, Fatal> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
    let password: SecretString = text.trim_end_matches(['\n', '\r']).into();
    let checked = NewPassword::check(&password, user);
    Ok(checked.map_err(|rule| format!("the password in {shown} {rule}"))?)
}
