//! An amount with its currency, exactly the digits that were sent.

use domain::{Amount, Currency};
use leptos::prelude::*;

/// The amount, its digits set in groups of three by space alone: what is read, copied and tested is
/// the number as it was sent.
#[component]
pub fn Money(
    /// How much.
    amount: Amount,
    /// Of what.
    currency: Currency,
) -> impl IntoView {
    let text = amount.to_string();
    let (integer, fraction) = match text.split_once('.') {
        Some((integer, fraction)) => (integer, format!(".{fraction}")),
        None => (text.as_str(), String::new()),
    };
    let groups = grouped(integer)
        .into_iter()
        .map(|group| view! { <span class="digits">{group.to_owned()}</span> })
        .collect_view();
    view! {
        <span class="tabular-nums whitespace-nowrap">
            <span class="amount">{groups} {(!fraction.is_empty()).then_some(fraction)}</span>
            " "
            <span class="text-muted">{currency.code()}</span>
        </span>
    }
}

/// A number that counts things, with commas.
pub fn format_count(count: u64) -> String {
    grouped(&count.to_string()).join(",")
}

fn grouped(digits: &str) -> Vec<&str> {
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = (0..tail.len()).step_by(3).map(|at| &tail[at..at + 3]);
    (!head.is_empty()).then_some(head).into_iter().chain(groups).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(format_count(0), "0");
        assert_eq!(format_count(999), "999");
        assert_eq!(format_count(1_000), "1,000");
        assert_eq!(format_count(12_345_678), "12,345,678");
    }
}
