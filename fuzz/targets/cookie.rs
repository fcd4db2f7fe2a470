//! `Cookie` lines of a browser. A session that is read is there exactly once, and has the same text when it is set.
#![no_main]

// `session_cookie` names the crate `access`, which is slow to build, and needs one type of it.
extern crate self as access;

use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;
use session_cookie::PeoplesCookies;

pub use secret_token::SecretToken;

#[allow(dead_code)]
#[path = "../../server/src/http/client_address.rs"]
mod client_address;
#[allow(dead_code)]
#[path = "../../crates/access/src/users/secret_token.rs"]
mod secret_token;
#[allow(dead_code)]
#[path = "../../server/src/http/session_cookie.rs"]
mod session_cookie;

/// The host, and then a cookie header a line.
fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        headers.append(if index == 0 { header::HOST } else { header::COOKIE }, value);
    }
    let cookies = PeoplesCookies::of_request(&headers, &Extensions::new());
    let _ = cookies.device(&headers);
    let Some(id) = cookies.session(&headers) else { return };
    let set = cookies.set_session(&id);
    let (pair, _) = set.to_str().unwrap().split_once(';').unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    assert_eq!(id.text().expose_secret(), value);
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    assert_eq!(pairs.filter(|(other, _)| other.trim() == name).count(), 1);
});
