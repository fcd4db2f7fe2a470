//! The posting service over HTTP: requests, how they connect, and what answers say about a transaction. What
//! follows from an answer is decided in `domain`.

mod connector;
mod deadline_body;
mod entry;
mod http_client;

pub use connector::{ConnectorError, ForwardProxy};
pub use entry::RequiredFields;
pub use http_client::HttpPostingClient;
