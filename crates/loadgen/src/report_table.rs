//! The report as a table of text.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use crate::report::{FailedReason, Latency, Report};

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Onceward         {}", self.target)?;
        writeln!(out, "posting service  {}", self.ledger)?;
        writeln!(out)?;
        let stopped = if self.stopped_early { ", stopped early" } else { "" };
        row(
            out,
            "offered",
            self.offered,
            &format!("{:.1} per second{stopped}", self.offered_rate),
        )?;
        row(out, "accepted", self.accepted, &format!("{:.1} per second", self.accepted_rate))?;
        row(out, "rejected", self.rejected, &counted(&self.rejected_by_status))?;
        row(out, "gave up", self.gave_up, &counted(&self.gave_up_reasons))?;
        let repeats = match self.repeats {
            0 => String::new(),
            repeats => format!("{} repeated requests", grouped(repeats)),
        };
        row(out, "retried", self.retried, &repeats)?;
        writeln!(out)?;
        let Latency { p50_ms, p90_ms, p99_ms, max_ms } = self.latency;
        for (label, ms) in [("p50", p50_ms), ("p90", p90_ms), ("p99", p99_ms), ("max", max_ms)] {
            writeln!(out, "{label:<15}{ms:>12.1} ms")?;
        }
        self.fmt_sent_late(out)?;
        writeln!(out)?;
        self.fmt_final_states(out)?;
        writeln!(out)?;
        let examples = &self.examples;
        for (label, count, ids) in [
            ("lost", self.lost, &examples.lost),
            ("duplicated", self.duplicated, &examples.duplicated),
            ("wrongly failed", self.wrongly_failed, &examples.wrongly_failed),
            ("mismatched", self.mismatched, &examples.mismatched),
        ] {
            row(out, label, count, &first_of(ids))?;
        }
        if self.late_writes_pending > 0 {
            row(
                out,
                "late writes",
                self.late_writes_pending,
                "not yet applied by the posting service: audit again later",
            )?;
        }
        Ok(())
    }
}

impl Report {
    fn fmt_sent_late(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = &self.sent_late;
        if late.requests > 0 {
            let note = format!("over 100 ms after they were due, at most {} ms", late.max_ms);
            row(out, "sent late", late.requests, &note)?;
        }
        if late.in_flight_bound_hits > 0 {
            let note = "times at the limit in flight: less was offered than requested";
            row(out, "delayed", late.in_flight_bound_hits, note)?;
        }
        if late.connection_bound_hits > 0 {
            let note = "requests waited for a free connection";
            row(out, "delayed", late.connection_bound_hits, note)?;
        }
        Ok(())
    }

    fn fmt_final_states(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.all_final_after_ms, self.all_final_after_offering_ms) {
            (Some(after_ms), Some(after_offering_ms)) => writeln!(
                out,
                "{:<15}{:>12} s    {} s after the last answer",
                "all final after",
                seconds(after_ms),
                seconds(after_offering_ms)
            )?,
            _ => writeln!(out, "{:<15}{:>12}", "all final after", "never")?,
        }
        row(out, "completed", self.completed, "")?;
        row(out, "failed", self.failed, "")?;
        for FailedReason { reason, count } in &self.failed_reasons {
            writeln!(out, "{:<29}{} × {reason}", "", grouped(*count))?;
        }
        for (label, count) in [("screened", self.screened), ("cancelled", self.cancelled)] {
            if count > 0 {
                row(out, label, count, "")?;
            }
        }
        row(out, "in doubt", self.in_doubt, "")?;
        row(out, "unfinished", self.unfinished, "")
    }
}

/// A line of the table: label, count and note.
fn row(out: &mut fmt::Formatter<'_>, label: &str, count: u64, note: &str) -> fmt::Result {
    let line = format!("{label:<15}{:>12}  {note}", grouped(count));
    writeln!(out, "{}", line.trim_end())
}

/// 1234567 as 1,234,567.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

fn counted<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let each: Vec<String> =
        counts.iter().map(|(what, count)| format!("{} × {what}", grouped(*count))).collect();
    each.join(", ")
}

fn first_of(ids: &[Uuid]) -> String {
    ids.first().map(|id| format!("such as {id}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::good;
    use crate::report::{Examples, SentLate};

    #[test]
    fn the_table_of_a_good_run() {
        let mut report = good();
        report.set_failed_reasons(BTreeMap::from([("refused".to_owned(), 1)]));
        let expected = "\
Onceward         http://127.0.0.1:3000
posting service  http://127.0.0.1:8080

offered               6,000  200.0 per second
accepted              6,000  200.0 per second
rejected                  0
gave up                   0
retried                   0

p50                     1.2 ms
p90                     2.0 ms
p99                     9.5 ms
max                  1040.0 ms

all final after        34.2 s    4.2 s after the last answer
completed             5,999
failed                    1
                             1 × refused
in doubt                  0
unfinished                0

lost                      0
duplicated                0
wrongly failed            0
mismatched                0
";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn the_table_of_a_bad_run_lists_what_was_wrong() {
        let id = Uuid::new_v4();
        let report = Report {
            rejected: 1200,
            rejected_by_status: BTreeMap::from([(401, 1100), (422, 100)]),
            gave_up: 2,
            gave_up_reasons: BTreeMap::from([("no connection".to_owned(), 2)]),
            sent_late: SentLate {
                requests: 7,
                max_ms: 512,
                in_flight_bound_hits: 3,
                connection_bound_hits: 4,
            },
            all_final_after_ms: None,
            all_final_after_offering_ms: None,
            duplicated: 1,
            examples: Examples { duplicated: vec![id], ..Examples::default() },
            late_writes_pending: 2,
            ..good()
        };
        let table = report.to_string();
        for line in [
            "rejected              1,200  1,100 × 401, 100 × 422".to_owned(),
            "gave up                   2  2 × no connection".to_owned(),
            "sent late                 7  over 100 ms after they were due, at most 512 ms"
                .to_owned(),
            "delayed                   3  times at the limit in flight: less was offered than requested"
                .to_owned(),
            "delayed                   4  requests waited for a free connection".to_owned(),
            "all final after       never".to_owned(),
            format!("duplicated                1  such as {id}"),
            "late writes               2  not yet applied by the posting service: audit again later".to_owned(),
        ] {
            assert!(table.lines().any(|found| found == line), "{line}\nis not in\n{table}");
        }
    }

    #[test]
    fn digits_are_grouped_by_three() {
        let groups = [0, 999, 1000, 123_456, 1_234_567].map(grouped);
        assert_eq!(groups, ["0", "999", "1,000", "123,456", "1,234,567"]);
    }
}
