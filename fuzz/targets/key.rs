//! Keys of clients. What is read is the text of the key again, so no two texts are the same key.
#![no_main]

use key::Key;
use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret;

#[allow(dead_code)]
#[path = "../../crates/access/src/clients/key.rs"]
mod key;

fuzz_target!(|text: &str| {
    let Some(key) = Key::read(text) else { return };
    assert_eq!(key.text().expose_secret(), text);
    assert!(!format!("{key:?}").contains(&text[20..]));
});
