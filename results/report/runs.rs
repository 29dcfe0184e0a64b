//! Provenance: a table of runs, and the phases, data, machine and plan of each.

use super::panel::number;
use crate::record::{MeanStd, RunRecord, display_value};
use crate::table::html::{self, escaped};
use crate::table::{Cell, Format, Heading, Series, Table};

/// The table of runs and the details of each.
pub(super) fn list(series: &[Series]) -> String {
    let runs: Vec<(&str, &RunRecord)> = series
        .iter()
        .flat_map(|series| series.runs.iter().map(|run| (series.label.as_str(), *run)))
        .collect();
    if runs.is_empty() {
        return String::new();
    }
    let details: String = runs.iter().map(|(label, run)| details(label, run)).collect();
    format!(
        "{}<h3>Plans and details</h3>\n{details}",
        provenance(&runs).render(Format::Html)
    )
}

fn provenance(runs: &[(&str, &RunRecord)]) -> Table {
    let row = |(label, run): &(&str, &RunRecord)| {
        let commit: String = run.program.commit.chars().take(7).collect();
        let changed = if run.program.dirty { " + changes" } else { "" };
        vec![
            Cell::word(*label),
            Cell::word(run.task()),
            Cell::new(run.seed.to_string(), run.seed),
            run.fold
                .map_or_else(Cell::missing, |fold| Cell::new(fold.to_string(), fold)),
            Cell::word(run.short_plan()),
            Cell::word(format!("{commit}{changed}")),
            Cell::word(run.backend_name()),
            Cell::word(machine(run)),
            Cell::word(&run.data.variant),
        ]
    };
    let header = [
        "method", "task", "seed", "fold", "plan", "commit", "backend", "machine", "data",
    ];
    Table {
        title: "Provenance".into(),
        header: header.map(Heading::word).into(),
        rows: runs.iter().map(row).collect(),
        notes: vec!["+ changes: built from sources that differ from the commit".into()],
    }
}

fn machine(run: &RunRecord) -> String {
    let machine = &run.machine;
    let gpu = machine.gpu.as_ref().map(|gpu| format!(", {gpu}")).unwrap_or_default();
    format!(
        "{}, {} cores, {}{gpu}",
        machine.cpu,
        machine.cores,
        gibibytes(machine.memory_bytes)
    )
}

fn gibibytes(bytes: u64) -> String {
    format!("{} GiB", number(bytes as f64 / f64::from(1 << 30), 1))
}

/// A run, folded up: facts, phases, plan.
fn details(label: &str, run: &RunRecord) -> String {
    let title = format!("{label}, {} ({})", run.task(), run.seed_and_fold());
    let plan: Vec<(String, String)> = run
        .plan
        .iter()
        .map(|(key, value)| (key.clone(), display_value(value)))
        .collect();
    format!(
        "<details>\n<summary>{}</summary>\n{}{}<h4>Plan {}</h4>\n{}</details>\n",
        escaped(&title),
        pairs("facts", &facts(run)),
        phases(run),
        escaped(&run.plan_hash),
        pairs("plan", &plan)
    )
}

fn pairs(class: &str, pairs: &[(String, String)]) -> String {
    let rows: String = pairs
        .iter()
        .map(|(name, value)| {
            format!(
                "<div><dt>{}</dt><dd>{}</dd></div>\n",
                escaped(name),
                html::linked(value)
            )
        })
        .collect();
    format!("<dl class=\"{class}\">\n{rows}</dl>\n")
}

fn facts(run: &RunRecord) -> Vec<(String, String)> {
    let (program, backend, data) = (&run.program, &run.backend, &run.data);
    let counts: Vec<String> = data
        .counts
        .iter()
        .map(|(split, count)| format!("{split} {count}"))
        .collect();
    let measured = data
        .input
        .measured
        .as_ref()
        .map_or_else(|| "not measured".into(), mean_std);
    let state = if program.dirty {
        "with changes"
    } else {
        "without changes"
    };
    let memory = |bytes: Option<u64>| bytes.map_or_else(|| "not known".to_string(), gibibytes);
    let peak = &run.peak_memory_bytes;
    let facts = [
        ("program", format!("{} at {}, {state}", program.version, program.commit)),
        ("machine", machine(run)),
        (
            "backend",
            format!(
                "{}, {}, {} threads",
                run.backend_name(),
                backend.library,
                backend.threads
            ),
        ),
        ("data", format!("{} {} ({})", data.task, data.version, data.variant)),
        ("source", data.source.clone()),
        (
            "manifest",
            data.manifest_sha256.clone().unwrap_or_else(|| "none".into()),
        ),
        ("samples", counts.join(", ")),
        (
            "subset",
            data.subset
                .map_or_else(|| "none".into(), |count| format!("{count} of each class")),
        ),
        ("left out", format!("{} samples", data.skipped.len())),
        (
            "input",
            format!("{measured}; normalised by {}", mean_std(&data.input.constants)),
        ),
        (
            "peak memory",
            format!("{}; device {}", memory(peak.host), memory(peak.device)),
        ),
        ("began", run.started.to_string()),
        ("ended", run.finished.to_string()),
        ("record", format!("schema {}, id {}", run.schema, run.id)),
    ];
    facts.map(|(name, value)| (name.to_string(), value)).into()
}

fn mean_std(numbers: &MeanStd) -> String {
    let list = |values: &[f64]| {
        let values: Vec<String> = values.iter().map(|value| number(*value, 4)).collect();
        values.join(" ")
    };
    format!("mean {}, std {}", list(&numbers.mean), list(&numbers.std))
}

fn phases(run: &RunRecord) -> String {
    if run.phases.is_empty() {
        return "<p>Nothing was pretrained.</p>\n".into();
    }
    let rows = run.phases.iter().map(|phase| {
        let reused = phase.reused_from.as_ref();
        vec![
            Cell::word(&phase.name),
            Cell::new(phase.epochs.to_string(), phase.epochs),
            Cell::new(number(phase.steps as f64, 0), phase.steps),
            Cell::new(number(phase.loss.first, 3), phase.loss.first),
            Cell::new(number(phase.loss.last, 3), phase.loss.last),
            Cell::new(number(phase.seconds, 1), phase.seconds),
            Cell::new(number(phase.samples_per_second, 1), phase.samples_per_second),
            reused.map_or_else(Cell::missing, Cell::word),
        ]
    });
    let header = [
        "phase",
        "epochs",
        "steps",
        "first loss",
        "last loss",
        "seconds",
        "samples/s",
        "reused from",
    ];
    let table = Table {
        title: "Phases".into(),
        header: header.map(Heading::word).into(),
        rows: rows.collect(),
        notes: Vec::new(),
    };
    table.render(Format::Html)
}
