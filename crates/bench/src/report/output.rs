//! The report: printed, and, where the run was whole, written to docs/.

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
/// What lies between them in the page is the harness's; the rest is written by hand.
const BEGIN: &str = "<!-- measured: make bench writes from here -->";
const END: &str = "<!-- measured: to here -->";

/// Prints it, and writes it where the run was whole.
///
/// # Errors
/// Where the files cannot be written, or the page has lost its marks.
pub fn give(
    machine: &Machine,
    scale: &Scale,
    figures: &Figures,
    arguments: &Arguments,
) -> Fallible<()> {
    let lines = goals::lines(figures);
    let text = markdown(machine, figures, &lines)?;
    println!("\n{text}");
    if !arguments.is_whole() || !figures.failures.is_empty() {
        return Ok(());
    }
    let page = fs::read_to_string(PAGE)?;
    fs::write(PAGE, spliced(&page, &text)?)?;
    let json = json!({
        "machine": machine, "scale": scale, "table": lines, "measured": figures,
    });
    fs::write(JSON, serde_json::to_string_pretty(&json)? + "\n")?;
    println!("written to {PAGE} and {JSON}");
    Ok(())
}

fn spliced(page: &str, text: &str) -> Fallible<String> {
    let before = page.split_once(BEGIN).map(|(before, _)| before);
    let after = page.split_once(END).map(|(_, after)| after);
    let (before, after) = before.zip(after).ok_or_else(|| format!("{PAGE} has lost its marks"))?;
    Ok(format!("{before}{BEGIN}\n\n{text}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_by_hand_stays() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        assert_eq!(
            spliced(&page, "new\n").unwrap(),
            format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n")
        );
        assert!(spliced("without marks", "new").is_err());
    }
}
