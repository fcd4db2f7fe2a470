//! Tokens on a real PostgreSQL: of another issuer, whose keys are in a file or on a local server, and Onceward's own.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod external;
mod forged;
mod issuer;
mod jwks_server;
mod own;
mod rotation;
