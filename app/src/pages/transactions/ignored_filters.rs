//! What is in the address of the list and does not filter it.

use domain::State;
use leptos::prelude::*;
use leptos_router::params::ParamsMap;
use uuid::Uuid;

use crate::{components::outside_text::OutsideText, pages::transactions::cursor::is_cursor};

/// Says which parameters of the address the list ignores, and why: otherwise a list of all
/// transactions would be taken for the one that was asked for.
#[component]
pub fn IgnoredFilters(
    /// The parameters of the address.
    query: Memo<ParamsMap>,
) -> impl IntoView {
    let notice = |(parameter, why): (String, &'static str)| {
        view! {
            <p class="ignored-filter">
                "Ignored in the address: " <strong><OutsideText text=parameter/></strong> " ("{why}")."
            </p>
        }
    };
    let notices = move || ignored(&query.read()).into_iter().map(notice).collect_view();
    view! { <div role="status">{notices}</div> }
}

/// The parameters that the list ignores, each with the reason.
fn ignored(query: &ParamsMap) -> Vec<(String, &'static str)> {
    let given = query.latest_values().filter(|(_, value)| !value.is_empty());
    let ignored = given.filter_map(|(name, value)| {
        let why = match &**name {
            "status" if value.parse::<State>().is_err() => "there is no such state",
            "cursor" if !is_cursor(value) => "no page begins there",
            "retry" if value.parse::<Uuid>().is_err() => "this is not an id",
            // The last two are the answer to a plain form post.
            "status" | "cursor" | "retry" | "__path" | "__err" => return None,
            _ => "the list has no such filter",
        };
        Some((format!("{name}={value}"), why))
    });
    ignored.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored_in(query: &[(&'static str, &str)]) -> Vec<String> {
        let query = query.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        ignored(&query).into_iter().map(|(parameter, _)| parameter).collect()
    }

    #[test]
    fn a_parameter_that_filters_nothing_is_named() {
        assert_eq!(ignored_in(&[("status", "nope")]), ["status=nope"]);
        assert_eq!(ignored_in(&[("status", "failed"), ("currency", "USD")]), ["currency=USD"]);
        assert_eq!(ignored_in(&[("cursor", "1"), ("retry", "x")]), ["cursor=1", "retry=x"]);
    }

    #[test]
    fn parameters_that_the_list_understands_are_not_named() {
        let id = "0192f0c12d3e7abc8def0123456789ab";
        let cursor = format!("1790000000000000_{id}");
        let understood = [("status", "in_doubt"), ("cursor", &*cursor), ("retry", id)];
        assert_eq!(ignored_in(&understood), [""; 0]);
        assert_eq!(ignored_in(&[("status", ""), ("__err", "x")]), [""; 0]);
    }
}
