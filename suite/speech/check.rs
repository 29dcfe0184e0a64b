//! `check` on a task of speech: everything that `run` with the same options would need, looked at but not touched.

use super::run::judged_on;
use crate::cli::Format;
use crate::command::check::{backend_state, out_is_writable, plan_lines, stopper};
use crate::data::utterances::length;
use crate::data::{TrainingData as _, Utterances};
use crate::error::Result;
use crate::progress::TerminalProgress;
use crate::request::RunRequest;
use crate::terminal;
use bridle_tasks::{Role, SpeechSet, SpeechTask};
use serde_json::{Value, json};

/// Looks at everything, prints what was found, and fails with the first thing that would stop the run.
///
/// # Errors
/// Wrong use; data missing or not readable; a backend that cannot be opened; an output that cannot be written.
pub fn perform(mut request: RunRequest, task: &dyn SpeechTask) -> Result<()> {
    let progress = TerminalProgress::default();
    let set = task
        .open(&request.speech_request(), &progress)
        .map_err(crate::error::Failure::from);
    if let Ok(set) = &set {
        request.plan = request.plan.with_variant(&set.facts.variant);
    }
    let backend = backend_state(&request.backend);
    let out = out_is_writable(&request.out);
    match request.format {
        Format::Terminal => terminal::print(&text(&request, &set, &backend, &out))?,
        Format::Json => terminal::print(&format!("{:#}", json_of(&request, &set, &backend, &out)))?,
    }
    out?;
    set?;
    backend.map(|_| ())
}

/// Minutes of sound of some utterances.
fn minutes(set: &SpeechSet, utterances: &[usize]) -> f64 {
    // frames of 10 ms
    utterances.iter().map(|&index| set.frames(index)).sum::<usize>() as f64 / 6_000.0
}

type Backend = Result<bridle_backends::BackendState>;

fn text(request: &RunRequest, set: &Result<SpeechSet>, backend: &Backend, out: &Result<()>) -> String {
    let mut lines = Vec::new();
    match set {
        Err(failure) => lines.push(("data", stopper(failure))),
        Ok(set) => {
            let facts = &set.facts;
            let parts: Vec<String> = facts
                .counts
                .iter()
                .map(|(part, count)| format!("{part} {count}"))
                .collect();
            lines.push((
                "data",
                format!(
                    "{}: {} utterances ({})",
                    facts.task,
                    set.utterances.len(),
                    parts.join(", ")
                ),
            ));
            let (train, test) = (set.of_role(Role::Train), judged_on(set));
            let sound = |what: &str, of: &[usize]| format!("{what} {:.1} min", minutes(set, of));
            lines.push((
                "sound",
                format!("{}, {}", sound("training", &train), sound("testing", &test)),
            ));
            lines.push((
                "padding",
                format!(
                    "{:.0} % of the places in training batches",
                    100.0 * padding(request, set, &train)
                ),
            ));
            lines.extend(facts.splitting.iter().map(|splitting| ("splits", splitting.clone())));
            let left_out = facts
                .skipped
                .iter()
                .map(|skipped| ("left out", format!("{}: {}", skipped.id, skipped.reason)));
            lines.extend(left_out);
            if facts.missing.count > 0 {
                let first = facts.missing.first.join(", ");
                lines.push((
                    "missing",
                    format!("{} listed utterances have no sound: {first}", facts.missing.count),
                ));
            }
        }
    }
    let threads = request.backend.threads.unwrap_or_else(crate::machine::cores);
    let ready = |state: &bridle_backends::BackendState| {
        format!(
            "{}, ready, {}, {threads} threads; {}",
            state.name, request.dtype, state.summary
        )
    };
    lines.push(("backend", backend.as_ref().map_or_else(stopper, ready)));
    let records = |()| {
        format!(
            "{} in {}",
            request.seeds.len(),
            request.out.join(&request.plan.task).display()
        )
    };
    lines.push(("records", out.as_ref().map_or_else(stopper, |()| records(()))));
    for phase in request.plan.phases() {
        lines.push(("training", format!("{}: {} epochs", phase.name, phase.length.epochs)));
    }
    lines.push(("plan", request.plan.plan_hash()));
    let lines: String = lines
        .iter()
        .map(|(topic, facts)| format!("{topic:<9} {facts}\n"))
        .collect();
    lines + &plan_lines(&request.plan.to_flat())
}

/// The share of places in the first epoch's batches that hold no frame.
fn padding(request: &RunRequest, set: &SpeechSet, train: &[usize]) -> f64 {
    let batch = request.plan.pretrain.as_ref().map_or(16, |pretrain| pretrain.batch);
    let order = Utterances::new(set, &request.plan).order(train, batch, bridle_seed::Seed::root(0));
    let (mut places, mut frames) = (0, 0);
    for step in 0..order.steps_per_epoch() {
        let samples = order.at(step).into_iter();
        let lengths: Vec<usize> = samples.map(|index| length(set, index)).collect();
        frames += lengths.iter().sum::<usize>();
        places += lengths.len() * lengths.iter().max().copied().unwrap_or(0);
    }
    1.0 - frames as f64 / places.max(1) as f64
}

fn json_of(request: &RunRequest, set: &Result<SpeechSet>, backend: &Backend, out: &Result<()>) -> Value {
    let problems = [out.as_ref().err(), set.as_ref().err(), backend.as_ref().err()];
    let problem =
        |failure: &crate::error::Failure| json!({"exit_code": failure.exit().code(), "message": failure.message()});
    json!({
        "plan": request.plan.to_flat(),
        "plan_hash": request.plan.plan_hash(),
        "seeds": request.seeds,
        "data": set.as_ref().ok().map(|set| &set.facts),
        "minutes": set.as_ref().ok().map(|set| json!({
            "training": minutes(set, &set.of_role(Role::Train)), "testing": minutes(set, &judged_on(set)),
        })),
        "backend": {
            "name": request.backend.name.as_str(), "dtype": request.dtype.word(), "device": request.backend.device,
            "threads": request.backend.threads.unwrap_or_else(crate::machine::cores),
        },
        "problems": problems.into_iter().flatten().map(problem).collect::<Vec<_>>(),
    })
}
