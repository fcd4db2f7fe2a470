//! Amounts. An amount is an exact decimal from the wire to the table and back.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most significant digits an amount may have: what an IEEE double carries without loss, so
/// that every client's number type can hold every amount.
pub const MAX_SIGNIFICANT_DIGITS: usize = 15;

/// A positive amount with exactly the digits that were sent: `100.50` stays `100.50`.
///
/// Two amounts are equal if their values are: `1.50 == 1.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(#[serde(with = "rust_decimal::serde::arbitrary_precision")] Decimal);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Not a decimal number at all.
    #[error("must be a decimal number, such as 100.50")]
    NotANumber,
    /// Zero or less.
    #[error("must be greater than zero")]
    NotPositive,
    /// More than [`MAX_SIGNIFICANT_DIGITS`] digits.
    #[error("must have at most {MAX_SIGNIFICANT_DIGITS} significant digits")]
    TooManyDigits,
}

impl Amount {
    /// Reads the text of a JSON number, or a string of the same form.
    ///
    /// # Errors
    /// [`AmountError`] if the text is not a number, is not positive, or has too many digits.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        if !is_json_number(text) {
            return Err(AmountError::NotANumber);
        }
        if text.starts_with('-') {
            return Err(AmountError::NotPositive);
        }
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().unwrap_or(i32::MAX)),
            None => (text, 0),
        };
        let written = mantissa.bytes().filter(u8::is_ascii_digit);
        if significant(written) > MAX_SIGNIFICANT_DIGITS {
            return Err(AmountError::TooManyDigits);
        }
        let value = if exponent == 0 {
            mantissa.parse::<Decimal>().ok()
        } else if exponent.unsigned_abs() <= 28 {
            Decimal::from_scientific(&text.replace("e+", "e").replace("E+", "E")).ok()
        } else {
            None
        };
        let value = value.ok_or(AmountError::TooManyDigits)?;
        if value.is_zero() {
            return Err(AmountError::NotPositive);
        }
        // `1e20` is written with one digit and stored with twenty-one.
        if significant(value.mantissa().to_string().bytes()) > MAX_SIGNIFICANT_DIGITS {
            return Err(AmountError::TooManyDigits);
        }
        Ok(Self(value))
    }

    /// How many decimals it was written with.
    pub fn decimals(self) -> u32 {
        self.0.scale()
    }

    /// Whether the text of a JSON number, or of a string of the same form, has this value, however it is
    /// written: with other zeros at its end, or with an exponent. `None` if it is not a number.
    pub fn has_value(self, text: &str) -> Option<bool> {
        is_json_number(text).then(|| normal_form(text) == normal_form(&self.to_string()))
    }

    /// The value, with its scale.
    pub fn as_decimal(self) -> Decimal {
        self.0
    }

    /// Reads a value that was accepted when it was stored, whatever the rules are now, from PostgreSQL's text of it.
    /// `None` if it is no positive number, or cannot be held exactly.
    pub fn from_stored(text: &str) -> Option<Self> {
        let value = Decimal::from_str_exact(text).ok()?;
        (value > Decimal::ZERO).then_some(Self(value))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number without the zeros at its ends: whether it is negative, its digits, and the exponent of the last one.
/// `None` if its exponent is beyond all measure.
fn normal_form(number: &str) -> Option<(bool, String, i64)> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let written: String = [integer, fraction].concat();
    let digits = written.trim_start_matches('-').trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some((false, String::new(), 0));
    }
    let exponent: i64 = exponent.parse::<i32>().ok()?.into();
    let exponent = exponent - fraction.len() as i64 + (digits.len() - kept.len()) as i64;
    Some((number.starts_with('-'), kept.to_owned(), exponent))
}

fn significant(digits: impl Iterator<Item = u8>) -> usize {
    digits.skip_while(|digit| *digit == b'0').count()
}

/// Checks the grammar of RFC 8259, section 6. `Decimal`'s parser is laxer: it accepts `1_000` and `+1`.
fn is_json_number(text: &str) -> bool {
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

    #[test]
    fn an_amount_keeps_the_digits_it_was_sent_with() {
        for text in ["0.1", "100.50", "9999999999999.99", "1", "0.000000000000001"] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!(amount.to_string(), text);
            assert_eq!(serde_json::to_string(&amount).unwrap(), text);
            assert_eq!(serde_json::from_str::<Amount>(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_value_is_recognised_however_it_is_written() {
        let amount = Amount::parse("100.50").unwrap();
        for text in
            ["100.5", "100.50", "100.50000000000000000000", "1.005e2", "10050E-2", "1005e-1"]
        {
            assert_eq!(amount.has_value(text), Some(true), "{text}");
        }
        for text in
            ["100.51", "-100.50", "0", "0.00", "10050", "100.50000000000001", "1e999999999999"]
        {
            assert_eq!(amount.has_value(text), Some(false), "{text}");
        }
        for text in ["", "100,50", "0100.50", "+100.50", "100.50 USD"] {
            assert_eq!(amount.has_value(text), None, "{text}");
        }
        assert_eq!(Amount::parse("1e3").unwrap().has_value("1000.00"), Some(true));
    }

    #[test]
    fn an_exponent_is_written_out() {
        assert_eq!(Amount::parse("1e2").unwrap().to_string(), "100");
        assert_eq!(Amount::parse("1.5E+3").unwrap().to_string(), "1500");
        assert_eq!(Amount::parse("25e-2").unwrap().to_string(), "0.25");
    }

    #[test]
    fn a_text_that_is_not_an_amount_is_refused_with_its_own_reason() {
        for text in ["abc", "", " 1", "1_000", "+1", "0x10", "1.", ".5", "NaN", "1e", "01", "1,5"] {
            assert_eq!(Amount::parse(text), Err(AmountError::NotANumber), "{text}");
        }
        for text in ["0", "0.00", "-1", "-0.01", "-1e400"] {
            assert_eq!(Amount::parse(text), Err(AmountError::NotPositive), "{text}");
        }
        for text in ["1e400", "1e20", "1e-400", "1234567890123456", "1e99999999999"] {
            assert_eq!(Amount::parse(text), Err(AmountError::TooManyDigits), "{text}");
        }
    }

    #[test]
    fn a_stored_amount_is_read_exactly_or_not_at_all() {
        for text in ["100.50", "0.1", "1234567890123456789.01"] {
            assert_eq!(
                Amount::from_stored(text).map(|amount| amount.to_string()).as_deref(),
                Some(text)
            );
        }
        let small = format!("0.{}1", "0".repeat(30));
        for text in ["NaN", "Infinity", "-1", "0", "", &small, &"9".repeat(40)] {
            assert_eq!(Amount::from_stored(text), None, "{text}");
        }
    }

    #[test]
    fn equal_values_are_equal_amounts() {
        assert_eq!(Amount::parse("1.50").unwrap(), Amount::parse("1.5").unwrap());
    }

    proptest! {
        #[test]
        fn every_decimal_of_fifteen_digits_survives(mantissa in 1u64..=999_999_999_999_999, scale in 0u32..=15) {
            let text = Decimal::from_i128_with_scale(i128::from(mantissa), scale).to_string();
            let amount = Amount::parse(&text).unwrap();
            prop_assert_eq!(serde_json::to_string(&amount).unwrap(), text);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = Amount::parse(&text);
        }
    }
}
