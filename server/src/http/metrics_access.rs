//! Who may read `/metrics`, which has a setting of its own, because a scraper is no principal.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Who may read the metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub enum MetricsAccess {
    /// Everyone.
    Open,
    /// Whoever has this token.
    Token(TokenHash),
    /// Nobody: there are none.
    Off,
}

/// The hash of a token. Comparing hashes takes a time that says nothing about the token.
#[derive(Debug, Clone)]
pub struct TokenHash(Arc<[u8; 32]>);

impl TokenHash {
    /// That of a token.
    pub fn of(token: &SecretString) -> Self {
        Self(Arc::new(Sha256::digest(token.expose_secret()).into()))
    }
}

impl MetricsAccess {
    /// Lets a request with these headers pass.
    ///
    /// # Errors
    /// 401 without the token, 404 if there are no metrics.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Self::Token(expected) = self else {
            return match self {
                Self::Off => Err(Problem::not_found("the metrics are switched off")),
                _ => Ok(()),
            };
        };
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(only), None) = (sent.next(), sent.next()) else {
            return Err(Problem::unauthenticated(None));
        };
        let token = only.to_str().ok().and_then(|text| text.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let hash = token.map(|(_, token)| Sha256::digest(token.trim()));
        match hash.is_some_and(|hash| hash.as_slice() == expected.0.as_slice()) {
            true => Ok(()),
            false => Err(Problem::unauthenticated(Some("not the token of the metrics".to_owned()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn status(access: &MetricsAccess, sent: &[&'static str]) -> u16 {
        let headers = sent.iter().map(|it| (header::AUTHORIZATION, HeaderValue::from_static(it)));
        let headers: HeaderMap = headers.collect();
        access.check(&headers).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn the_metrics_are_open_or_off_or_for_the_one_who_has_the_token() {
        let token = MetricsAccess::Token(TokenHash::of(&"0123456789abcdef".to_owned().into()));
        assert_eq!(status(&MetricsAccess::Open, &[]), 200);
        assert_eq!(status(&MetricsAccess::Off, &["Bearer 0123456789abcdef"]), 404);
        assert_eq!(status(&token, &["Bearer 0123456789abcdef"]), 200);
        assert_eq!(status(&token, &["bearer 0123456789abcdef"]), 200);
        for sent in [
            &[][..],
            &["Bearer 0123456789abcdeg"],
            &["Bearer "],
            &["Basic 0123456789abcdef"],
            &["0123456789abcdef"],
            &["Bearer 0123456789abcdef", "Bearer 0123456789abcdef"],
        ] {
            assert_eq!(status(&token, sent), 401, "{sent:?}");
        }
    }
}
