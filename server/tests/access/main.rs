//! Who may do what, on the real program with authentication required.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod commands;
mod first_admin;
mod forged;
#[path = "../../../crates/access/tests/tokens/issuer.rs"]
#[expect(dead_code, reason = "the tests of tokens use the rest")]
mod issuer;
mod keys;
mod matrix;
mod own_transactions;
mod people;
mod streams;
mod tokens;
mod users_api;
mod watched;

use serde_json::{Value, json};
use support::{Program, Service, command, run_to_end};
use watched::Watched;

/// The roles.
const ROLES: [&str; 5] = ["viewer", "submitter", "operator", "approver", "admin"];

/// A program that requires authentication, with its database and its posting service.
struct Guarded {
    program: Watched,
    database: String,
    service: Service,
}

impl Guarded {
    async fn start() -> Self {
        let (database, service) = (support::database().await, Service::start().await);
        let program = Watched::start(Self::command(&service, &database)).await;
        Self { program, database, service }
    }

    /// Another process on the same database.
    async fn another(&self) -> Watched {
        Watched::start(Self::command(&self.service, &self.database)).await
    }

    fn command(service: &Service, database: &str) -> tokio::process::Command {
        let mut command = service.command("serve", database);
        command.env("ONCEWARD_AUTH", "required");
        command
    }

    /// What `onceward` prints with these arguments.
    async fn onceward(&self, arguments: &[&str]) -> String {
        let mut command = command(arguments);
        let output = command.env("DATABASE_URL", &self.database).output().await.unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{arguments:?}: {log}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The key of a new client.
    async fn client(&self, name: &str, role: &str) -> String {
        self.onceward(&["client", "create", name, "--role", role]).await;
        self.onceward(&["client", "key", "create", name]).await
    }
}

impl Program {
    async fn read_as(&self, key: &str, path: &str) -> Value {
        let answer = self.get(path).bearer_auth(key).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    async fn status_as(&self, key: &str, path: &str) -> u16 {
        self.get(path).bearer_auth(key).send().await.unwrap().status().as_u16()
    }

    /// The id of a transaction that the holder of a key submits.
    async fn submit_as(&self, key: &str, reference: &str) -> String {
        let body = json!({"amount": 1, "currency": "USD", "reference": reference});
        let request = self.post("/api/transactions").bearer_auth(key);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 202);
        answer.json::<Value>().await.unwrap()["transactionId"].as_str().unwrap().to_owned()
    }
}
