//! `list`: what there is, straight from the registries.

use crate::cli::error::Result;
use crate::cli::terminal;
use crate::cli::{Format, ListArgs, Listing};
use crate::plan::{Method, Protocol, QuantizerKind, preset};
use bridle_backends::{Availability, BackendState};
use bridle_tasks::{InputSpec, SpeechInput, SpeechSpec, TaskSpec};
use serde_json::{Value, json};

/// Prints one list.
///
/// # Errors
/// If stdout cannot be written.
pub fn perform(args: &ListArgs) -> Result<()> {
    terminal::print(&text(args))
}

/// The list as text.
pub fn text(args: &ListArgs) -> String {
    let entries = entries(args.what);
    match args.format {
        Format::Json => {
            let entries = entries.into_iter().map(|entry| entry.json);
            format!("{:#}", Value::Array(entries.collect()))
        }
        Format::Terminal => lines(&entries),
    }
}

/// One entry: its name, what to know about it, and the same for a program.
struct Entry {
    name: String,
    lines: Vec<String>,
    json: Value,
}

impl Entry {
    fn new(name: &str, about: &str) -> Self {
        Self {
            name: name.to_owned(),
            lines: vec![about.to_owned()],
            json: json!({"name": name, "summary": about}),
        }
    }
}

fn entries(what: Listing) -> Vec<Entry> {
    macro_rules! words {
        ($list:ty) => {
            <$list>::ALL
                .iter()
                .map(|item| Entry::new(item.word(), item.about()))
                .collect()
        };
    }
    match what {
        Listing::Tasks => {
            let speech = bridle_tasks::speech_tasks().iter();
            let speech = speech.map(|task| speech_entry(&task.spec()));
            let others = bridle_tasks::tasks().iter().map(|task| task_entry(&task.spec()));
            others.chain(speech).collect()
        }
        Listing::Quantizers => QuantizerKind::all()
            .map(|kind| Entry::new(kind.word(), kind.about()))
            .collect(),
        Listing::Methods => words!(Method),
        Listing::Protocols => words!(Protocol),
        Listing::Presets => preset::PRESETS
            .iter()
            .map(|preset| Entry::new(preset.name, &preset.about()))
            .collect(),
        Listing::Backends => bridle_backends::list().iter().map(backend_entry).collect(),
    }
}

fn task_entry(task: &TaskSpec) -> Entry {
    let folds = task.folds.map(|folds| format!(", {folds} folds")).unwrap_or_default();
    let input = match &task.input {
        InputSpec::Audio {
            frames,
            mels,
            sample_rate,
            ..
        } => format!("{frames} frames x {mels} mels at {sample_rate} Hz"),
        InputSpec::Image { side, .. } => format!("{side} x {side} pixels"),
        InputSpec::Video { frames, side, .. } => format!("{frames} frames of {side} x {side} pixels"),
        InputSpec::Pipeline(fixed) => format!("{:?} numbers", fixed.shape()),
    };
    let size = format!("{} classes{folds}; {input}", task.classes.len());
    Entry {
        name: task.name.to_string(),
        lines: vec![
            task.summary.to_string(),
            size,
            format!("source: {} (licence: {})", task.source, task.licence),
        ],
        json: json!({
            "name": task.name, "version": task.version, "summary": task.summary, "input": task.input,
            "classes": task.classes.len(), "folds": task.folds, "source": task.source, "licence": task.licence,
            "citation": task.citation,
        }),
    }
}

fn speech_entry(task: &SpeechSpec) -> Entry {
    let SpeechInput { mels, sample_rate, .. } = task.input;
    Entry {
        name: task.name.to_string(),
        lines: vec![
            task.summary.to_string(),
            format!("transcripts; {mels} mels at {sample_rate} Hz, of any length"),
            format!("source: {} (licence: {})", task.source, task.licence),
        ],
        json: json!({
            "name": task.name, "version": task.version, "summary": task.summary, "input": task.input,
            "source": task.source, "licence": task.licence, "citation": task.citation,
        }),
    }
}

fn backend_entry(backend: &BackendState) -> Entry {
    let (state, reason) = match &backend.availability {
        Availability::Ready => ("ready", None),
        Availability::NotCompiled => ("not compiled in", None),
        Availability::Unavailable(reason) => ("unavailable", Some(reason)),
    };
    let told = reason.map_or_else(|| state.to_owned(), |reason| format!("{state}: {reason}"));
    let mut lines = vec![format!("{told}; {}", backend.summary)];
    lines.push(format!("--dtype bf16: {}", backend.bf16));
    lines.extend(backend.how_to_get.as_ref().map(|how| format!("to get it: {how}")));
    lines.extend(backend.note.map(str::to_owned));
    Entry {
        name: backend.name.to_owned(),
        lines,
        json: json!({
            "name": backend.name, "state": state, "reason": reason, "summary": backend.summary,
            "bf16": backend.bf16, "how_to_get": backend.how_to_get, "note": backend.note,
        }),
    }
}

/// Names in a column, what to know about them beside it.
fn lines(entries: &[Entry]) -> String {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let entry = |entry: &Entry| {
        let names = std::iter::once(entry.name.as_str()).chain(std::iter::repeat(""));
        entry
            .lines
            .iter()
            .zip(names)
            .map(|(line, name)| format!("{name:width$}  {line}\n"))
            .collect::<String>()
    };
    entries.iter().map(entry).collect()
}
