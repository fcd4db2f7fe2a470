//! The report's output: printed, and written to docs/ after a complete run.

use std::fs;

use serde_json::json;

use crate::arguments::{Arguments, Scale};
use crate::environment::machine::Machine;
use crate::error::Fallible;
use crate::report::figures::Figures;
use crate::report::goals;
use crate::report::markdown::markdown;

const PAGE: &str = "docs/BENCHMARKS.md";
const JSON: &str = "docs/benchmarks.json";
/// The harness writes the part between these marks; the rest of the page is written by hand.
const BEGIN: &str = "<!-- measured: make bench writes from here -->";
const END: &str = "<!-- measured: to here -->";

/// Prints the report, and writes it if the run was complete and nothing failed.
///
/// # Errors
/// The files cannot be written, or the marks in the page are missing.
pub fn publish(
    machine: &Machine,
    scale: &Scale,
    figures: &Figures,
    arguments: &Arguments,
) -> Fallible<()> {
    let lines = goals::lines(figures);
    let text = markdown(machine, figures, &lines)?;
    println!("\n{text}");
    if !arguments.is_complete() || !figures.failures.is_empty() {
        return Ok(());
    }
    let page = fs::read_to_string(PAGE)?;
    fs::write(PAGE, replace_measured(&page, &text)?)?;
    let json = json!({
        "machine": machine, "scale": scale, "table": lines, "measured": figures,
    });
    fs::write(JSON, serde_json::to_string_pretty(&json)? + "\n")?;
    println!("written to {PAGE} and {JSON}");
    Ok(())
}

fn replace_measured(page: &str, text: &str) -> Fallible<String> {
    let before = page.split_once(BEGIN).map(|(before, _)| before);
    let after = page.split_once(END).map(|(_, after)| after);
    let (before, after) =
        before.zip(after).ok_or_else(|| format!("the marks in {PAGE} are missing"))?;
    Ok(format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handwritten_part_of_the_page_stays() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        assert_eq!(
            replace_measured(&page, "new\n").unwrap(),
            format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n")
        );
        assert!(replace_measured("without marks", "new").is_err());
    }
}
