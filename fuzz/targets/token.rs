//! Signed tokens and their claims. The target knows no key, so what it reads is not believed; it must only be read.
#![no_main]

use claims::Claims;
use jws::Jws;
use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../crates/access/src/tokens/claims.rs"]
mod claims;
#[allow(dead_code)]
#[path = "../../crates/access/src/tokens/jws.rs"]
mod jws;
#[allow(dead_code)]
#[path = "../../crates/access/src/tokens/key.rs"]
mod key;

/// The refusals of these files. The crate's own file has errors of the database and of HTTP too.
mod error {
    #[derive(Debug)]
    #[allow(dead_code)]
    pub enum TokenRefusal {
        Malformed,
        Header(&'static str),
        Type,
        Algorithm,
        Expired,
        NotYetValid,
        Issuer,
        Audience,
        Claim(&'static str),
    }
}

const NOW: i64 = 1_800_000_000;

/// A token, or the claims of one alone: those within a token are in base64, where made-up input seldom hits them.
fuzz_target!(|text: &str| {
    if let Ok(token) = Jws::parse(text) {
        assert!(text.as_bytes().starts_with(token.signed) && text.len() <= 8 * 1024);
        check(&token.payload);
    }
    check(text.as_bytes());
});

fn check(payload: &[u8]) {
    let Ok(claims) = Claims::parse(payload) else { return };
    if let Ok(expires_at) = claims.expiry(NOW) {
        assert!(expires_at > NOW);
    }
    if let Ok(expires_at) = claims.expiry_by_another_clock(NOW) {
        assert!(expires_at > NOW);
    }
    let _ = claims.check_issuer("onceward");
    // A token that is for nobody in particular is not for us.
    assert!(!(claims.check_audience(None).is_ok() && claims.check_audience(Some("us")).is_ok()));
}
