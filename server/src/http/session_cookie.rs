//! The cookies of people: the session's, and that of a browser in which a user has signed in before.
//!
//! Over https they are `Secure` and their names begin with `__Host-`, so that no other host and no request in the clear
//! can set them. On a loopback address without https a browser would refuse such a name, so they have another one.

use std::net::IpAddr;

use access::SecretToken;
use axum::http::{Extensions, HeaderMap, HeaderValue, header, uri::Authority};
use secrecy::{ExposeSecret, SecretString};

use super::client_address::{ClientAddress, ClientScheme};

/// How long a browser keeps the cookie of a known device, in seconds: a year.
const DEVICE_SECONDS: u32 = 365 * 24 * 60 * 60;

/// The cookies of a request, and of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeoplesCookies {
    secure: bool,
}

/// Of which thing a cookie is.
#[derive(Clone, Copy)]
enum Of {
    Session,
    Device,
}

/// The address of the client that sent a request, if it is known.
pub fn client_address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ClientAddress>().map(|ClientAddress(address)| *address)
}

impl PeoplesCookies {
    /// Those of a request.
    pub fn of_request(headers: &HeaderMap, extensions: &Extensions) -> Self {
        Self::of(headers, extensions.get() == Some(&ClientScheme::Https))
    }

    /// Those of a request. Only a request to a loopback address, in the clear, has those that are not secure.
    fn of(headers: &HeaderMap, is_https: bool) -> Self {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.and_then(|host| host.parse::<Authority>().ok());
        Self { secure: is_https || !host.is_some_and(|host| is_loopback(host.host())) }
    }

    /// The id of the session.
    pub fn session(self, headers: &HeaderMap) -> Option<SecretToken> {
        self.read(headers, Of::Session)
    }

    /// The token of the device.
    pub fn device(self, headers: &HeaderMap) -> Option<SecretToken> {
        self.read(headers, Of::Device)
    }

    /// Gives the browser the id of its session, until it is closed.
    pub fn set_session(self, id: &SecretToken) -> HeaderValue {
        self.set(Of::Session, &id.text(), None)
    }

    /// Gives the browser the token of a known device.
    pub fn set_device(self, token: &SecretToken) -> HeaderValue {
        self.set(Of::Device, &token.text(), Some(DEVICE_SECONDS))
    }

    /// Takes the id of its session from the browser.
    pub fn remove_session(self) -> HeaderValue {
        self.set(Of::Session, &SecretString::default(), Some(0))
    }

    fn name(self, of: Of) -> &'static str {
        match (of, self.secure) {
            (Of::Session, true) => "__Host-onceward",
            (Of::Session, false) => "onceward_session",
            (Of::Device, true) => "__Host-onceward-device",
            (Of::Device, false) => "onceward_device",
        }
    }

    /// A cookie that is there twice is not read: one of them may be someone else's.
    fn read(self, headers: &HeaderMap, of: Of) -> Option<SecretToken> {
        let name = self.name(of);
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let cookies = lines.flat_map(|line| line.split(';')).filter_map(|it| it.split_once('='));
        let mut values = cookies.filter(|(it, _)| it.trim() == name).map(|(_, value)| value.trim());
        match (values.next(), values.next()) {
            (Some(value), None) => SecretToken::parse(value),
            _ => None,
        }
    }

    fn set(self, of: Of, value: &SecretString, max_age: Option<u32>) -> HeaderValue {
        let (name, value) = (self.name(of), value.expose_secret());
        let secure = if self.secure { "; Secure" } else { "" };
        let max_age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{max_age}");
        // Everything in it is ASCII without control characters.
        let mut cookie =
            HeaderValue::try_from(cookie).unwrap_or_else(|_| HeaderValue::from_static(""));
        cookie.set_sensitive(true);
        cookie
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn headers(host: &'static str, cookies: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_static(cookie));
        }
        headers
    }

    #[test]
    fn only_in_the_clear_on_loopback_a_cookie_is_not_secure() {
        for (host, is_https, secure) in [
            ("127.0.0.1:3000", false, false),
            ("localhost:3000", false, false),
            ("[::1]:3000", false, false),
            ("127.0.0.1:3000", true, true),
            ("pay.example.com", false, true),
            ("localhost.example.com", false, true),
            ("", false, true),
        ] {
            assert_eq!(
                PeoplesCookies::of(&headers(host, &[]), is_https),
                PeoplesCookies { secure }
            );
        }
    }

    #[test]
    fn a_cookie_is_read_under_the_name_that_fits_the_connection() {
        let cookie = "a=b; __Host-onceward=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let headers = headers("pay.example.com", &[cookie]);
        assert!(PeoplesCookies { secure: true }.session(&headers).is_some());
        assert!(PeoplesCookies { secure: false }.session(&headers).is_none());
        assert!(PeoplesCookies { secure: true }.device(&headers).is_none());
    }

    #[test]
    fn a_cookie_that_is_there_twice_is_not_read() {
        let one = "onceward_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let plain = PeoplesCookies { secure: false };
        assert!(plain.session(&headers("localhost", &[one])).is_some());
        assert!(plain.session(&headers("localhost", &[one, one])).is_none());
        assert!(plain.session(&headers("localhost", &["onceward_session=x"])).is_none());
    }

    #[test]
    fn a_cookie_is_out_of_reach_for_scripts_and_other_sites() {
        let token = SecretToken::parse(TOKEN).unwrap();
        let cookie = PeoplesCookies { secure: true }.set_session(&token);
        let expected = format!("__Host-onceward={TOKEN}; Path=/; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(cookie.to_str().unwrap(), expected);
        assert!(!format!("{cookie:?}").contains("AAAA"));
        let removed = PeoplesCookies { secure: false }.remove_session();
        assert_eq!(
            removed.to_str().unwrap(),
            "onceward_session=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"
        );
    }
}
