//! Amounts. An amount is an exact decimal from the wire to the table and back.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use thiserror::Error;

use crate::number::{ExactNumber, is_json_number};

/// The most significant digits an amount may have: what an IEEE double carries without loss, so
/// that every client's number type can hold every amount.
pub const MAX_SIGNIFICANT_DIGITS: usize = 15;
/// The most decimals an amount may have, whatever its currency: what [`Decimal`] holds without rounding.
pub const MAX_DECIMALS: u32 = Decimal::MAX_SCALE;

/// A positive amount with exactly the digits that were sent: `100.50` stays `100.50`.
///
/// Two amounts are equal if their values are: `1.50 == 1.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Number")]
pub struct Amount(
    #[serde(serialize_with = "rust_decimal::serde::arbitrary_precision::serialize")] Decimal,
);

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
    /// More than [`MAX_DECIMALS`] decimals.
    #[error("must have at most {MAX_DECIMALS} decimals")]
    TooManyDecimals,
}

impl Amount {
    /// Reads the text of a JSON number, or a string of the same form.
    ///
    /// # Errors
    /// [`AmountError`] if the text is not a number, is not positive, or has too many digits.
    pub fn parse(text: &str) -> Result<Self, AmountError> {
        let value = positive(text)?;
        if value.mantissa().to_string().len() > MAX_SIGNIFICANT_DIGITS {
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
        is_json_number(text)
            .then(|| ExactNumber::parse(text) == ExactNumber::parse(&self.to_string()))
    }

    /// The value, with its scale.
    pub fn as_decimal(self) -> Decimal {
        self.0
    }

    /// Reads a value that was accepted when it was stored, whatever the rules are now, from PostgreSQL's text of it.
    /// `None` if it is no positive number, or cannot be held exactly.
    pub fn from_stored(text: &str) -> Option<Self> {
        positive(text).ok().map(Self)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads an amount that was stored and then written as JSON.
impl TryFrom<Number> for Amount {
    type Error = AmountError;

    fn try_from(number: Number) -> Result<Self, AmountError> {
        positive(number.as_str()).map(Self)
    }
}

/// The value of the text of a JSON number, with the decimals that it is written with. `Decimal`'s own parser rounds
/// what it cannot hold.
fn positive(number: &str) -> Result<Decimal, AmountError> {
    if !is_json_number(number) {
        return Err(AmountError::NotANumber);
    }
    if number.starts_with('-') {
        return Err(AmountError::NotPositive);
    }
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let fraction = mantissa.split_once('.').map_or("", |(_, fraction)| fraction);
    let written = mantissa.replace('.', "");
    let digits = written.trim_start_matches('0');
    if digits.is_empty() {
        return Err(AmountError::NotPositive);
    }
    let beyond_measure = match exponent.starts_with('-') {
        true => AmountError::TooManyDecimals,
        false => AmountError::TooManyDigits,
    };
    let exponent: i32 = exponent.parse().map_err(|_| beyond_measure)?;
    let decimals = fraction.len() as i64 - i64::from(exponent);
    // `1e20` is written with one digit and stored with twenty-one.
    let zeros = u32::try_from(-decimals).unwrap_or(0);
    let mantissa = digits.parse::<i128>().ok().zip(10_i128.checked_pow(zeros));
    let mantissa = mantissa.and_then(|(digits, power)| digits.checked_mul(power));
    let mantissa = mantissa.ok_or(AmountError::TooManyDigits)?;
    match u32::try_from(decimals.max(0)) {
        Ok(scale @ ..=MAX_DECIMALS) => Decimal::try_from_i128_with_scale(mantissa, scale)
            .map_err(|_| AmountError::TooManyDigits),
        _ => Err(AmountError::TooManyDecimals),
    }
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
        for text in ["1e400", "1e20", "1234567890123456", "1e99999999999", "1.000000000000000"] {
            assert_eq!(Amount::parse(text), Err(AmountError::TooManyDigits), "{text}");
        }
    }

    #[test]
    fn an_amount_that_cannot_be_kept_exactly_is_refused_and_never_rounded() {
        let smallest = format!("0.{}1", "0".repeat(27));
        for text in [smallest.as_str(), "1e-28", "123456789012345e-28", "0.00000000000001e-14"] {
            let amount = Amount::parse(text).unwrap();
            assert_eq!((amount.decimals(), amount.has_value(text)), (28, Some(true)), "{text}");
        }
        let tenth = format!("0.{}1", "0".repeat(28));
        let nearly_one = format!("0.{}5", "0".repeat(28));
        for text in [&tenth, &nearly_one, "1e-29", "1.5e-28", "10e-29", "1e-400", "1e-99999999999"]
        {
            assert_eq!(Amount::parse(text), Err(AmountError::TooManyDecimals), "{text}");
            assert!(serde_json::from_str::<Amount>(text).is_err(), "{text}");
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
