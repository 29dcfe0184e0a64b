//! The table of single runs: the value of each seed and fold, with its interval over test samples.

use super::runs::{self, RowLabels};
use super::scores;
use super::summary::Summary;
use super::{Cell, Heading, Style, Table};
use crate::evidence::Evidence;
use crate::record::RunRecord;
use serde_json::json;

/// Every score of every run.
pub(super) fn run_table(records: &[RunRecord], evidence: &Evidence) -> Table {
    let (runs, left_out) = runs::distinct(records);
    let groups = runs::groups(&runs, |run| scores::columns(run).collect());
    let labels = RowLabels::of(&groups);
    let mut header = vec![Heading::key("task")];
    header.extend(labels.header());
    header.extend(["seed", "fold", "protocol", "metric"].map(Heading::key));
    header.push(Heading::new("value (%, d' plain)", "value"));
    header.push(Heading::word("n"));
    let (mut rows, mut cells) = (Vec::new(), Vec::new());
    for group in &groups {
        for run in &group.runs {
            for column in scores::columns(run) {
                let Some(summary) = Summary::of(&[run], &column, evidence) else {
                    continue;
                };
                let (task, (_, protocol), (_, metric)) = &column;
                let mut row = vec![Cell::word(task)];
                row.extend(labels.cells(group));
                row.push(Cell::new(run.seed.to_string(), run.seed));
                row.push(
                    run.fold
                        .map_or_else(Cell::missing, |fold| Cell::new(fold.to_string(), fold)),
                );
                row.extend([protocol, metric].map(Cell::word));
                let shown = |value: f64| format!("{:.*}", scores::decimals(metric), value * scores::scale(metric));
                let value = json!({ "value": summary.middle(), "interval": summary.interval() });
                let ends = summary
                    .interval()
                    .map(|found| format!(" [{}, {}]", shown(found.low), shown(found.high)));
                let text = summary
                    .middle()
                    .map_or_else(|| "undefined".into(), |value| shown(value) + &ends.unwrap_or_default());
                row.push(Cell::new(text, value));
                row.push(Cell::new(summary.samples().to_string(), summary.samples()));
                rows.push(row);
                cells.push(summary);
            }
        }
    }
    let mut notes = labels.notes(left_out, Style::Full);
    notes.extend(scores::cell_notes(cells.iter(), Style::Full));
    Table {
        title: "Runs".into(),
        header,
        rows,
        notes,
    }
}
