//! Text that comes from outside: from clients, from the posting service, from operators.
//!
//! Such a text may be written from right to left, or have control characters that turn the text around
//! it. Every page shows it by what is here, and by nothing else.

use std::fmt::Write;

use leptos::prelude::*;

/// A text that cannot change how anything around it is shown.
#[component]
pub fn OutsideText(
    /// The text.
    #[prop(into)]
    text: String,
) -> impl IntoView {
    view! { <bdi>{visible(&text)}</bdi> }
}

/// JSON, each string of it isolated: otherwise a member's name could change places with its value.
#[component]
pub fn OutsideJson(
    /// The JSON.
    json: String,
) -> impl IntoView {
    let part = |(is_string, text): (bool, &str)| match is_string {
        true => view! { <OutsideText text/> }.into_any(),
        false => text.to_owned().into_any(),
    };
    string_literals(&json).into_iter().map(part).collect_view()
}

/// The text for an attribute, where there are no elements: isolated by characters.
pub fn isolated(text: &str) -> String {
    format!("\u{2068}{}\u{2069}", visible(text))
}

/// The text with its control characters written out, as in JSON: `\u202e`. White space stays, and so
/// do the marks that only text from right to left needs; within an isolate they do no harm.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '\n' | '\r' | '\t' => visible.push(one),
            // Embeddings, overrides, isolates; ends of lines and paragraphs; annotations.
            '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{fff9}'..='\u{fffb}' => escape(&mut visible, one),
            one if one.is_control() => escape(&mut visible, one),
            one => visible.push(one),
        }
    }
    visible
}

fn escape(text: &mut String, one: char) {
    // Writing to a `String` cannot fail.
    let _ = write!(text, "\\u{:04x}", u32::from(one));
}

/// The parts of a JSON text, and whether each is a string with its quotes.
fn string_literals(json: &str) -> Vec<(bool, &str)> {
    let mut parts = Vec::new();
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (before, literal) = rest.split_at(start);
        let mut escaped = false;
        let end = literal[1..].find(|one| {
            let ends = one == '"' && !escaped;
            escaped = one == '\\' && !escaped;
            ends
        });
        let (literal, after) = literal.split_at(end.map_or(literal.len(), |end| end + 2));
        parts.extend([(false, before), (true, literal)]);
        rest = after;
    }
    parts.push((false, rest));
    parts.retain(|(_, text)| !text.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out_and_letters_of_any_script_stay() {
        assert_eq!(visible("Rent \u{202e}txet\u{2069}"), "Rent \\u202etxet\\u2069");
        assert_eq!(visible("\u{1b}[31m\u{7f}\u{85}"), "\\u001b[31m\\u007f\\u0085");
        for same in ["two\n\tlines", "שלום", "می\u{200c}خواهم", "café", "👩\u{200d}🚀"]
        {
            assert_eq!(visible(same), same);
        }
    }

    #[test]
    fn nothing_in_a_text_can_end_its_isolate_in_an_attribute() {
        let isolated = isolated("a\u{2069}\u{202e}b");
        assert_eq!(isolated.matches('\u{2069}').count(), 1);
        assert!(isolated.ends_with('\u{2069}'));
    }

    #[test]
    fn the_strings_of_a_json_text_are_found() {
        let json = r#"{"a": "b\"\\", "c": [1, ""]}"#;
        let parts = string_literals(json);
        assert_eq!(parts.iter().map(|(_, text)| *text).collect::<String>(), json);
        let strings: Vec<_> = parts.iter().filter(|(is, _)| *is).map(|(_, text)| *text).collect();
        assert_eq!(strings, [r#""a""#, r#""b\"\\""#, r#""c""#, r#""""#]);
    }
}
