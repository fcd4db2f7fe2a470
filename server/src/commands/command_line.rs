//! The command line. Every setting is a flag and an environment variable; `--help` is the manual.

use clap::{Parser, Subcommand};

use super::{
    audit::AuditSettings,
    client::ClientSettings,
    load::{self, LoadSettings},
    migrate::MigrateSettings,
    settings::{Settings, WorkerSettings},
    simulator::SimulatorSettings,
    user::UserSettings,
};

/// Hand transactions to a slow, unreliable posting service: accepted in milliseconds, never lost,
/// posted exactly once.
#[derive(Debug, Parser)]
#[command(name = "onceward", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "The log goes to standard error; RUST_LOG sets its levels.")]
pub struct Cli {
    /// The command; `serve` if there is none.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings of `serve`.
    #[command(flatten)]
    pub serve: Settings,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Web and workers in one process (the default)
    Serve(Settings),
    /// The pages and the API without a worker. Any number on one database
    Web(Settings),
    /// A worker, which posts, without pages or API. Any number on one database
    Worker(WorkerSettings),
    /// Bring the database's schema up to date, as its owner, and exit. `serve`, `web` and `worker` do so
    /// themselves at their start if they may
    Migrate(MigrateSettings),
    /// Clients, which are the accounts of programs, and their keys
    Client(ClientSettings),
    /// Users, which are the accounts of people
    User(UserSettings),
    /// The simulated posting service, which misbehaves on demand
    Simulator(SimulatorSettings),
    /// Submit at a fixed rate, wait until everything is final, and audit. Ctrl-C ends the submissions, a second
    /// one the waiting. The exit code is 1 if anything is lost or duplicated, and 2 after any other failure
    Load(LoadSettings),
    /// The audit's chain of hashes
    Audit(AuditSettings),
}

/// Reads the command line. If it is wrong, or asks for help, says so and ends the program.
pub fn read() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        let arguments: Vec<_> = std::env::args_os().skip(1).collect();
        let is_load = arguments.first().is_some_and(|command| command == "load");
        if error.use_stderr() && is_load && arguments.iter().any(|argument| argument == "--json") {
            let _ = load::print_error_as_json("usage", error.render().to_string().trim_end());
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
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
}
