//! `onceward audit`: verifies the audit's chain of hashes.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use access::{Access, AuditHead, Verified, VerifyError};
use clap::{Args, Subcommand};

use super::{database::DatabaseSettings, fatal::Fatal, print::print};

/// The exit code where the chain is broken.
const BROKEN: u8 = 1;
/// The exit code where it could not be verified.
const NOT_VERIFIED: u8 = 2;

/// Settings of `audit`.
#[derive(Debug, Clone, Args)]
pub struct AuditSettings {
    /// What to do.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// The commands of `audit`.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Verify the chain of hashes, and print how many entries there are and the chain's head, NUMBER:HASH. The exit code
    /// is 1 if the chain is broken, and 2 if it could not be verified
    Verify(VerifySettings),
}

/// Settings of `audit verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifySettings {
    /// A head that was printed earlier and noted elsewhere. If it is not in the chain, the chain counts as broken: without
    /// it nobody can tell that the newest entries were removed
    #[arg(long, value_name = "NUMBER:HASH")]
    pub head: Option<AuditHead>,
    /// Where the audit is.
    #[command(flatten)]
    pub database: DatabaseSettings,
}

/// Carries out a command, prints its result, and returns the exit code.
pub async fn run(settings: AuditSettings) -> ExitCode {
    let AuditCommand::Verify(settings) = settings.command;
    let (code, error) = match verify(settings).await {
        Ok(Ok(verified)) => match print(verified) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => (NOT_VERIFIED, error),
        },
        Ok(Err(VerifyError::Broken(broken))) => {
            (BROKEN, format!("the audit is broken: {broken}").into())
        }
        Ok(Err(error)) => (NOT_VERIFIED, error.into()),
        Err(error) => (NOT_VERIFIED, error),
    };
    let _ = writeln!(io::stderr(), "onceward: {error}");
    ExitCode::from(code)
}

async fn verify(settings: VerifySettings) -> Result<Result<Verified, VerifyError>, Fatal> {
    let VerifySettings { head, database } = settings;
    database.run(async |pool| Ok(Access::new(pool).verify_audit(head).await)).await
}
