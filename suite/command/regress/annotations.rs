//! Regressions in the forms that forges show beside a change.

use bridle_results::regress::{Check, Departure, Verdict};
use serde_json::{Value, json};

/// A line for each regression, as GitHub Actions reads them from a job's output; `file` is the
/// baseline. Empty if there is none.
pub(super) fn github(verdict: &Verdict, file: &str) -> String {
    let lines = regressions(verdict).map(|check| {
        let (title, message) = (property(&check.quantity.to_string()), data(&message(check)));
        format!("::error file={},title={title}::{message}\n", property(file))
    });
    let left = verdict.left.iter().flat_map(|left| {
        let message = |place: &Departure| format!("{}: {place}, of {} runs", left.key, left.runs);
        left.departures
            .iter()
            .map(move |place| (title(place), data(&message(place))))
    });
    let left = left.map(|(title, message)| {
        format!(
            "::error file={},title={}::{message}\n",
            property(file),
            property(&title)
        )
    });
    lines.chain(left).collect()
}

/// A code quality report of GitLab: a list with an entry for each regression.
pub(super) fn gitlab(verdict: &Verdict, file: &str) -> Value {
    let entries = regressions(verdict).map(|check| {
        let name = format!("{}: {}", check.key, check.quantity);
        issue(&message(check), &name, file)
    });
    let left = verdict
        .left
        .iter()
        .flat_map(|left| left.departures.iter().map(move |place| (left, place)));
    let left = left.map(|(left, place)| {
        let name = format!("{}: {}", left.key, title(place));
        issue(&format!("{}: {place}, of {} runs", left.key, left.runs), &name, file)
    });
    entries.chain(left).collect()
}

/// An entry of that report, of which `name` tells it from others.
fn issue(description: &str, name: &str, file: &str) -> Value {
    json!({
        "description": description,
        "check_name": "bridle-bench regress",
        "fingerprint": blake3::hash(name.as_bytes()).to_hex().as_str(),
        "severity": "major",
        "location": {"path": file, "lines": {"begin": 1}},
    })
}

/// `encoder-1 loss`.
fn title(place: &Departure) -> String {
    format!("{} {}", place.phase, place.what)
}

fn regressions(verdict: &Verdict) -> impl Iterator<Item = &Check> {
    verdict.checks.iter().filter(|check| check.outcome.is_regression())
}

/// `esc50 bridle rq, plan ..: linear-probe top1 is worse: 0.31 instead of 0.4`.
fn message(check: &Check) -> String {
    let number = |value: Option<f64>| value.map_or_else(|| "nothing".to_owned(), |value| value.to_string());
    let (found, expected) = (number(check.found), number(check.expected.map(|(value, _)| value)));
    let (run, what, outcome) = (&check.key, &check.quantity, check.outcome.name());
    format!("{run}: {what} is {outcome}: {found} instead of {expected}")
}

/// A message's text, in which GitHub reads `%`, CR and LF as its own.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value, in which `:` and `,` end it too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
