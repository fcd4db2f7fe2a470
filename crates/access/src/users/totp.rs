//! One-time codes of an authenticator app (RFC 6238): six digits, each for 30 seconds, by HMAC-SHA-1, which is what every
//! app computes.

use data_encoding::BASE32_NOPAD;
use ring::hmac;
use secrecy::{ExposeSecret, SecretBox, SecretString};

/// How long a code is shown, in seconds.
const STEP_SECONDS: i64 = 30;
/// How many steps an app's clock may be off in either direction.
const TOLERANCE_STEPS: i64 = 1;
const DIGITS: usize = 6;

/// The secret that an authenticator app shares with Onceward, 160 bits as RFC 4226 recommends.
#[derive(Debug)]
pub(super) struct TotpSecret(SecretBox<[u8]>);

impl TotpSecret {
    pub fn random() -> Self {
        Self::stored(rand::random::<[u8; 20]>().to_vec())
    }

    pub fn stored(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice().into())
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// As people type it into an app.
    pub fn base32(&self) -> SecretString {
        BASE32_NOPAD.encode(self.bytes()).into()
    }

    /// As an app reads it from a link or a picture.
    pub fn uri(&self, user: &str) -> SecretString {
        // The characters of a user's name need no escaping but this one.
        let label = user.replace('@', "%40");
        let secret = BASE32_NOPAD.encode(self.bytes());
        format!("otpauth://totp/Onceward:{label}?secret={secret}&issuer=Onceward").into()
    }

    /// The time step that a code is of, at `unix_seconds`. It must be accepted once only, so none after it may be of the
    /// same step or an earlier one. `None` if the code is wrong.
    pub fn step_of(&self, code: &str, unix_seconds: i64, last_step: Option<i64>) -> Option<i64> {
        let typed: [u8; DIGITS] = code.as_bytes().try_into().ok()?;
        let now = unix_seconds / STEP_SECONDS;
        let steps = now - TOLERANCE_STEPS..=now + TOLERANCE_STEPS;
        // Every step is compared, and every digit, so that the time does not tell.
        let matching = steps.filter(|step| {
            let differences = self.code(*step).into_iter().zip(typed).map(|(a, b)| a ^ b);
            differences.fold(0, |all, difference| all | difference) == 0
        });
        matching.filter(|step| last_step.is_none_or(|last| *step > last)).max()
    }

    fn code(&self, step: i64) -> [u8; DIGITS] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.bytes());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        // RFC 4226, 5.3: the last four bits say where the number begins.
        let start = usize::from(tag[tag.len() - 1] & 0xf);
        let mut number = [0; 4];
        number.copy_from_slice(&tag[start..start + 4]);
        let mut rest = u32::from_be_bytes(number) & 0x7fff_ffff;
        let mut digits = [b'0'; DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret::stored(b"12345678901234567890".to_vec())
    }

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six of its eight digits.
        for (unix_seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret().step_of(code, unix_seconds, None), Some(unix_seconds / 30));
        }
    }

    #[test]
    fn a_code_is_accepted_one_step_early_or_late() {
        let step = Some(1_111_111_109 / 30);
        for (off, expected) in [(-60, None), (-30, step), (0, step), (30, step), (60, None)] {
            let unix_seconds = 1_111_111_109 + off;
            assert_eq!(secret().step_of("081804", unix_seconds, None), expected, "{off}");
        }
    }

    #[test]
    fn a_code_is_accepted_once() {
        assert_eq!(secret().step_of("287082", 59, Some(0)), Some(1));
        assert_eq!(secret().step_of("287082", 59, Some(1)), None);
        assert_eq!(secret().step_of("287082", 59, Some(2)), None);
    }

    #[test]
    fn what_is_no_code_is_refused() {
        for code in ["", "28708", "2870822", "28708x", "２８７０８２"] {
            assert_eq!(secret().step_of(code, 59, None), None, "{code}");
        }
    }

    #[test]
    fn an_app_reads_the_secret_from_a_link() {
        assert_eq!(
            secret().uri("a@b.example").expose_secret(),
            "otpauth://totp/Onceward:a%40b.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Onceward"
        );
    }
}
