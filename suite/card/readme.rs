//! The model card: metadata for the hub, then what a reader wants to know.
//!
//! Metadata are YAML, whose scalars are written as JSON, which YAML holds.

use super::{Encoder, SPEECH, Subject};
use crate::plan::Sizes;
use crate::run::encoder_file::{EncoderCard, Origin};
use bridle_results::record::{RunRecord, Score};
use bridle_tasks::InputSpec;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Versions that the tests load folders with.
const TIMM: &str = "timm 1.0.26, torch 2.9.0";
const TRANSFORMERS: &str = "transformers 4.57.6, torch 2.9.0";

/// The text of README.md for a folder of this name whose weights have this SHA-256.
pub fn text(name: &str, subject: &Subject, sha256: &str) -> String {
    let about = About::of(&subject.encoder);
    let mut text = format!(
        "---\n{}---\n\n# {name}\n\n{}\n",
        metadata(name, subject, &about),
        about.what
    );
    let used = use_of(name, &subject.encoder);
    write!(text, "\n## Use\n\n{used}\n## Inputs\n\n{}\n", about.inputs).expect("a string takes all");
    text.push_str(&results(&subject.records));
    text.push_str(&origin(subject, sha256));
    text
}

/// What depends on the kind of input.
struct About {
    library: Option<&'static str>,
    pipeline: &'static str,
    modality: &'static str,
    what: String,
    inputs: String,
}

impl About {
    fn of(encoder: &Encoder) -> Self {
        let card = match encoder {
            Encoder::Vit(card) => card,
            Encoder::Speech(card) => {
                let (sizes, input) = (&card.sizes, &card.input);
                let window = sizes.window.map_or(String::new(), |frames| {
                    format!(" Attention sees {frames} frames to each side.")
                });
                let centred = if input.centred {
                    ", less its mean over the sound"
                } else {
                    ""
                };
                return Self {
                    library: None,
                    pipeline: "feature-extraction",
                    modality: "speech",
                    what: format!(
                        "A Conformer of {} blocks, {} wide, with {} heads, over frames of speech.{window} Its attention has \
                         rotary positions and its convolution a layer norm, which no encoder of transformers has both of: \
                         `{SPEECH}` beside it is the same in PyTorch.",
                        sizes.depth, sizes.dim, sizes.heads
                    ),
                    inputs: format!(
                        "Mono sound at {} Hz in [-1, 1] to Kaldi's log-mel energies: {} mels, Hann windows of 25 ms every \
                         10 ms, the sound's mean taken off. Each mel is standardised by `mean` and `std` of `config.json`{centred}; \
                         {} such frames are one. `frames` of `{SPEECH}` does this.",
                        input.sample_rate, input.mels, input.stacked
                    ),
                };
            }
        };
        Self::of_vit(card)
    }

    fn of_vit(card: &EncoderCard) -> Self {
        let Sizes {
            patch,
            dim,
            depth,
            heads,
            ..
        } = card.model;
        let vit = |positions: &str, cls: &str| {
            format!(
                "A ViT of {depth} blocks, {dim} wide, with {heads} heads and patches of {patch}: norms before attention and \
                 MLP, a norm after the last block, {positions}{cls}. An input's vector is the mean of its patch tokens."
            )
        };
        match &card.input {
            InputSpec::Audio {
                frames,
                mels,
                sample_rate,
                mean,
                std,
            } => {
                let order = card.audio_rows.map_or(String::new(), |rows| format!(" ({rows})"));
                Self {
                    library: Some("timm"),
                    pipeline: "feature-extraction",
                    modality: "audio",
                    what: vit(&format!("fixed sine positions{order}"), ", a cls token"),
                    inputs: format!(
                        "[batch, 1, {frames}, {mels}]: Kaldi's log-mel energies of mono sound at {sample_rate} Hz in [-1, 1], \
                         {mels} mels, Hann windows of 25 ms every 10 ms, the sound's mean taken off; {frames} frames, zeros \
                         behind shorter sounds; then (x - {mean}) / (2 * {std}). `ASTFeatureExtractor` of transformers does \
                         this."
                    ),
                }
            }
            InputSpec::Image { side, mean, std } => Self {
                library: Some("timm"),
                pipeline: "image-feature-extraction",
                modality: "image",
                what: vit("fixed sine positions", ", a cls token"),
                inputs: format!(
                    "[batch, 3, {side}, {side}]: the short side resized to 8/7 of {side} (bicubic), the centre; values from 0 \
                     to 1, less {mean:?}, over {std:?}. timm's transform does this."
                ),
            },
            InputSpec::Video {
                frames,
                side,
                mean,
                std,
            } => Self {
                library: Some("transformers"),
                pipeline: "feature-extraction",
                modality: "video",
                what: vit("fixed sine positions", ""),
                inputs: format!(
                    "[batch, {frames}, 3, {side}, {side}]: {frames} frames, the short side resized to {side}, the centre; \
                     values from 0 to 1, less {mean:?}, over {std:?}. `VideoMAEImageProcessor` does this."
                ),
            },
            InputSpec::Pipeline(_) => unreachable!("encoders of others have no card"),
        }
    }
}

fn metadata(name: &str, subject: &Subject, about: &About) -> String {
    let mut lines = vec![format!("license: {}", subject.licence.as_deref().unwrap_or("unknown"))];
    lines.extend(about.library.map(|library| format!("library_name: {library}")));
    lines.push(format!("pipeline_tag: {}", about.pipeline));
    lines.push(format!("tags: [bridle, self-supervised, {}]", about.modality));
    let results: Vec<Value> = subject.records.iter().flat_map(of_index).collect();
    if !results.is_empty() {
        let index = json!([{"name": name, "results": results}]);
        lines.push(format!("model-index:\n{}", yaml(&index, 0).trim_end_matches('\n')));
    }
    lines.join("\n") + "\n"
}

/// Lists and maps as blocks, scalars as JSON.
fn yaml(value: &Value, depth: usize) -> String {
    let indent = " ".repeat(2 * depth);
    let is_block = |value: &Value| matches!(value, Value::Array(all) if !all.is_empty()) || value.is_object();
    let item = |front: String, value: &Value| match is_block(value) {
        true => format!("{indent}{front}\n{}", yaml(value, depth + 1)),
        false => format!("{indent}{front} {value}\n"),
    };
    match value {
        Value::Array(all) => all.iter().map(|value| item("-".to_owned(), value)).collect(),
        Value::Object(all) => all.iter().map(|(key, value)| item(format!("{key}:"), value)).collect(),
        scalar => format!("{indent}{scalar}\n"),
    }
}

/// The results of a record, one for each protocol, as `model-index` holds them.
fn of_index(record: &RunRecord) -> Vec<Value> {
    let mut protocols: Vec<&str> = record.scores.iter().map(|score| &*score.protocol).collect();
    protocols.dedup();
    let result = |protocol: &str| {
        let scores = record.scores.iter().filter(|score| score.protocol == protocol);
        let metrics: Vec<Value> = scores.filter_map(metric).collect();
        let mut dataset = json!({"name": record.task(), "type": record.task()});
        if let Some(fold) = record.fold {
            dataset["config"] = json!(format!("fold {fold}"));
        }
        dataset["split"] = json!("test");
        let task = json!({"type": kind(record), "name": protocol});
        (!metrics.is_empty()).then(|| json!({"task": task, "dataset": dataset, "metrics": metrics}))
    };
    protocols.into_iter().filter_map(result).collect()
}

/// What the hub calls the kind of task.
fn kind(record: &RunRecord) -> &'static str {
    match record.plan_word("data.kind") {
        Some("speech") => "automatic-speech-recognition",
        Some("image") => "image-classification",
        Some("video") => "video-classification",
        _ => "audio-classification",
    }
}

fn metric(score: &Score) -> Option<Value> {
    let value = score.value?;
    // the hub's word for the share of right answers
    let kind = match &*score.metric {
        "top1" => "accuracy",
        other => other,
    };
    let mut metric = json!({"type": kind, "name": score.metric, "value": value});
    if let Some(interval) = &score.interval {
        metric["args"] = json!({
            "low": interval.low, "high": interval.high, "level": interval.level, "method": interval.method, "n": score.n,
        });
    }
    Some(metric)
}

/// Lines of Python that load the folder, which lies in the working folder.
fn use_of(name: &str, encoder: &Encoder) -> String {
    let (lines, versions) = match encoder {
        Encoder::Vit(card) => match &card.input {
            InputSpec::Video { frames, side, .. } => (
                format!(
                    "import torch\nfrom transformers import VideoMAEModel\n\nmodel = VideoMAEModel.from_pretrained({name:?})\n\
                     inputs = torch.zeros(1, {frames}, 3, {side}, {side})  # as below\n\
                     features = model(inputs).last_hidden_state.mean(1)\n"
                ),
                TRANSFORMERS,
            ),
            input => {
                let shape: Vec<String> = input.shape().iter().map(ToString::to_string).collect();
                (
                    format!(
                        "import timm\nimport torch\n\nmodel = timm.create_model({:?}, pretrained=True).eval()\n\
                         inputs = torch.zeros(1, {})  # as below\nfeatures = model(inputs)\n",
                        format!("local-dir:{name}"),
                        shape.join(", ")
                    ),
                    TIMM,
                )
            }
        },
        Encoder::Speech(card) => (
            format!(
                "import sys\n\nimport torch\n\nsys.path.append({name:?})\nfrom bridle_speech import frames, load\n\n\
                 model, config = load({name:?})\nwave = torch.zeros({})  # one second\n\
                 features = model(frames(wave, config)[None])\n",
                card.input.sample_rate
            ),
            "torch 2.9.0",
        ),
    };
    let hub = match encoder {
        Encoder::Vit(card) if !matches!(card.input, InputSpec::Video { .. }) => {
            " From the hub it is `hf-hub:ORG/NAME` in place of `local-dir:`."
        }
        _ => "",
    };
    let ours = match encoder {
        Encoder::Vit(_) => format!(
            "\n`bridle-bench run --task TASK --init {name}` judges it on other data; `hub:ORG/NAME` fetches it first.\n"
        ),
        Encoder::Speech(_) => String::new(),
    };
    format!("```python\n{lines}```\n\nTried with {versions}.{hub}\n{ours}")
}

fn results(records: &[RunRecord]) -> String {
    let mut rows = String::new();
    let mut notes = Vec::new();
    for record in records {
        let run = match record.fold {
            Some(fold) => format!("fold {fold}, seed {}", record.seed),
            None => format!("seed {}", record.seed),
        };
        for score in &record.scores {
            let Some(value) = score.value else { continue };
            let interval = score.interval.as_ref().map_or("-".to_owned(), |interval| {
                format!("[{:.4}, {:.4}]", interval.low, interval.high)
            });
            writeln!(
                rows,
                "| {} | {} | {} | {value:.4} | {interval} | {} | {run} |",
                record.task(),
                score.protocol,
                score.metric,
                score.n
            )
            .expect("a string takes all");
        }
        let data = &record.data;
        let marks = [
            data.subset
                .map(|samples| format!("a subset, {samples} samples of each class")),
            (data.variant == bridle_results::record::DIFFERENT).then(|| "data that is no known variant".to_owned()),
            (!record.program.is_clean()).then(|| "a program whose source was not a commit's".to_owned()),
        ];
        let marks: Vec<String> = marks.into_iter().flatten().collect();
        if !marks.is_empty() {
            notes.push(format!("{}, {run}: on {}.", record.task(), marks.join("; ")).replacen(
                ": on a program",
                ": by a program",
                1,
            ));
        }
    }
    if rows.is_empty() {
        return "\n## Results\n\nNo record of these weights was at hand.\n".to_owned();
    }
    notes.sort();
    notes.dedup();
    let notes = notes.iter().map(|note| format!("{note}\n")).collect::<String>();
    let notes = if notes.is_empty() { notes } else { format!("\n{notes}") };
    format!(
        "\n## Results\n\n| task | protocol | metric | value | 95 % interval | n | run |\n|---|---|---|---|---|---|---|\n{rows}\n\
         Intervals are over the test samples of one run.\n{notes}"
    )
}

/// Where the weights come from.
fn origin(subject: &Subject, sha256: &str) -> String {
    let mut rows = Vec::new();
    let mut row = |what: &str, value: String| rows.push(format!("| {what} | {value} |"));
    let card = match &subject.encoder {
        Encoder::Vit(card) => card.origin.as_ref(),
        Encoder::Speech(_) => None,
    };
    let trained = subject.records.iter().find(|record| record.pretrain_hash.is_some());
    if let Some(Origin {
        task,
        fold,
        transductive,
        method,
        ..
    }) = card
    {
        row("method", method.clone());
        let fold = fold.map_or(String::new(), |fold| format!(", without fold {fold}"));
        let saw = if *transductive {
            ", with the inputs of test samples"
        } else {
            ""
        };
        row("trained on", format!("{task}{fold}{saw}; no labels"));
    } else if let Some(record) = trained {
        row("method", record.method().to_owned());
        row("trained on", format!("{}; no labels", record.task()));
    }
    if let Some(record) = trained {
        let data = &record.data;
        row("data", format!("{}, variant {}", data.source, data.variant));
        row(
            "licence of the data",
            data_licence(&data.task).unwrap_or("unknown").to_owned(),
        );
        row("plan", format!("`{}`, in `plan.toml`", record.plan_hash));
        row(
            "pretraining",
            format!("`{}`", record.pretrain_hash.as_deref().unwrap_or_default()),
        );
        row(
            "seed, backend",
            format!("{}, {} {}", record.seed, record.backend.name, record.backend.dtype),
        );
        row(
            "program",
            format!(
                "bridle-bench {} at commit {}",
                record.program.version, record.program.commit
            ),
        );
    }
    row(
        "licence of the weights",
        subject
            .licence
            .clone()
            .unwrap_or_else(|| "unknown: its maker did not say".to_owned()),
    );
    row("SHA-256 of `model.safetensors`", format!("`{sha256}`"));
    format!("\n## Origin\n\n| | |\n|---|---|\n{}\n", rows.join("\n"))
}

/// The licence of a task's own data.
fn data_licence(task: &str) -> Option<&'static str> {
    let fixed = bridle_tasks::tasks().iter().map(|task| task.spec());
    let fixed = fixed.map(|spec| (spec.name, spec.licence));
    let speech = bridle_tasks::speech_tasks().iter().map(|task| task.spec());
    let speech = speech.map(|spec| (spec.name, spec.licence));
    fixed
        .chain(speech)
        .find(|(name, _)| *name == task)
        .map(|(_, licence)| licence)
}
