//! The numbers of JSON by their value, exactly: `1`, `1.0`, `1e0` and `10e-1` are one number. None of them passes
//! through a float.

use std::fmt;

/// How many zeros [`ExactNumber`]'s text adds to the digits, at most. Beyond that it has an exponent.
const MAX_ADDED_ZEROS: i128 = 40;

/// The value of a number. Two that are equal have equal texts, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactNumber {
    is_negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    /// The power of ten of the last digit.
    exponent: i128,
}

impl ExactNumber {
    /// Reads the text of a JSON number. `None` if it is none, or if its exponent does not fit into 64 bits.
    pub fn parse(text: &str) -> Option<Self> {
        if !is_json_number(text) {
            return None;
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let written = [integer.trim_start_matches('-'), fraction].concat();
        let digits = written.trim_start_matches('0');
        let kept = digits.trim_end_matches('0');
        if kept.is_empty() {
            return Some(Self { is_negative: false, digits: String::new(), exponent: 0 });
        }
        let exponent = i128::from(exponent.parse::<i64>().ok()?) - fraction.len() as i128
            + (digits.len() - kept.len()) as i128;
        Some(Self { is_negative: text.starts_with('-'), digits: kept.to_owned(), exponent })
    }

    /// The value as a whole number; `None` if it is not whole, is negative, or does not fit.
    pub fn as_u64(&self) -> Option<u64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = u32::try_from(self.exponent).ok().filter(|_| !self.is_negative)?;
        self.digits.parse::<u64>().ok()?.checked_mul(10_u64.checked_pow(zeros)?)
    }
}

/// The number as JSON: with neither zeros nor an exponent that it does not need.
impl fmt::Display for ExactNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_negative, digits, exponent } = self;
        if digits.is_empty() {
            return f.write_str("0");
        }
        if *is_negative {
            f.write_str("-")?;
        }
        let added_zeros = 0..=MAX_ADDED_ZEROS;
        let before_point = digits.len() as i128 + exponent;
        if added_zeros.contains(exponent) {
            write!(f, "{digits}{}", zeros(*exponent))
        } else if *exponent < 0 && before_point > 0 {
            let (integer, fraction) = digits.split_at(before_point as usize);
            write!(f, "{integer}.{fraction}")
        } else if added_zeros.contains(&-before_point) {
            write!(f, "0.{}{digits}", zeros(-before_point))
        } else {
            write!(f, "{digits}e{exponent}")
        }
    }
}

fn zeros(count: i128) -> String {
    "0".repeat(count as usize)
}

/// Checks the grammar of RFC 8259, section 6. `Decimal`'s parser is laxer: it accepts `1_000` and `+1`.
pub fn is_json_number(text: &str) -> bool {
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (integer, fraction) = match mantissa.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (mantissa, None),
    };
    all_digits(integer)
        && (integer == "0" || !integer.starts_with('0'))
        && fraction.is_none_or(all_digits)
        && exponent.is_none_or(|e| all_digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(number: &str) -> String {
        ExactNumber::parse(number).unwrap().to_string()
    }

    #[test]
    fn a_value_has_one_text_however_it_is_written() {
        for (value, others) in [
            ("1", &["1.0", "1e0", "1E+0", "10e-1", "0.01e2", "1.000e-0"][..]),
            ("100", &["100.00", "1e2", "1E+02", "10000e-2"]),
            ("-0.05", &["-5e-2", "-0.0500", "-500e-4"]),
            ("0", &["-0", "0.000", "0e99999999999999999999", "-0e-5"]),
            ("12.5", &["12.50", "1.25e1", "125e-1"]),
            ("1e41", &["10e40", "1.0e+41"]),
            ("123e-50", &["1.23e-48", "1230e-51"]),
        ] {
            assert_eq!(text(value), value);
            for other in others {
                assert_eq!(text(other), value, "{other}");
            }
        }
    }

    #[test]
    fn an_exponent_makes_no_long_text() {
        for number in ["1e999999999", "-1e-999999999", "123456789e9223372036854775807"] {
            assert!(text(number).len() < 40, "{number}");
        }
        assert_eq!(text("10e9223372036854775807"), "1e9223372036854775808");
        assert_eq!(ExactNumber::parse("1e9223372036854775808"), None);
    }

    #[test]
    fn a_whole_number_is_read_exactly() {
        let whole = |text| ExactNumber::parse(text).unwrap().as_u64();
        for (text, number) in
            [("2.0", 2), ("2e3", 2000), ("0", 0), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        for text in ["2.00000000000000000000000001", "-1", "0.5", "18446744073709551616", "1e30"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_a_number_of_the_same_value(number in "-?(0|[1-9][0-9]{0,50})(\\.[0-9]{1,50})?([eE][+-]?[0-9]{1,4})?") {
            let read = ExactNumber::parse(&number).unwrap();
            prop_assert_eq!(ExactNumber::parse(&read.to_string()), Some(read));
        }
    }
}
