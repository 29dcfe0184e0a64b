//! Laws of the files that this crate reads: whatever the bytes, there is a value that is written and
//! read again the same, or an error; never a panic.
//!
//! The fuzzer of `tests/fuzz` and this crate's tests call the same laws, so this is compiled for them
//! only.
#![allow(clippy::unwrap_used)] // a failed unwrap is a broken law

use crate::evidence::{self, Evidence};
use crate::metric::Metric;
use crate::predictions::Outputs;
use crate::record::RunRecord;
use crate::regress::{Bands, Baseline, BaselineError, GateRun, check};
use crate::report;
use crate::shown::is_control;
use crate::table::{Format, Style, TableKind, View, render};

/// What holds for a parser, whatever the bytes.
pub type Law = fn(&[u8]);

/// The laws by name, which is also that of the folder of their kept inputs.
pub const LAWS: &[(&str, Law)] = &[
    ("gate", gate),
    ("gate-record", gate_record),
    ("predictions", predictions),
    ("record", record),
];

/// A record is written and read again the same, and every table and the report can be made of it.
fn record(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = match RunRecord::from_json(&text) {
        Ok(read) => read,
        Err(error) => return assert!(!error.to_string().contains(is_control), "{error}"),
    };
    if let Ok(written) = read.to_json() {
        assert_eq!(RunRecord::from_json(&written).unwrap(), read);
    }
    let mut second = read.clone();
    second.seed = read.seed.wrapping_add(1);
    let records = [read, second];
    let evidence = Evidence::default();
    let of_style = |style| -> Vec<_> {
        let view = View {
            style,
            ..View::default()
        };
        let kinds = TableKind::ALL.iter();
        kinds
            .flat_map(|(_, kind)| kind.of(&records, &evidence, &view))
            .collect()
    };
    let tables = of_style(Style::Full);
    for tables in [&tables, &of_style(Style::Paper)] {
        for format in [
            Format::Terminal { columns: 80 },
            Format::Terminal { columns: 20 },
            Format::Markdown,
            Format::Latex,
            Format::Csv,
            Format::Html,
        ] {
            render(tables, format);
        }
    }
    let json = render(&tables, Format::Json);
    assert!(serde_json::from_str::<Vec<serde_json::Value>>(&json).is_ok(), "{json}");
    let page = report::page(&records, &evidence, &tables);
    assert_eq!(page.matches("<script").count(), 1, "the page's own");
}

/// A gate is written and read again the same; an error names a line of it.
fn gate(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Baseline::from_toml(&text) {
        Ok(read) => assert_eq!(Baseline::from_toml(&read.to_toml()).unwrap(), read),
        Err(BaselineError::NotToml { line, .. } | BaselineError::Key { line, .. }) => {
            assert!((1..=1 + text.matches('\n').count()).contains(&line), "line {line}");
        }
        Err(_) => {}
    }
}

/// A record, edited or whole, passes the gate that is made of it.
fn gate_record(bytes: &[u8]) {
    let Ok(run) = GateRun::from_json(&String::from_utf8_lossy(bytes)) else {
        return;
    };
    let runs = [run];
    let Ok(baseline) = Baseline::of(&runs, Bands::new(0.0, 0.0), None) else {
        return;
    };
    let read = Baseline::from_toml(&baseline.to_toml()).unwrap();
    assert_eq!(read, baseline);
    let verdict = check(&read, &runs);
    assert!(verdict.passed(), "{verdict:?}");
}

/// Predictions are written and read again the same, and every metric has a finite value or none.
fn predictions(bytes: &[u8]) {
    let Ok(read) = Outputs::from_csv(bytes) else { return };
    let written = match &read {
        Outputs::Scores(scores) => scores.to_csv().unwrap(),
        Outputs::Transcripts(transcripts) => transcripts.to_csv().unwrap(),
    };
    assert_eq!(Outputs::from_csv(&written).unwrap(), read);
    let protocols: Vec<&str> = match &read {
        Outputs::Scores(scores) => scores.protocols.iter().map(|scores| scores.protocol.as_str()).collect(),
        Outputs::Transcripts(texts) => texts.protocols.iter().map(|texts| texts.protocol.as_str()).collect(),
    };
    for protocol in protocols {
        for metric in Metric::ALL {
            if let Ok(Some(found)) = evidence::influence(&read, protocol, metric) {
                assert!(found.value.is_finite(), "{}: {}", metric.name(), found.value);
                assert_eq!(found.by_sample.len(), read.ids().len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay;

    #[test]
    fn every_law_holds_for_kept_and_damaged_inputs() {
        replay::hold(LAWS, 300);
    }
}
