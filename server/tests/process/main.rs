//! The program among other things of its machine: its outputs, signals, a database that is not there yet or not fit,
//! rights, poolers, proxies, certificates, limits.
#![allow(clippy::unwrap_used)]

mod certificates;
mod database;
mod database_tls;
mod forward_proxy;
mod nginx;
mod output;
mod pooler;
mod posting_credentials;
mod schema;
mod start_and_stop;
#[path = "../support/mod.rs"]
mod support;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
