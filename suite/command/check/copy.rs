//! The copy of the data as `check` measured it, in lines for people.

use super::data::DataReport;
use bridle_tasks::Census;
use std::collections::BTreeMap;

/// Differences that are printed; a copy with other files differs in all of its classes.
const SHOWN: usize = 10;

/// Lines of `topic  facts`.
pub(super) fn lines(found: &DataReport) -> Vec<(&'static str, String)> {
    let copy = &found.copy;
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
    lines.push(("classes", histogram.join(", ")));
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
    lines.push(("compared", compared(copy, &found.differences)));
    let shown = found.differences.iter().take(SHOWN);
    lines.extend(shown.map(|difference| ("differs", difference.clone())));
    if let Some(more) = found.differences.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        lines.push(("differs", format!("and in {more} more, all of which --format json has")));
    }
    lines
}

/// `train 10 classes of 90 to 100`.
fn spread(split: &str, classes: &BTreeMap<String, usize>) -> String {
    let (least, most) = (classes.values().min(), classes.values().max());
    match (least, most) {
        (Some(least), Some(most)) if least == most => format!("{split} {} of {most}", classes.len()),
        (Some(least), Some(most)) => format!("{split} {} of {least} to {most}", classes.len()),
        _ => format!("{split} none"),
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
