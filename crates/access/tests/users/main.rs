//! People on a real PostgreSQL: signing in, sessions, second factors, one-time links, slowing down guesses.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod accounts;
mod fixture;
mod second_factor;
mod sessions;
mod throttle;
