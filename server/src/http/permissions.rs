//! Which permission each route needs: of the REST API, the streams, the pages, the server functions, and the commands.
//!
//! This is the one table of it. The middleware obeys it, and refuses a route that has no row; the table in the documents
//! and the security requirements in the API's document are made from it.

use std::{collections::HashMap, sync::LazyLock};

use axum::http::Method;
use domain::Permission;

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: everyone may send it.
    Open,
    /// Another check than the caller's role: a credential in the body, or a setting of its own.
    OwnCheck,
    /// A caller of any role.
    Caller,
    /// A caller whose role has this permission.
    Permission(Permission),
    /// Access to the database; only commands.
    Database,
}

/// A route, and what it needs.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The method; `COMMAND` for a command.
    pub method: &'static str,
    /// The path, as the router has it; for a command its name.
    pub path: &'static str,
    /// What it needs.
    pub need: Need,
}

const fn row(method: &'static str, path: &'static str, need: Need) -> Row {
    Row { method, path, need }
}

const READ: Need = Need::Permission(Permission::Read);
const READ_ALL: Need = Need::Permission(Permission::ReadAll);
const SUBMIT: Need = Need::Permission(Permission::Submit);
const OPERATE: Need = Need::Permission(Permission::Operate);
const ADMINISTER: Need = Need::Permission(Permission::Administer);

/// Every route.
pub const TABLE: &[Row] = &[
    // Transactions
    row("POST", "/api/transactions", SUBMIT),
    row("POST", "/api/transactions/batch", SUBMIT),
    row("GET", "/api/transactions", READ),
    row("GET", "/api/transactions/export", READ),
    row("GET", "/api/transactions/changes", READ),
    row("GET", "/api/transactions/{id}", READ),
    row("GET", "/api/transactions/{id}/attempts", READ),
    row("GET", "/api/transactions/{id}/interventions", READ),
    row("GET", "/api/stream", READ),
    row("POST", "/v1/webhooks/transactions", SUBMIT),
    row("GET", "/v1/transactions", READ),
    row("GET", "/v1/transactions/{transaction_id}", READ),
    // Operations
    row("POST", "/api/transactions/{id}/cancel", OPERATE),
    row("POST", "/api/transactions/{id}/retry", OPERATE),
    row("POST", "/api/transactions/{id}/resolve", OPERATE),
    row("POST", "/api/bulk-retries", OPERATE),
    row("GET", "/api/bulk-retries/{id}", READ_ALL),
    row("GET", "/api/posting", READ_ALL),
    row("POST", "/api/posting/pause", OPERATE),
    row("POST", "/api/posting/resume", OPERATE),
    row("POST", "/cleanup", ADMINISTER),
    // Access
    row("GET", "/api/me", Need::Caller),
    row("POST", "/api/auth/token", Need::OwnCheck),
    row("GET", "/.well-known/jwks.json", Need::Open),
    row("GET", "/api/clients", ADMINISTER),
    row("POST", "/api/clients", ADMINISTER),
    row("GET", "/api/clients/{id}", ADMINISTER),
    row("PATCH", "/api/clients/{id}", ADMINISTER),
    row("GET", "/api/clients/{id}/keys", ADMINISTER),
    row("POST", "/api/clients/{id}/keys", ADMINISTER),
    row("DELETE", "/api/clients/{id}/keys/{key_id}", ADMINISTER),
    row("GET", "/api/users", ADMINISTER),
    row("POST", "/api/users", ADMINISTER),
    row("GET", "/api/users/{id}", ADMINISTER),
    row("PATCH", "/api/users/{id}", ADMINISTER),
    row("POST", "/api/users/{id}/reset-password", ADMINISTER),
    row("GET", "/api/sessions", Need::Caller),
    row("DELETE", "/api/sessions/{handle}", Need::Caller),
    row("GET", "/api/audit", READ_ALL),
    row("GET", "/api/audit/export", READ_ALL),
    // Monitoring
    row("GET", "/livez", Need::Open),
    row("GET", "/readyz", Need::Open),
    row("GET", "/metrics", Need::OwnCheck),
    row("GET", "/api/health", READ),
    // The API's document, and paths that do not exist
    row("GET", "/api/openapi.json", Need::Open),
    row("GET", "/api/docs", Need::Open),
    row("GET", "/api/docs/", Need::Open),
    row("GET", "/api/docs/{*rest}", Need::Open),
    row("*", "/api", Need::Open),
    row("*", "/api/{*path}", Need::Open),
    row("*", "/v1", Need::Open),
    row("*", "/v1/", Need::Open),
    row("*", "/v1/{*path}", Need::Open),
    // Pages
    row("GET", "/", READ),
    row("POST", "/", SUBMIT),
    row("GET", "/transactions/{id}", READ),
    // Pages for people; those of the account check the session themselves
    row("GET", "/sign-in", Need::Open),
    row("POST", "/sign-in", Need::OwnCheck),
    row("POST", "/sign-out", Need::Open),
    row("GET", "/set-password", Need::OwnCheck),
    row("POST", "/set-password", Need::OwnCheck),
    row("GET", "/account", Need::OwnCheck),
    row("POST", "/account/password", Need::OwnCheck),
    row("POST", "/account/totp", Need::OwnCheck),
    row("POST", "/account/totp/confirm", Need::OwnCheck),
    row("POST", "/account/totp/change", Need::OwnCheck),
    row("POST", "/account/end-sessions", Need::OwnCheck),
    row("POST", "/account/sessions/{handle}/end", Need::OwnCheck),
    row("GET", "/users", ADMINISTER),
    row("POST", "/users", ADMINISTER),
    row("POST", "/users/{name}/role", ADMINISTER),
    row("POST", "/users/{name}/change", ADMINISTER),
    row("GET", "/clients", ADMINISTER),
    row("POST", "/clients", ADMINISTER),
    row("POST", "/clients/{name}/role", ADMINISTER),
    row("POST", "/clients/{name}/change", ADMINISTER),
    row("POST", "/clients/{name}/keys", ADMINISTER),
    row("POST", "/clients/{name}/keys/{key_id}/revoke", ADMINISTER),
    row("GET", "/audit", READ_ALL),
    // Server functions
    row("POST", "/fn/list_transactions", READ),
    row("POST", "/fn/count_transactions", READ),
    row("POST", "/fn/find_transaction", READ),
    row("POST", "/fn/read_posting_status", READ_ALL),
    row("POST", "/fn/bulk_retry_progress", READ_ALL),
    row("POST", "/fn/submit_transaction", SUBMIT),
    row("POST", "/fn/intervene", OPERATE),
    row("POST", "/fn/retry_all", OPERATE),
    row("POST", "/fn/set_pause", OPERATE),
    // Commands
    row("COMMAND", "onceward client create", Need::Database),
    row("COMMAND", "onceward client list", Need::Database),
    row("COMMAND", "onceward client set-role", Need::Database),
    row("COMMAND", "onceward client disable", Need::Database),
    row("COMMAND", "onceward client key create", Need::Database),
    row("COMMAND", "onceward client key list", Need::Database),
    row("COMMAND", "onceward client key revoke", Need::Database),
    row("COMMAND", "onceward user create", Need::Database),
    row("COMMAND", "onceward user list", Need::Database),
    row("COMMAND", "onceward user set-role", Need::Database),
    row("COMMAND", "onceward user reset-password", Need::Database),
    row("COMMAND", "onceward user disable", Need::Database),
    row("COMMAND", "onceward user enable", Need::Database),
    row("COMMAND", "onceward audit verify", Need::Database),
    row("COMMAND", "onceward migrate", Need::Database),
];

static BY_ROUTE: LazyLock<HashMap<(&str, &str), Need>> =
    LazyLock::new(|| TABLE.iter().map(|row| ((row.path, row.method), row.need)).collect());

/// What a request to a route needs; `None` if the table does not have the route. HEAD is as GET.
pub fn need(method: &Method, path: &str) -> Option<Need> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    BY_ROUTE.get(&(path, method)).or_else(|| BY_ROUTE.get(&(path, "*"))).copied()
}

/// The methods that the table has for a path, as in `Allow`; empty if it does not have the path.
pub fn methods(path: &str) -> String {
    let rows = TABLE.iter().filter(|row| row.path == path);
    let methods = rows.flat_map(|row| match row.method {
        "GET" => vec!["GET", "HEAD"],
        method => vec![method],
    });
    methods.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _};

    use domain::Role;

    use super::*;
    use crate::http::{api, openapi};

    #[test]
    fn each_route_has_one_row() {
        let routes: BTreeSet<_> = TABLE.iter().map(|row| (row.path, row.method)).collect();
        assert_eq!(routes.len(), TABLE.len());
    }

    /// The routes of the router, as (path, method). Only what catches unknown paths is not listed by any of its parts.
    fn routes() -> BTreeSet<(String, String)> {
        let mut routes = BTreeSet::new();
        let documented = openapi::router().merge(api::routes(true)).into_openapi();
        for (path, item) in &documented.paths.paths {
            let methods = [
                ("GET", item.get.is_some()),
                ("POST", item.post.is_some()),
                ("PUT", item.put.is_some()),
                ("PATCH", item.patch.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            for (method, _) in methods.into_iter().filter(|(_, is_there)| *is_there) {
                routes.insert((path.clone(), method.to_owned()));
            }
        }
        for page in leptos_axum::generate_route_list(app::App) {
            routes.insert((page.path().to_owned(), "GET".to_owned()));
        }
        for (path, method) in leptos::server_fn::axum::server_fn_paths() {
            routes.insert((path.to_owned(), method.to_string()));
        }
        routes
    }

    /// Listing the pages needs a runtime.
    #[tokio::test]
    async fn the_router_and_the_table_have_the_same_routes() {
        let of_table: BTreeSet<_> = TABLE
            .iter()
            .filter(|row| row.need != Need::Database)
            .map(|row| (row.path.to_owned(), row.method.to_owned()))
            .collect();
        let of_router = routes();
        let without_row: Vec<_> = of_router.difference(&of_table).collect();
        assert!(without_row.is_empty(), "without a row: {without_row:?}");
        // Registered by hand, and not listed by any part of the router.
        let by_hand = |path: &str, method: &str| {
            method == "*"
                || path == "/api/openapi.json"
                || path.starts_with("/api/docs")
                || method == "POST" && !path.starts_with("/api/") && !path.starts_with("/fn/")
                || path.starts_with("/.well-known/")
                || ["/audit", "/sign-in", "/set-password", "/account", "/users", "/clients"]
                    .contains(&path)
        };
        let without_route: Vec<_> = of_table
            .difference(&of_router)
            .filter(|(path, method)| !by_hand(path, method))
            .collect();
        assert!(without_route.is_empty(), "without a route: {without_route:?}");
    }

    /// The table for people.
    fn document() -> String {
        let mut text = include_str!("permissions.md").to_owned();
        let roles = Role::ALL.map(|role| role.as_str()).join(" | ");
        let _ = writeln!(text, "| | | needs | {roles} |\n|---|---|---|{}", "---|".repeat(5));
        for row in TABLE {
            let needs = match row.need {
                Need::Open => "nothing",
                Need::OwnCheck => "its own check",
                Need::Caller => "a caller",
                Need::Permission(permission) => permission.as_str(),
                Need::Database => "the database",
            };
            let roles = Role::ALL.map(|role| match row.need {
                Need::Open | Need::OwnCheck | Need::Caller => "yes",
                Need::Permission(permission) if role.may(permission) => "yes",
                Need::Permission(_) | Need::Database => "-",
            });
            let method = if row.method == "*" { "any" } else { row.method };
            let _ =
                writeln!(text, "| {method} | `{}` | {needs} | {} |", row.path, roles.join(" | "));
        }
        text
    }

    #[test]
    fn the_committed_table_is_generated_from_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/PERMISSIONS.md");
        let made = document();
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(made == committed, "docs/PERMISSIONS.md differs from the code: run `make openapi`");
    }
}
