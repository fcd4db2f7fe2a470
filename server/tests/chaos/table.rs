//! The table of results: a row for each scenario, for a terminal or in Markdown.

use std::time::Duration;

use crate::auditor::Counts;

const HEADINGS: [&str; 9] = [
    "scenario",
    "accepted",
    "posted",
    "lost",
    "duplicated",
    "failed",
    "in doubt",
    "longest recovery (s)",
    "took (s)",
];
/// The width of the longest name.
const NAME_WIDTH: usize = 24;

/// The format of the table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub markdown: bool,
}

impl Table {
    pub fn head(self) -> String {
        let head = self.line(HEADINGS.map(str::to_owned));
        match self.markdown {
            true => format!("{head}\n|---|{}", "---:|".repeat(HEADINGS.len() - 1)),
            false => head,
        }
    }

    /// The row of a scenario. `longest_recovery` is `None` if nothing had to recover.
    pub fn row(
        self,
        name: &str,
        counts: &Counts,
        longest_recovery: Option<Duration>,
        took: Duration,
    ) -> String {
        let seconds = |duration: Duration| format!("{:.1}", duration.as_secs_f64());
        self.line([
            name.to_owned(),
            counts.accepted.to_string(),
            counts.posted.to_string(),
            counts.lost.to_string(),
            counts.duplicated.to_string(),
            counts.failed.to_string(),
            counts.in_doubt.to_string(),
            longest_recovery.map_or("-".to_owned(), seconds),
            seconds(took),
        ])
    }

    fn line(self, cells: [String; 9]) -> String {
        if self.markdown {
            return format!("| {} |", cells.join(" | "));
        }
        let [name, numbers @ ..] = cells;
        let mut line = format!("{name:NAME_WIDTH$}");
        for (number, heading) in numbers.iter().zip(&HEADINGS[1..]) {
            line.push_str(&format!("  {number:>width$}", width = heading.len()));
        }
        line
    }
}
