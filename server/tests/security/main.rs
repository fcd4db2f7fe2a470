//! The program as a stranger tries it: every route with every verb, doubled and broken headers, bodies that are too
//! long, too deep or cut off, and tricks with paths. The routes come from the document that the program serves, so a new
//! one is tried, too. Each answer is documented for its operation, or one that every route may give; none is a 5xx
//! but a 503.
#![allow(clippy::unwrap_used)]

mod answer;
mod bodies;
mod framing;
mod headers;
mod paths;
mod routes;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod verbs;
