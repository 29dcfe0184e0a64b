//! The data of a task of speech as `check` finds it.

use super::{Amount, Found, Line};
use crate::cli::error::Result;
use crate::cli::progress::TerminalProgress;
use crate::data::utterances::length;
use crate::data::{TrainingData, Utterances};
use crate::estimate::Workload;
use crate::protocol::Examples;
use crate::run::request::RunRequest;
use bridle_seed::Seed;
use bridle_tasks::{SpeechSet, SpeechTask};
use serde_json::{Map, json};

/// Opens the data set as `run` would.
pub(super) fn look(request: &RunRequest, task: &dyn SpeechTask) -> Result<Found> {
    let set = task.open(&request.speech_request(), &TerminalProgress::default())?;
    let data = Utterances::new(&set, &request.plan);
    let (train, test) = data.split(None);
    let minutes = |utterances: &[usize]| {
        // frames of 10 ms
        utterances.iter().map(|&index| set.frames(index)).sum::<usize>() as f64 / 6_000.0
    };
    let (training, testing) = (minutes(&train), minutes(&test));
    let mut lines = vec![
        ("data", data_line(&set)),
        ("sound", format!("training {training:.1} min, testing {testing:.1} min")),
        (
            "padding",
            format!(
                "{:.0} % of the places in training batches",
                100.0 * padding(request, &data, &train)
            ),
        ),
    ];
    lines.extend(left_out_lines(&set));
    let minutes = json!({"training": training, "testing": testing});
    Ok(Found {
        lines,
        json: Map::from_iter([("minutes".to_owned(), minutes)]),
        amount: Amount {
            all: set.utterances.len(),
            training: Workload::Utterances(train.iter().map(|&index| length(&set, index)).collect()),
            input_bytes: input_bytes(&set),
        },
        verified: data.require_parts(&[None]),
        facts: set.facts,
    })
}

/// Bytes of the stored inputs, 32-bit floats.
fn input_bytes(set: &SpeechSet) -> u64 {
    let frames: usize = (0..set.utterances.len()).map(|index| set.frames(index)).sum();
    (frames * set.input_spec().mels * size_of::<f32>()) as u64
}

fn data_line(set: &SpeechSet) -> String {
    let facts = &set.facts;
    let parts = facts.counts.iter();
    let parts: Vec<String> = parts.map(|(part, count)| format!("{part} {count}")).collect();
    let count = set.utterances.len();
    format!("{}: {count} utterances ({})", facts.task, parts.join(", "))
}

fn left_out_lines(set: &SpeechSet) -> Vec<Line> {
    let facts = &set.facts;
    let splitting = facts.splitting.iter();
    let mut lines: Vec<Line> = splitting.map(|splitting| ("splits", splitting.clone())).collect();
    let skipped = facts.skipped.iter();
    lines.extend(skipped.map(|skipped| ("left out", format!("{}: {}", skipped.id, skipped.reason))));
    if facts.missing.count > 0 {
        let (count, first) = (facts.missing.count, facts.missing.first.join(", "));
        lines.push(("missing", format!("{count} listed utterances have no sound: {first}")));
    }
    lines
}

/// The share of places in the first epoch's batches that hold no frame.
fn padding(request: &RunRequest, data: &Utterances<'_>, train: &[usize]) -> f64 {
    let batch = request.plan.pretrain.as_ref().map_or(16, |pretrain| pretrain.batch);
    let order = data.order(train, batch, Seed::root(0));
    let (mut places, mut frames) = (0, 0);
    for step in 0..order.steps_per_epoch() {
        let utterances = order.at(step);
        let lengths = || utterances.iter().map(|&index| length(data.set, index));
        frames += lengths().sum::<usize>();
        places += utterances.len() * lengths().max().unwrap_or(0);
    }
    1.0 - frames as f64 / places.max(1) as f64
}
