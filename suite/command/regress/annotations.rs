//! Regressions in the forms that forges show beside a change.

use bridle_results::regress::{Check, Verdict};
use serde_json::{Value, json};

/// A line for each regression, as GitHub Actions reads them from a job's output; `file` is the
/// baseline. Empty if there is none.
pub(super) fn github(verdict: &Verdict, file: &str) -> String {
    let lines = regressions(verdict).map(|check| {
        let (title, message) = (property(&check.quantity.to_string()), data(&message(check)));
        format!("::error file={},title={title}::{message}\n", property(file))
    });
    lines.collect()
}

/// A code quality report of GitLab: a list with an entry for each regression.
pub(super) fn gitlab(verdict: &Verdict, file: &str) -> Value {
    let entries = regressions(verdict).map(|check| {
        let name = format!("{}: {}", check.key, check.quantity);
        json!({
            "description": message(check),
            "check_name": "bridle-bench regress",
            "fingerprint": blake3::hash(name.as_bytes()).to_hex().as_str(),
            "severity": "major",
            "location": {"path": file, "lines": {"begin": 1}},
        })
    });
    entries.collect()
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
