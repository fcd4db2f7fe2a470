//! Why somebody does what they do: asked for with everything that a person does.

#[cfg(feature = "ssr")]
use domain::intervention::BadReason;
use domain::intervention::MAX_REASON_CHARS;
use leptos::prelude::*;

/// The field for it. Whatever opens with it has the focus in it.
#[component]
pub fn ReasonField(
    /// Its id on the page.
    id: &'static str,
    /// Shown while it is empty.
    placeholder: &'static str,
    /// Whether it must be given.
    #[prop(optional)]
    required: bool,
) -> impl IntoView {
    let optional = (!required).then(|| view! { <span class="text-muted">" (optional)"</span> });
    view! {
        <div class="field">
            <label for=id>"Reason" {optional}</label>
            <input
                type="text"
                class="control"
                id=id
                name="reason"
                placeholder=placeholder
                maxlength=MAX_REASON_CHARS
                autocomplete="off"
                autofocus=true
                required=required
            />
        </div>
    }
}

/// What was typed as a reason; `None` where that is nothing.
#[cfg(feature = "ssr")]
pub fn read(
    typed: &str,
) -> Result<Option<&str>, crate::server_functions::operation_error::NotDone> {
    match domain::intervention::read_reason(typed) {
        Ok(reason) => Ok(Some(reason)),
        Err(BadReason::Empty) => Ok(None),
        Err(bad) => Err(crate::server_functions::operation_error::NotDone(format!(
            "Not done: the reason {bad}."
        ))),
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn a_reason_may_be_left_out_and_what_is_wrong_with_one_is_said() {
        assert_eq!(read("  "), Ok(None));
        assert_eq!(read(" the ledger is moved "), Ok(Some("the ledger is moved")));
        let bad = read(&"x".repeat(MAX_REASON_CHARS + 1)).unwrap_err();
        assert!(bad.0.contains("at most 500 characters"), "{}", bad.0);
    }
}
