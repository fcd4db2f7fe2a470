//! The settings of the credentials towards the posting service.

use std::path::PathBuf;

use clap::{Args, builder::BoolishValueParser};
use gateway::{AuthorizationSettings, CredentialSettings, OAuthSettings, SettingFile, TlsFiles};
use reqwest::Url;

use super::{posting_proxy::PostingProxy, secret_parser::SecretParser};

/// How Onceward shows the posting service who it is. Secrets are in files, which are read again when they change.
#[derive(Debug, Clone, Default, Args)]
pub struct PostingCredentials {
    /// A file with the bearer token for requests to the posting service
    #[arg(long, env = "POSTING_BEARER_TOKEN_FILE", value_name = "POSTING_BEARER_TOKEN_FILE")]
    pub posting_bearer_token_file: Option<PathBuf>,
    /// A file with user:password for requests to the posting service (HTTP Basic)
    #[arg(long, env = "POSTING_BASIC_AUTH_FILE", value_name = "POSTING_BASIC_AUTH_FILE")]
    pub posting_basic_auth_file: Option<PathBuf>,
    /// A file with further headers of requests to the posting service, one on a line as Name: value
    #[arg(long, env = "POSTING_HEADERS_FILE", value_name = "POSTING_HEADERS_FILE")]
    pub posting_headers_file: Option<PathBuf>,
    /// The token endpoint that issues access tokens for the posting service (OAuth 2, client credentials)
    #[arg(
        long,
        env = "POSTING_OAUTH_TOKEN_URL",
        value_name = "POSTING_OAUTH_TOKEN_URL",
        hide_env_values = true,
        value_parser = SecretParser::<TokenUrl>::new("POSTING_OAUTH_TOKEN_URL")
    )]
    pub posting_oauth_token_url: Option<TokenUrl>,
    /// The client's id at the token endpoint
    #[arg(long, env = "POSTING_OAUTH_CLIENT_ID", value_name = "POSTING_OAUTH_CLIENT_ID")]
    pub posting_oauth_client_id: Option<String>,
    /// A file with the client's secret at the token endpoint
    #[arg(
        long,
        env = "POSTING_OAUTH_CLIENT_SECRET_FILE",
        value_name = "POSTING_OAUTH_CLIENT_SECRET_FILE"
    )]
    pub posting_oauth_client_secret_file: Option<PathBuf>,
    /// The scopes to ask the token endpoint for, separated by spaces
    #[arg(long, env = "POSTING_OAUTH_SCOPE", value_name = "POSTING_OAUTH_SCOPE")]
    pub posting_oauth_scope: Option<String>,
    /// The audience to ask the token endpoint for
    #[arg(long, env = "POSTING_OAUTH_AUDIENCE", value_name = "POSTING_OAUTH_AUDIENCE")]
    pub posting_oauth_audience: Option<String>,
    /// A file with the certificates (PEM) of the authorities to check the posting service's certificate with, instead of
    /// the system's
    #[arg(long, env = "POSTING_CA_FILE", value_name = "POSTING_CA_FILE")]
    pub posting_ca_file: Option<PathBuf>,
    /// A file with the certificate (PEM, with its chain) by which the posting service knows Onceward
    #[arg(long, env = "POSTING_CLIENT_CERT_FILE", value_name = "POSTING_CLIENT_CERT_FILE")]
    pub posting_client_cert_file: Option<PathBuf>,
    /// A file with the key (PEM) of POSTING_CLIENT_CERT_FILE
    #[arg(long, env = "POSTING_CLIENT_KEY_FILE", value_name = "POSTING_CLIENT_KEY_FILE")]
    pub posting_client_key_file: Option<PathBuf>,
    /// A file with the secret that requests to the posting service are signed with (HMAC-SHA256)
    #[arg(long, env = "POSTING_HMAC_SECRET_FILE", value_name = "POSTING_HMAC_SECRET_FILE")]
    pub posting_hmac_secret_file: Option<PathBuf>,
    /// Send credentials to the posting service over plain http even beyond loopback
    #[arg(long, env = "POSTING_CREDENTIALS_OVER_HTTP", value_parser = BoolishValueParser::new())]
    pub posting_credentials_over_http: bool,
}

/// The URL of a token endpoint.
#[derive(Debug, Clone)]
pub struct TokenUrl(Url);

impl std::str::FromStr for TokenUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| "must be an http or https URL")?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("must be an http or https URL");
        }
        if url.fragment().is_some() || has_credentials(&url) {
            return Err("must have neither a fragment nor a user and a password");
        }
        Ok(Self(url))
    }
}

impl PostingCredentials {
    /// The certificates and credentials for the posting service at `posting_url`.
    ///
    /// # Errors
    /// Settings contradict each other, one is missing, or credentials would be sent over an open network. The error names
    /// a setting.
    pub fn towards(
        &self,
        posting_url: &str,
        proxy: &PostingProxy,
    ) -> Result<(TlsFiles, CredentialSettings), String> {
        let url = Url::parse(posting_url).map_err(|error| format!("POSTING_URL: {error}"))?;
        let authorization = self.authorization(&url, proxy)?;
        let has_authorization = !matches!(authorization, AuthorizationSettings::None);
        if has_authorization || self.posting_headers_file.is_some() || has_credentials(&url) {
            self.refuse_plain("POSTING_URL", &url)?;
        }
        let credentials = CredentialSettings {
            authorization,
            headers: file("POSTING_HEADERS_FILE", &self.posting_headers_file),
            hmac_secret: file("POSTING_HMAC_SECRET_FILE", &self.posting_hmac_secret_file),
        };
        Ok((self.tls(&url)?, credentials))
    }

    fn authorization(
        &self,
        posting_url: &Url,
        proxy: &PostingProxy,
    ) -> Result<AuthorizationSettings, String> {
        let bearer = file("POSTING_BEARER_TOKEN_FILE", &self.posting_bearer_token_file);
        let basic = file("POSTING_BASIC_AUTH_FILE", &self.posting_basic_auth_file);
        let oauth = self.oauth(proxy)?;
        let given: Vec<_> = [
            (bearer.is_some(), "POSTING_BEARER_TOKEN_FILE"),
            (basic.is_some(), "POSTING_BASIC_AUTH_FILE"),
            (oauth.is_some(), "POSTING_OAUTH_TOKEN_URL"),
            (has_credentials(posting_url), "the user in POSTING_URL"),
        ]
        .into_iter()
        .filter_map(|(is_given, name)| is_given.then_some(name))
        .collect();
        if let [first, second, ..] = given[..] {
            return Err(format!(
                "{first} and {second} exclude each other: both authorize requests"
            ));
        }
        Ok(match (bearer, basic, oauth) {
            (Some(file), ..) => AuthorizationSettings::Bearer(file),
            (_, Some(file), _) => AuthorizationSettings::Basic(file),
            (.., Some(oauth)) => AuthorizationSettings::OAuth(oauth),
            _ => AuthorizationSettings::None,
        })
    }

    fn oauth(&self, proxy: &PostingProxy) -> Result<Option<OAuthSettings>, String> {
        let secret =
            file("POSTING_OAUTH_CLIENT_SECRET_FILE", &self.posting_oauth_client_secret_file);
        let Some(TokenUrl(token_url)) = &self.posting_oauth_token_url else {
            let needless = [
                (self.posting_oauth_client_id.is_some(), "POSTING_OAUTH_CLIENT_ID"),
                (secret.is_some(), "POSTING_OAUTH_CLIENT_SECRET_FILE"),
                (self.posting_oauth_scope.is_some(), "POSTING_OAUTH_SCOPE"),
                (self.posting_oauth_audience.is_some(), "POSTING_OAUTH_AUDIENCE"),
            ];
            return match needless.into_iter().find(|(is_given, _)| *is_given) {
                Some((_, name)) => Err(format!("{name} needs POSTING_OAUTH_TOKEN_URL")),
                None => Ok(None),
            };
        };
        let missing = |name| format!("POSTING_OAUTH_TOKEN_URL needs {name}");
        self.refuse_plain("POSTING_OAUTH_TOKEN_URL", token_url)?;
        Ok(Some(OAuthSettings {
            token_url: token_url.to_string(),
            client_id: self
                .posting_oauth_client_id
                .clone()
                .ok_or_else(|| missing("POSTING_OAUTH_CLIENT_ID"))?,
            client_secret: secret.ok_or_else(|| missing("POSTING_OAUTH_CLIENT_SECRET_FILE"))?,
            scope: self.posting_oauth_scope.clone(),
            audience: self.posting_oauth_audience.clone(),
            proxy: proxy.on_the_way_to(token_url.as_str())?,
        }))
    }

    fn tls(&self, posting_url: &Url) -> Result<TlsFiles, String> {
        let ca = file("POSTING_CA_FILE", &self.posting_ca_file);
        let certificate = file("POSTING_CLIENT_CERT_FILE", &self.posting_client_cert_file);
        let key = file("POSTING_CLIENT_KEY_FILE", &self.posting_client_key_file);
        let client_certificate = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err("POSTING_CLIENT_CERT_FILE needs POSTING_CLIENT_KEY_FILE".to_owned());
            }
            (None, Some(_)) => {
                return Err("POSTING_CLIENT_KEY_FILE needs POSTING_CLIENT_CERT_FILE".to_owned());
            }
        };
        let token_url = self.posting_oauth_token_url.as_ref().map(|TokenUrl(url)| url);
        let is_https = |url: &Url| url.scheme() == "https";
        if ca.is_some() && ![Some(posting_url), token_url].into_iter().flatten().any(is_https) {
            return Err("POSTING_CA_FILE: POSTING_URL is not https".to_owned());
        }
        if client_certificate.is_some() && !is_https(posting_url) {
            return Err("POSTING_CLIENT_CERT_FILE: POSTING_URL is not https".to_owned());
        }
        Ok(TlsFiles { ca, client_certificate })
    }

    /// Whoever listens on the way could use the credentials.
    fn refuse_plain(&self, setting: &str, url: &Url) -> Result<(), String> {
        if url.scheme() == "https" || is_loopback(url) || self.posting_credentials_over_http {
            return Ok(());
        }
        Err(format!(
            "{setting}: credentials would be sent over plain http. Use https, or set \
             POSTING_CREDENTIALS_OVER_HTTP if something else protects the way"
        ))
    }
}

fn file(setting: &'static str, path: &Option<PathBuf>) -> Option<SettingFile> {
    path.clone().map(|path| SettingFile { setting, path })
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(path: &str) -> Option<PathBuf> {
        Some(path.into())
    }

    fn refusal(credentials: &PostingCredentials, url: &str) -> String {
        credentials.towards(url, &PostingProxy::Off).unwrap_err()
    }

    fn oauth(token_url: &str) -> PostingCredentials {
        PostingCredentials {
            posting_oauth_token_url: Some(token_url.parse().unwrap()),
            posting_oauth_client_id: Some("onceward".to_owned()),
            posting_oauth_client_secret_file: some("secret"),
            ..PostingCredentials::default()
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused_by_name() {
        let both = PostingCredentials {
            posting_bearer_token_file: some("token"),
            posting_basic_auth_file: some("pair"),
            ..PostingCredentials::default()
        };
        let said = refusal(&both, "https://bank");
        assert!(
            said.starts_with("POSTING_BEARER_TOKEN_FILE and POSTING_BASIC_AUTH_FILE"),
            "{said}"
        );
        let said = refusal(&oauth("https://tokens"), "https://user:pass@bank");
        assert!(said.starts_with("POSTING_OAUTH_TOKEN_URL and the user in POSTING_URL"), "{said}");
        assert!(!said.contains("pass@"), "{said}");
    }

    #[test]
    fn a_setting_without_the_one_that_belongs_to_it_is_refused_by_name() {
        let cases = [
            (
                PostingCredentials { posting_oauth_client_id: None, ..oauth("https://tokens") },
                "POSTING_OAUTH_TOKEN_URL needs POSTING_OAUTH_CLIENT_ID",
            ),
            (
                PostingCredentials {
                    posting_oauth_scope: Some("post".to_owned()),
                    ..PostingCredentials::default()
                },
                "POSTING_OAUTH_SCOPE needs POSTING_OAUTH_TOKEN_URL",
            ),
            (
                PostingCredentials {
                    posting_client_key_file: some("key"),
                    ..PostingCredentials::default()
                },
                "POSTING_CLIENT_KEY_FILE needs POSTING_CLIENT_CERT_FILE",
            ),
        ];
        for (credentials, expected) in cases {
            assert_eq!(refusal(&credentials, "https://bank"), expected);
        }
        let ca =
            PostingCredentials { posting_ca_file: some("ca"), ..PostingCredentials::default() };
        assert_eq!(refusal(&ca, "http://127.0.0.1"), "POSTING_CA_FILE: POSTING_URL is not https");
    }

    #[test]
    fn credentials_are_not_sent_over_plain_http_beyond_loopback_unless_a_setting_allows_it() {
        let bearer = PostingCredentials {
            posting_bearer_token_file: some("token"),
            ..PostingCredentials::default()
        };
        for url in
            ["https://bank", "http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost"]
        {
            assert!(bearer.towards(url, &PostingProxy::Off).is_ok(), "{url}");
        }
        for url in ["http://bank", "http://10.0.0.1", "http://localhost.example"] {
            let said = refusal(&bearer, url);
            assert!(said.starts_with("POSTING_URL: "), "{said}");
            assert!(said.contains("POSTING_CREDENTIALS_OVER_HTTP"), "{said}");
            let allowed =
                PostingCredentials { posting_credentials_over_http: true, ..bearer.clone() };
            assert!(allowed.towards(url, &PostingProxy::Off).is_ok(), "{url}");
        }
        let said = refusal(&oauth("http://tokens"), "https://bank");
        assert!(said.starts_with("POSTING_OAUTH_TOKEN_URL: "), "{said}");
        // A signature discloses nothing.
        let signing = PostingCredentials {
            posting_hmac_secret_file: some("secret"),
            ..PostingCredentials::default()
        };
        assert!(signing.towards("http://bank", &PostingProxy::Off).is_ok());
    }

    #[test]
    fn the_url_of_a_token_endpoint_may_have_a_query_and_no_password() {
        assert!("https://tokens/oauth?tenant=1".parse::<TokenUrl>().is_ok());
        for url in ["", "tokens", "ftp://tokens", "https://u:p@tokens", "https://tokens#x"] {
            assert!(url.parse::<TokenUrl>().is_err(), "{url}");
        }
    }
}
