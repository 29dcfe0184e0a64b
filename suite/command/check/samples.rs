//! The data of a task of sounds, images or videos as `check` finds it, with what this copy of the
//! data measures.

use super::{Amount, Found, Line};
use crate::cli::error::Result;
use crate::cli::progress::TerminalProgress;
use crate::data::Fixed;
use crate::estimate::{self, Workload};
use crate::protocol::Examples as _;
use crate::run::given;
use crate::run::request::RunRequest;
use bridle_tasks::{Census, DataError, Dataset, Split, Task};
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// Differences that are printed; a copy with other files differs in all of its classes.
const SHOWN: usize = 10;

/// Opens the data set as `run` would, but for fetching it, with its features in a folder that is
/// gone afterwards.
pub(super) fn look(request: &RunRequest, task: &dyn Task) -> Result<Found> {
    let mut open = request.open_request();
    let scratch = std::env::temp_dir().join(format!("bridle-bench-check-{}", std::process::id()));
    open.cache = scratch.clone();
    open.offline = true;
    let look = || {
        let dataset = task.open(&open, &TerminalProgress::default())?;
        let copy = Census::measure(&dataset, &open.input)?;
        let differences = copy.verify(true)?;
        Ok::<_, DataError>((dataset, copy, differences))
    };
    let found = look();
    // a folder left behind in the system's temporary folder is harmless
    let _ = std::fs::remove_dir_all(scratch);
    let (dataset, copy, differences) = found?;
    let mut lines = vec![("data", data_line(&dataset))];
    lines.extend(copy_lines(&copy, &differences));
    let parts = Fixed::new(&dataset, &request.plan).require_parts(&request.folds);
    Ok(Found {
        lines,
        json: Map::from_iter([
            ("copy".to_owned(), json!(copy)),
            ("differences".to_owned(), json!(differences)),
            ("ids".to_owned(), json!(ids(&dataset))),
        ]),
        amount: Amount {
            all: dataset.samples.len(),
            training: Workload::Samples(dataset.split(request.folds[0]).0.len()),
            input_bytes: estimate::input_bytes(&request.plan, dataset.samples.len()),
        },
        verified: copy
            .verify(request.args.allow_different_data)
            .map(drop)
            .map_err(Into::into)
            .and(parts)
            .and_then(|()| given::labels(request, &dataset).map(drop)),
        facts: dataset.facts,
    })
}

/// The names of the samples, by fold or split.
fn ids(dataset: &Dataset) -> BTreeMap<String, Vec<&str>> {
    let mut parts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for sample in &dataset.samples {
        let part = match (sample.fold, sample.split) {
            (Some(fold), _) => format!("fold-{fold}"),
            (None, Split::Train) => "train".to_owned(),
            (None, Split::Test) => "test".to_owned(),
        };
        parts.entry(part).or_default().push(&sample.id);
    }
    parts
}

fn data_line(dataset: &Dataset) -> String {
    let facts = &dataset.facts;
    let counts = facts
        .counts
        .iter()
        .map(|(split, count)| format!("{split} {count}"))
        .collect::<Vec<_>>()
        .join(", ");
    let skipped = match facts.skipped.len() {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    let all = dataset.samples.len();
    format!(
        "{}, variant {}: {all} samples ({counts}){skipped}",
        facts.task, facts.variant
    )
}

fn copy_lines(copy: &Census, differences: &[String]) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(bytes) = copy.bytes {
        let (least, median, most) = (bytes.least, bytes.median, bytes.most);
        lines.push((
            "files",
            format!(
                "{} bytes in all, from {least} to {most} each, {median} in the middle",
                bytes.total
            ),
        ));
    }
    let histogram: Vec<String> = copy
        .samples
        .iter()
        .map(|(split, classes)| spread(split, classes))
        .collect();
    lines.push(("classes", histogram.join("; ")));
    if copy.missing > 0 {
        lines.push(("missing", format!("{} samples that the lists have", copy.missing)));
    }
    let measured = copy.measured;
    lines.push((
        "inputs",
        format!(
            "mean {:.4}, standard deviation {:.4}, normalised, over {} samples",
            measured.mean, measured.std, measured.samples
        ),
    ));
    lines.push(("compared", compared(copy, differences)));
    let shown = differences.iter().take(SHOWN);
    lines.extend(shown.map(|difference| ("differs", difference.clone())));
    if let Some(more) = differences.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        lines.push(("differs", format!("and in {more} more, all of which --format json has")));
    }
    lines
}

/// `train: 10 classes x 90 to 100 samples`.
fn spread(split: &str, classes: &BTreeMap<String, usize>) -> String {
    let (least, most) = (classes.values().min(), classes.values().max());
    match (least, most) {
        (Some(least), Some(most)) if least == most => format!("{split}: {} classes x {most} samples", classes.len()),
        (Some(least), Some(most)) => format!("{split}: {} classes x {least} to {most} samples", classes.len()),
        _ => format!("{split}: none"),
    }
}

fn compared(copy: &Census, differences: &[String]) -> String {
    let variant = &copy.variant;
    match (copy.known(), copy.subset) {
        (None, _) => format!("with nothing: no statistics of variant {variant} are known"),
        (Some(_), Some(_)) => format!("with nothing: what is known of {variant} is about all of it, not a subset"),
        (Some(_), None) if differences.is_empty() => format!("with what is known of {variant}: the same"),
        (Some(_), None) => format!("with what is known of {variant}: {} differences", differences.len()),
    }
}
