//! Currencies, by their codes in ISO 4217. A submission must name one that is in use; a stored transaction
//! keeps its currency, whatever becomes of it, even if ISO 4217 or `iso_currency` no longer list it.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An ISO 4217 currency, by its alphabetic code: three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// A currency that ISO 4217 has withdrawn, but `iso_currency` still lists.
#[derive(Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// Its code.
    pub code: &'static str,
    /// The first day on which it was no longer in use.
    pub since: &'static str,
    /// The code of the currency that replaced it.
    pub replaced_by: &'static str,
}

/// The withdrawn currencies. One that will be withdrawn is added after its last day.
const WITHDRAWN: &[Withdrawn] = &[
    Withdrawn { code: "BGN", since: "2026-01-01", replaced_by: "EUR" },
    Withdrawn { code: "CUC", since: "2021-07-01", replaced_by: "CUP" },
    Withdrawn { code: "HRK", since: "2023-01-01", replaced_by: "EUR" },
    Withdrawn { code: "SLL", since: "2024-04-01", replaced_by: "SLE" },
    Withdrawn { code: "ZWL", since: "2024-09-01", replaced_by: "ZWG" },
];

/// The codes that ISO 4217 lists and that are no currency. Precious metals, funds and units of account, such
/// as XAU, USN and XDR, have amounts, and are accepted.
const NO_CURRENCY: &[(&str, &str)] =
    &[("XTS", "which is reserved for tests"), ("XXX", "which stands for no currency")];

/// Why a code is not accepted as the currency of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CurrencyError {
    /// ISO 4217 does not list it.
    #[error("must be a currency code of ISO 4217 in capitals, such as USD")]
    Unknown,
    /// It is listed, but stands for no currency.
    #[error("must not be {code}, {why}")]
    NoCurrency {
        /// The code.
        code: &'static str,
        /// What it stands for.
        why: &'static str,
    },
    /// It is not in use any more.
    #[error("must not be {}, which was withdrawn on {} and replaced by {}", .0.code, .0.since, .0.replaced_by)]
    Withdrawn(&'static Withdrawn),
}

impl Currency {
    /// Reads the code of a submission, such as `USD`.
    ///
    /// # Errors
    /// [`CurrencyError`] if no amount can be posted in it.
    pub fn parse(code: &str) -> Result<Self, CurrencyError> {
        let currency = Self::from_stored(code)?;
        if currency.listed().is_none() {
            return Err(CurrencyError::Unknown);
        }
        if let Some((code, why)) = NO_CURRENCY.iter().find(|(other, _)| *other == code) {
            return Err(CurrencyError::NoCurrency { code, why });
        }
        match WITHDRAWN.iter().find(|withdrawn| withdrawn.code == code) {
            Some(withdrawn) => Err(CurrencyError::Withdrawn(withdrawn)),
            None => Ok(currency),
        }
    }

    /// Reads a code that may have been stored earlier, when more was accepted: any three capital letters.
    ///
    /// # Errors
    /// [`CurrencyError::Unknown`].
    pub fn from_stored(code: &str) -> Result<Self, CurrencyError> {
        let letters: [u8; 3] = code.as_bytes().try_into().map_err(|_| CurrencyError::Unknown)?;
        letters
            .iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(letters))
            .ok_or(CurrencyError::Unknown)
    }

    /// The code, three capital letters.
    pub fn code(&self) -> &str {
        // Never fails: they are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// How many decimals its minor unit allows; `None` where ISO 4217 defines none, as for gold.
    pub fn decimals(self) -> Option<u32> {
        self.listed()?.exponent().map(u32::from)
    }

    fn listed(self) -> Option<iso_currency::Currency> {
        iso_currency::Currency::from_code(self.code())
    }
}

/// JSON names stored currencies: those of transactions, filters and events.
impl TryFrom<String> for Currency {
    type Error = CurrencyError;
    fn try_from(code: String) -> Result<Self, CurrencyError> {
        Self::from_stored(&code)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_know_their_decimals() {
        assert_eq!(Currency::parse("USD").unwrap().decimals(), Some(2));
        assert_eq!(Currency::parse("JPY").unwrap().decimals(), Some(0));
        assert_eq!(Currency::parse("BHD").unwrap().decimals(), Some(3));
        assert_eq!(Currency::parse("XAU").unwrap().decimals(), None);
        for code in ["XXZ", "usd", ""] {
            assert_eq!(Currency::parse(code), Err(CurrencyError::Unknown), "{code}");
        }
    }

    #[test]
    fn a_code_that_is_no_currency_or_no_longer_one_is_refused_with_the_reason() {
        let refused = |code: &str| Currency::parse(code).unwrap_err().to_string();
        assert_eq!(refused("XXX"), "must not be XXX, which stands for no currency");
        assert_eq!(refused("XTS"), "must not be XTS, which is reserved for tests");
        assert_eq!(
            refused("HRK"),
            "must not be HRK, which was withdrawn on 2023-01-01 and replaced by EUR"
        );
        for code in ["XAU", "XDR", "XBA", "USN", "CHW", "VED", "XCG"] {
            assert!(Currency::parse(code).is_ok(), "{code}");
        }
    }

    #[test]
    fn a_withdrawn_currency_was_replaced_by_one_that_is_accepted() {
        for Withdrawn { code, since, replaced_by } in WITHDRAWN {
            assert!(since.parse::<chrono::NaiveDate>().is_ok(), "{code}");
            assert!(Currency::parse(replaced_by).is_ok(), "{code}");
        }
    }

    #[test]
    fn a_stored_currency_is_read_even_if_it_would_be_refused_today() {
        let refused = WITHDRAWN.iter().map(|withdrawn| withdrawn.code);
        // One that no list knows any more.
        let unlisted = ["QQQ"];
        assert_eq!(Currency::parse("QQQ"), Err(CurrencyError::Unknown));
        for code in refused.chain(NO_CURRENCY.iter().map(|(code, _)| *code)).chain(unlisted) {
            let currency = Currency::from_stored(code).unwrap();
            assert_eq!(serde_json::from_value(serde_json::json!(currency)).ok(), Some(currency));
            assert_eq!(currency.code(), code);
        }
        for code in ["", "US", "usd", "USDX", "U D", "U\u{e9}"] {
            assert_eq!(Currency::from_stored(code), Err(CurrencyError::Unknown), "{code}");
        }
    }
}
