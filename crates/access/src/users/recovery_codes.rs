//! Recovery codes: each signs in once in place of a code of the authenticator app. Each has 80 random bits, so a fast
//! hash is enough.

use data_encoding::BASE32_NOPAD;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// How many a user is given.
pub(super) const CODES: usize = 10;
/// The characters of a code, without what separates them.
const CHARS: usize = 16;

/// New codes as they are shown once, and their hashes.
pub(super) fn new_codes() -> (Vec<SecretString>, Vec<Vec<u8>>) {
    let codes: [String; CODES] =
        std::array::from_fn(|_| BASE32_NOPAD.encode(&rand::random::<[u8; 10]>()).to_lowercase());
    let hashes = codes.iter().map(|code| Sha256::digest(code).to_vec()).collect();
    (codes.iter().map(|code| in_groups(code).into()).collect(), hashes)
}

fn in_groups(code: &str) -> String {
    let groups: Vec<_> = code.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
    groups.join("-")
}

/// The hash of a code as it was typed. `None` if it can be none.
pub(super) fn hash_of_typed(code: &str) -> Option<[u8; 32]> {
    let plain: String = code.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    (plain.len() == CHARS).then(|| Sha256::digest(plain).into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_code_is_recognized_however_it_is_typed() {
        let (codes, hashes) = new_codes();
        assert_eq!((codes.len(), hashes.len()), (CODES, CODES));
        let code = codes[0].expose_secret();
        assert_eq!(code.len(), 19);
        for typed in [code.to_owned(), code.to_uppercase(), code.replace('-', " ")] {
            assert_eq!(hash_of_typed(&typed).unwrap()[..], hashes[0], "{typed}");
        }
        assert_eq!(hash_of_typed("123456"), None);
    }
}
