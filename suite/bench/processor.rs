//! `bench --report`: the rows of this processor for the table of PERFORMANCE.md, one for each backend
//! on the processor and each number type.

use super::against::Against;
use super::report::{Config, Report};
use super::setup::Setup;
use crate::compute::Dtype;
use bridle_backends::{Name, processor};
use bridle_results::table::{Cell, Heading, Table};
use serde_json::json;

/// The setup on every backend that is compiled in and computes on the processor, in every number type.
pub fn setups(setup: &Setup) -> Vec<Setup> {
    let names = bridle_backends::compiled()
        .into_iter()
        .filter(|name| *name != Name::Cuda);
    let with = |name, dtype: Dtype| {
        let mut setup = setup.clone();
        (setup.backend.name, setup.backend.precision, setup.dtype) = (name, dtype.precision(), dtype);
        setup
    };
    names
        .flat_map(|name| Dtype::ALL.iter().map(move |&dtype| with(name, dtype)))
        .collect()
}

/// A row for each report; with an earlier report its ratios too.
pub fn table(reports: &[Report], against: Option<&Against>) -> Table {
    let Some(Report { config, runtime, .. }) = reports.first() else {
        unreachable!("flex is always compiled in");
    };
    let kinds = reports[0].results.iter().map(|(kind, _)| kind.word());
    let name: Vec<String> = std::iter::once(runtime.cpu.clone())
        .chain(processor::family())
        .collect();
    let row = |report: &Report| {
        let runtime = &report.runtime;
        let about = [
            name.join(", "),
            processor::features().join(" "),
            runtime.backend.clone(),
            runtime.bf16.as_ref().unwrap_or(&runtime.dtype).clone(),
        ];
        let times = report.results.iter().map(|(kind, row)| {
            let ratio = against.and_then(|against| against.ratio(*kind, row));
            let shown = ratio.map_or(String::new(), |ratio| format!(" ({ratio:.2})"));
            let value = json!({"median_s": row.median_s, "ratio": ratio});
            Cell::new(format!("{:.4}{shown}", row.median_s), value)
        });
        about.into_iter().map(Cell::word).chain(times).collect()
    };
    let Config { size, input, batch, .. } = config;
    let threads = runtime.threads.unwrap_or(1);
    let load = runtime.load_average_before.map_or(String::new(), |[one, ..]| {
        format!("; {one:.1} jobs wanted the processor before it")
    });
    let in_brackets = against.map(|against| format!("in brackets: times faster than {}", against.about()));
    Table {
        title: format!("{size}, {input}, batch {batch}, {threads} threads"),
        header: ["processor", "instructions", "backend", "products"]
            .into_iter()
            .map(Heading::key)
            .chain(kinds.map(Heading::word))
            .collect(),
        rows: reports.iter().map(row).collect(),
        notes: std::iter::once(format!(
            "seconds, medians of {} runs; {}{load}",
            runtime.repeats, runtime.program
        ))
        .chain(in_brackets)
        .collect(),
    }
}
