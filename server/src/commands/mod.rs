//! The command line and its commands, one file a command; `serve`, `web` and `worker` are one run in three roles.
//!
//! A command starts and stops the parts of the program; the parts themselves are elsewhere.

pub mod audit;
pub mod client;
pub mod command_line;
mod database;
pub mod fatal;
mod first_admin;
mod leptos_options;
mod listening;
pub mod load;
mod loopback;
pub mod migrate;
mod people_tidier;
mod prepare;
mod print;
mod resources;
pub mod role;
pub mod serve_web_worker;
pub mod settings;
pub mod simulator;
mod stop_signal;
pub mod user;
