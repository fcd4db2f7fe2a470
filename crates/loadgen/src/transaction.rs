//! The submitted transactions: the seed decides their content, and their ids are new.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rust_decimal::Decimal;
use serde_json::{Number, json};
use uuid::Uuid;

/// Currencies and their decimals, chosen so that 0, 2 and 3 decimals all occur.
const CURRENCIES: [(&str, u32); 5] = [("USD", 2), ("EUR", 2), ("GBP", 2), ("JPY", 0), ("KWD", 3)];

/// The largest amount, in the currency's smallest unit.
const LARGEST_AMOUNT: i64 = 9_999_999;

/// One transaction of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) id: Uuid,
    /// Exact, with as many decimals as its currency has.
    pub(crate) amount: Decimal,
    pub(crate) currency: &'static str,
    /// Its number in the run, counting from 0.
    pub(crate) number: usize,
}

impl Transaction {
    /// The transaction with this number in a run from this seed.
    pub(crate) fn draw(seed: u64, number: usize) -> Self {
        // One generator per transaction, so that its content does not depend on earlier ones.
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed ^ (number as u64).rotate_left(32));
        let (currency, decimals) = CURRENCIES[random.random_range(0..CURRENCIES.len())];
        let amount = Decimal::new(random.random_range(1..=LARGEST_AMOUNT), decimals);
        Self { id: Uuid::new_v4(), amount, currency, number }
    }

    /// The body of its submission, the same every time it is sent.
    pub(crate) fn body(&self) -> Result<Vec<u8>, serde_json::Error> {
        // Parsed from its digits, never through a float.
        let amount: Number = self.amount.to_string().parse()?;
        serde_json::to_vec(&json!({
            "id": self.id,
            "amount": amount,
            "currency": self.currency,
            "description": format!("Load test payment {}", self.number),
            "metadata": {"order_id": self.number.to_string()},
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_seed_decides_the_content_and_not_the_id() {
        let content = |seed| -> Vec<(Decimal, &str)> {
            let drawn = (0..50).map(|number| Transaction::draw(seed, number));
            drawn.map(|transaction| (transaction.amount, transaction.currency)).collect()
        };
        assert_eq!(content(1), content(1));
        assert_ne!(content(1), content(2));
        assert_ne!(Transaction::draw(1, 0).id, Transaction::draw(1, 0).id);
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency_and_are_sent_with_exactly_those() {
        let mut seen = BTreeSet::new();
        for number in 0..500 {
            let transaction = Transaction::draw(9, number);
            let decimals =
                CURRENCIES.iter().find(|(name, _)| *name == transaction.currency).unwrap().1;
            assert_eq!(transaction.amount.scale(), decimals);
            let body = String::from_utf8(transaction.body().unwrap()).unwrap();
            let exact = format!(r#""amount":{},"#, transaction.amount);
            assert!(body.contains(&exact), "{body}");
            seen.insert(transaction.currency);
        }
        assert_eq!(seen.len(), CURRENCIES.len());
    }
}
