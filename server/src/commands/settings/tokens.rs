//! The settings of JSON Web Tokens.

use std::{path::PathBuf, time::Duration};

use access::{ClaimName, JwksLocation, RoleMap, TokenRules};
use clap::{Args, builder::NonEmptyStringValueParser, value_parser};

use super::secret_parser::SecretParser;

/// Which tokens of another issuer are accepted, and how long Onceward's own are valid.
#[derive(Debug, Clone, Args)]
pub struct TokenSettings {
    /// The file with the secret, of 32 bytes or more, with which another issuer signs tokens by HS256
    #[arg(long, env = "JWT_HS256_SECRET_FILE", value_name = "JWT_HS256_SECRET_FILE")]
    pub jwt_hs256_secret_file: Option<PathBuf>,
    /// The public keys with which another issuer signs tokens by RS256, ES256 or EdDSA: the path or the https URL of a
    /// JSON Web Key Set
    #[arg(long, env = "JWT_JWKS", value_name = "JWT_JWKS", hide_env_values = true, value_parser = SecretParser::<JwksLocation>::new("JWT_JWKS"))]
    pub jwt_jwks: Option<JwksLocation>,
    /// The issuer that these tokens must name. Unset: any
    #[arg(long, env = "JWT_ISSUER", value_name = "JWT_ISSUER", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_issuer: Option<String>,
    /// The audience that these tokens must name. Unset: a token that names one is refused
    #[arg(long, env = "JWT_AUDIENCE", value_name = "JWT_AUDIENCE", value_parser = NonEmptyStringValueParser::new())]
    pub jwt_audience: Option<String>,
    /// The claim that says the role, or a JSON pointer to it such as /realm_access/roles
    #[arg(long, env = "JWT_ROLE_CLAIM", value_name = "JWT_ROLE_CLAIM", default_value = "role")]
    pub jwt_role_claim: ClaimName,
    /// The claim that is the principal, or a JSON pointer to it
    #[arg(
        long,
        env = "JWT_PRINCIPAL_CLAIM",
        value_name = "JWT_PRINCIPAL_CLAIM",
        default_value = "sub"
    )]
    pub jwt_principal_claim: ClaimName,
    /// Which values of the role's claim stand for which role: value=role, separated by commas. Unset: each role for itself
    #[arg(long, env = "JWT_ROLES", value_name = "JWT_ROLES", default_value = "")]
    pub jwt_roles: RoleMap,
    /// How long a token is valid that Onceward issues for an API key, in seconds
    #[arg(long, env = "TOKEN_TTL_SECONDS", value_name = "TOKEN_TTL_SECONDS", default_value_t = 300, value_parser = value_parser!(u64).range(1..=3_600))]
    pub token_ttl_seconds: u64,
}

impl TokenSettings {
    /// These settings as the crate `access` takes them. The log says if tokens of other applications would be accepted.
    pub fn tokens(&self) -> access::TokenSettings {
        if self.jwt_jwks.is_some() && (self.jwt_issuer.is_none() || self.jwt_audience.is_none()) {
            tracing::warn!(
                "JWT_JWKS is set without JWT_ISSUER and JWT_AUDIENCE: a token that the issuer made for another \
                 application may be accepted"
            );
        }
        access::TokenSettings {
            hs256_secret: self.jwt_hs256_secret_file.clone(),
            jwks: self.jwt_jwks.clone(),
            rules: TokenRules {
                issuer: self.jwt_issuer.clone(),
                audience: self.jwt_audience.clone(),
                principal: self.jwt_principal_claim.clone(),
                role: self.jwt_role_claim.clone(),
                roles: self.jwt_roles.clone(),
            },
            lifetime: Duration::from_secs(self.token_ttl_seconds),
        }
    }
}
