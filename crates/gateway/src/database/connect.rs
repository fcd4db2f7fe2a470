//! The URL of PostgreSQL, and the first connection to it: why it fails, in the words of an operator. A pool would say
//! only that it timed out.

use std::{io, str::FromStr, time::Duration};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use thiserror::Error;
use tokio::time::timeout;

/// How long the first connection may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no connection to PostgreSQL.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL is not one of PostgreSQL.
    #[error("must be a URL of PostgreSQL, which begins with postgres://")]
    NotPostgres,
    /// The URL cannot be read.
    #[error("is not a valid URL: {0}")]
    BadUrl(#[source] sqlx::Error),
    /// The network, or the machine, has no connection.
    #[error("no connection to {server}: {source}")]
    Unreachable {
        /// Where PostgreSQL should be.
        server: String,
        /// The error of the system.
        source: io::Error,
    },
    /// It does not answer.
    #[error("{server} does not answer within {} seconds", TIMEOUT.as_secs())]
    Silent {
        /// Where PostgreSQL should be.
        server: String,
    },
    /// There is no trusted encryption.
    #[error("no trusted TLS connection to {server}: {reason}")]
    Tls {
        /// Where PostgreSQL is.
        server: String,
        /// What is wrong with its certificate, or with ours.
        reason: String,
    },
    /// PostgreSQL refuses this user, password or database, or is not ready yet.
    #[error("{server} refused the connection: {source}")]
    Refused {
        /// Where PostgreSQL is.
        server: String,
        /// What it said.
        source: sqlx::Error,
    },
    /// Something answers that does not speak as PostgreSQL does.
    #[error("{server} does not answer as PostgreSQL does: {source}")]
    NotUnderstood {
        /// Where PostgreSQL should be.
        server: String,
        /// What went wrong.
        source: sqlx::Error,
    },
}

impl ConnectError {
    /// Whether waiting may help: PostgreSQL, or the way to it, may come up later.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => true,
            Self::Refused { source, .. } => is_transient(source),
            Self::NotPostgres | Self::BadUrl(_) | Self::Tls { .. } | Self::NotUnderstood { .. } => {
                false
            }
        }
    }
}

/// Reads the URL of PostgreSQL.
///
/// # Errors
/// [`ConnectError::NotPostgres`] and [`ConnectError::BadUrl`].
pub fn read_url(url: &str) -> Result<PgConnectOptions, ConnectError> {
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    if !["postgres", "postgresql"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(ConnectError::NotPostgres);
    }
    let options = PgConnectOptions::from_str(url).map_err(ConnectError::BadUrl)?;
    // sqlx keeps the brackets of an IPv6 address, and then looks it up as a name.
    let host = options.get_host();
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).map(str::to_owned);
    Ok(match address {
        Some(address) => options.host(&address),
        None => options,
    })
}

/// Makes a connection outside any pool.
///
/// # Errors
/// Why there is none.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, ConnectError> {
    let server = server(options);
    match timeout(TIMEOUT, PgConnection::connect_with(options)).await {
        Err(_) => Err(ConnectError::Silent { server }),
        Ok(Err(error)) => Err(classified(server, is_folder(options), error)),
        Ok(Ok(connection)) => Ok(connection),
    }
}

fn classified(server: String, by_socket: bool, error: sqlx::Error) -> ConnectError {
    match error {
        sqlx::Error::Tls(reason) => ConnectError::Tls { server, reason: reason.to_string() },
        // rustls reports in this way what it does not trust or understand.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            ConnectError::Tls { server, reason: error.to_string() }
        }
        // Of a certificate: a network has no files.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::NotFound && !by_socket => {
            ConnectError::Tls { server, reason: format!("a certificate: {error}") }
        }
        sqlx::Error::Io(source) => ConnectError::Unreachable { server, source },
        source @ sqlx::Error::Database(_) => ConnectError::Refused { server, source },
        source => ConnectError::NotUnderstood { server, source },
    }
}

/// Starting, stopping, or without a free connection.
fn is_transient(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["08", "53", "57P"].iter().any(|class| code.starts_with(class)))
}

/// Whether PostgreSQL is at a socket in a folder.
fn is_folder(options: &PgConnectOptions) -> bool {
    options.get_socket().is_some() || options.get_host().starts_with('/')
}

/// Where PostgreSQL is, for messages: without user and password.
fn server(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(folder) => format!("PostgreSQL at {}", folder.display()),
        None if is_folder(options) => format!("PostgreSQL at {}", options.get_host()),
        None if options.get_host().contains(':') => {
            format!("PostgreSQL at [{}]:{}", options.get_host(), options.get_port())
        }
        None => format!("PostgreSQL at {}:{}", options.get_host(), options.get_port()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn probe(url: &str) -> Result<PgConnection, ConnectError> {
        connect(&read_url(url)?).await
    }

    #[test]
    fn only_urls_of_postgresql_are_read() {
        for url in ["mysql://localhost/x", "localhost", "", "http://x", "postgres:x"] {
            let error = read_url(url).unwrap_err();
            assert!(matches!(error, ConnectError::NotPostgres), "{url}: {error}");
        }
        for url in ["postgres://localhost:99999/x", "postgres://x/y?sslmode=nonsense"] {
            let error = read_url(url).unwrap_err();
            assert!(matches!(error, ConnectError::BadUrl(_)), "{url}: {error}");
        }
        for url in ["postgres:///x?host=/tmp", "postgresql://a:b@localhost:5433/x", "POSTGRES://x"]
        {
            assert!(read_url(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn an_address_of_ipv6_is_read_without_its_brackets() {
        let options = read_url("postgres://u:secret@[::1]:5433/x").unwrap();
        assert_eq!(options.get_host(), "::1");
        assert_eq!(server(&options), "PostgreSQL at [::1]:5433");
    }

    #[tokio::test]
    async fn a_refused_connection_is_said_and_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let error = probe(&format!("postgres://u:secret@{addr}/x")).await.unwrap_err();
        let text = error.to_string();
        assert!(error.retryable() && text.contains(&addr.to_string()), "{text}");
        assert!(text.contains("refused") && !text.contains("secret"), "{text}");
    }

    #[tokio::test]
    async fn an_answer_that_postgresql_never_gives_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                // All of it: closed with something unread, the connection would be reset, and the answer lost.
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
            }
        });
        let error = probe(&format!("postgres://u@{addr}/x?sslmode=require")).await.unwrap_err();
        assert!(!error.retryable(), "{error}");
        // Without TLS it looks like a PostgreSQL that ends in the midst of its answer: it is named, and waited for.
        let error = probe(&format!("postgres://u@{addr}/x?sslmode=disable")).await.unwrap_err();
        assert!(error.retryable() && error.to_string().contains(&addr.to_string()), "{error}");
    }
}
