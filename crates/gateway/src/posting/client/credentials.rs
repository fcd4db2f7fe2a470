//! The credentials of requests to the posting service, and what follows if they are refused.

use std::sync::Arc;

use chrono::Utc;
use reqwest::{
    RequestBuilder,
    header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::SecretString;

use super::{
    connector::{self, ConnectorError, ForwardProxy, TlsFiles},
    oauth::{Token, TokenRequest, TokenSource},
    secret_text::{authorizes, basic, bearer, headers, text},
    signature::signed,
    watched::{FileError, SettingFile, Watched},
};
use crate::posting::service::CredentialError;

/// Where the credentials come from. The default is none.
#[derive(Debug, Clone, Default)]
pub struct CredentialSettings {
    /// What `Authorization` holds.
    pub authorization: AuthorizationSettings,
    /// A file with further headers, one on a line.
    pub headers: Option<SettingFile>,
    /// A file with the secret that requests are signed with.
    pub hmac_secret: Option<SettingFile>,
}

/// What `Authorization` holds.
#[derive(Debug, Clone, Default)]
pub enum AuthorizationSettings {
    /// Nothing.
    #[default]
    None,
    /// The bearer token in a file.
    Bearer(SettingFile),
    /// The user and the password in a file, separated by a colon.
    Basic(SettingFile),
    /// An access token of an authorization server.
    OAuth(OAuthSettings),
}

/// The client credentials grant of OAuth 2.
#[derive(Debug, Clone)]
pub struct OAuthSettings {
    /// The URL of the token endpoint.
    pub token_url: String,
    /// The client's id.
    pub client_id: String,
    /// A file with the client's secret.
    pub client_secret: SettingFile,
    /// The scopes, separated by spaces.
    pub scope: Option<String>,
    /// For whom the token is to be, which some servers want.
    pub audience: Option<String>,
    /// The proxy on the way to the token endpoint.
    pub proxy: Option<ForwardProxy>,
}

/// The credentials of all requests.
pub struct Credentials {
    authorization: Authorization,
    headers: Option<Watched<HeaderMap>>,
    hmac_secret: Option<Watched<SecretString>>,
}

enum Authorization {
    None,
    Header(Watched<HeaderValue>),
    Token(TokenSource),
}

/// The credentials of one request.
pub struct RequestCredentials {
    header: Option<Arc<HeaderValue>>,
    token: Option<Arc<Token>>,
    headers: Option<Arc<HeaderMap>>,
    hmac_secret: Option<Arc<SecretString>>,
}

impl Credentials {
    /// Reads the files. No request is sent yet.
    ///
    /// # Errors
    /// A file cannot be read, or holds something else; or no client for the token endpoint can be built.
    pub fn new(
        settings: CredentialSettings,
        tls: &TlsFiles,
        timeout: std::time::Duration,
    ) -> Result<Self, ConnectorError> {
        let authorization = match settings.authorization {
            AuthorizationSettings::None => Authorization::None,
            AuthorizationSettings::Bearer(file) => Authorization::Header(secret(file, bearer)?),
            AuthorizationSettings::Basic(file) => Authorization::Header(secret(file, basic)?),
            AuthorizationSettings::OAuth(oauth) => {
                let client = connector::token_client(
                    oauth.proxy,
                    &oauth.token_url,
                    tls.ca.clone(),
                    timeout,
                )?;
                Authorization::Token(TokenSource::new(
                    client,
                    TokenRequest {
                        token_url: oauth.token_url,
                        client_id: oauth.client_id,
                        client_secret: secret(oauth.client_secret, |_, text| Ok(text.clone()))?,
                        scope: oauth.scope,
                        audience: oauth.audience,
                    },
                ))
            }
        };
        let is_authorized = !matches!(authorization, Authorization::None);
        let read_headers = move |setting, lines: &SecretString| {
            let headers = headers(setting, lines)?;
            match is_authorized && authorizes(&headers) {
                true => Err(FileError::new(setting, "sets Authorization, as another setting does")),
                false => Ok(headers),
            }
        };
        Ok(Self {
            authorization,
            headers: settings.headers.map(|file| secret(file, read_headers)).transpose()?,
            hmac_secret: settings
                .hmac_secret
                .map(|file| secret(file, |_, text| Ok(text.clone())))
                .transpose()?,
        })
    }

    /// The credentials for a request that is sent now.
    ///
    /// # Errors
    /// No access token can be had.
    pub async fn for_request(&self) -> Result<RequestCredentials, CredentialError> {
        let (header, token) = match &self.authorization {
            Authorization::None => (None, None),
            Authorization::Header(watched) => (Some(watched.current().await), None),
            Authorization::Token(source) => (None, Some(source.token().await?)),
        };
        Ok(RequestCredentials {
            header,
            token,
            headers: current(&self.headers).await,
            hmac_secret: current(&self.hmac_secret).await,
        })
    }

    /// Finds other credentials after these were refused with a status: reads the files again, and discards the token.
    /// Whether the next request has others that have not been refused yet.
    pub async fn renew(&self, refused: &RequestCredentials, status: u16) -> bool {
        let mut is_renewed = false;
        if let (Authorization::Header(watched), Some(known)) =
            (&self.authorization, &refused.header)
        {
            is_renewed |= watched.differs_from(known).await;
        }
        if let (Authorization::Token(source), Some(known)) = (&self.authorization, &refused.token) {
            is_renewed |= source.discard(known, status);
        }
        if let (Some(watched), Some(known)) = (&self.headers, &refused.headers) {
            is_renewed |= watched.differs_from(known).await;
        }
        if let (Some(watched), Some(known)) = (&self.hmac_secret, &refused.hmac_secret) {
            is_renewed |= watched.differs_from(known).await;
        }
        is_renewed
    }
}

impl RequestCredentials {
    /// The request with the credentials. `content` is what is signed: see [`super::signature`].
    pub fn on(&self, mut request: RequestBuilder, content: &[u8]) -> RequestBuilder {
        if let Some(headers) = &self.headers {
            request = request.headers(HeaderMap::clone(headers));
        }
        if let Some(header) = &self.header {
            request = request.header(AUTHORIZATION, HeaderValue::clone(header));
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.authorization.clone());
        }
        match &self.hmac_secret {
            Some(secret) => signed(request, secret, Utc::now().timestamp(), content),
            None => request,
        }
    }

    /// Notes that the posting service has accepted them.
    pub fn note_accepted(&self) {
        if let Some(token) = &self.token {
            token.note_accepted();
        }
    }
}

async fn current<T: Send + Sync + 'static>(watched: &Option<Watched<T>>) -> Option<Arc<T>> {
    match watched {
        Some(watched) => Some(watched.current().await),
        None => None,
    }
}

/// What the text in a file stands for.
fn secret<T: Send + Sync + 'static>(
    file: SettingFile,
    read: impl Fn(&'static str, &SecretString) -> Result<T, FileError> + Send + Sync + 'static,
) -> Result<Watched<T>, FileError> {
    let setting = file.setting;
    Watched::read(vec![file], move |contents| match contents {
        [content] => read(setting, &text(setting, content)?),
        _ => Err(FileError::new(setting, "must be one file")),
    })
}
