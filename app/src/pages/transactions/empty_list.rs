//! The text in place of an empty list.

use domain::State;
use leptos::prelude::*;

use crate::components::{page_context::Origin, state_badge::state_label};

/// Says that there are no transactions. If there are none at all, it says how to submit one.
#[component]
pub fn EmptyList(
    /// The state that the list is filtered by.
    status: Option<State>,
    /// Whether this is the first page.
    first_page: bool,
) -> impl IntoView {
    let Origin(origin) = expect_context();
    let shows_example = status.is_none() && first_page;
    let text = match status {
        Some(status) if first_page => {
            format!("No transaction is in the state “{}”.", state_label(status))
        }
        None if first_page => "No transactions yet.".to_owned(),
        _ => "No older transactions.".to_owned(),
    };
    let command = format!(
        "curl -X POST {origin}/api/transactions \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -d '{{\"amount\": 100.50, \"currency\": \"USD\", \"description\": \"Payment\"}}'"
    );
    view! {
            <p>{text}</p>
            {shows_example
                .then(|| {
                    view! {
                        <p class="text-muted">
                            "Submit one with the form above, or from a program:"
                        </p>
                        <pre class="code"><code>{command}</code></pre>
                    }
                })}
    }
}
