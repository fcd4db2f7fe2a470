//! The posting service over HTTP: requests, how they connect, and what answers say about a transaction. What
//! follows from an answer is decided in `domain`.

mod answer;
mod connector;
mod credentials;
mod deadline_body;
mod entry;
mod http_client;
mod oauth;
mod secret_text;
mod signature;
mod watched;

pub use connector::{ConnectorError, ForwardProxy, TlsFiles};
pub use credentials::{AuthorizationSettings, CredentialSettings, OAuthSettings};
pub use entry::RequiredFields;
pub use http_client::HttpPostingClient;
pub use watched::{FileError, SettingFile};
