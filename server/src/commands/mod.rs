//! The command line and its commands, one file a command; `serve`, `web` and `worker` are one run in three roles.
//!
//! Each command starts and stops its parts; the parts themselves are elsewhere.

pub mod command_line;
mod leptos_options;
pub mod load;
pub mod serve_web_worker;
