//! An amount with its currency, with exactly the digits that the client sent; and counts.

use domain::{Amount, Currency};
use leptos::prelude::*;

/// The amount. Its digits are grouped by spacing alone, so that a copy and a screen reader get the
/// number as the client sent it.
#[component]
pub fn Money(
    /// The amount.
    amount: Amount,
    /// Its currency.
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
            <span class="text-muted">{currency.to_string()}</span>
        </span>
    }
}

/// A count, with commas between groups of three digits.
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
