//! Which checkpoints hold an encoder over waves, and which one.

use super::config::SpeechConfig;
use super::sequences::only_mean;
use super::settings::Needed;
use crate::families::Scheme;
use crate::names::{EncoderError, Taker};
use crate::pooling::Pooling;
use crate::recognised::{Body, Options, Recognised};
use crate::settings::{Settings, refuse};
use bridle_containers::Checkpoint;
use bridle_tasks::pipeline::{Pipeline, Wave};
use serde_json::Value;
use std::collections::BTreeSet;

/// Folders of transformers.
pub const TRANSFORMERS: Scheme = Scheme {
    name: "transformers-speech",
    find: |checkpoint| {
        let convolutions = beginnings(checkpoint, CONVOLUTIONS, |rest| numbered(rest, ".conv."));
        let is_conformer = |start: &String| has_conformer_blocks(checkpoint, start);
        convolutions.into_iter().filter(|start| !is_conformer(start)).collect()
    },
    recognise: transformers,
    passed_over: &HEADS,
};

/// Files of fairseq and of WavLM's authors.
pub const FAIRSEQ: Scheme = Scheme {
    name: "fairseq-speech",
    find: |checkpoint| beginnings(checkpoint, CONVOLUTIONS, |rest| numbered(rest, ".0.")),
    recognise: fairseq,
    passed_over: &[
        "mask_emb",
        "quantizer",
        "project_q",
        "final_proj",
        "label_embs_concat",
        "target_glu",
    ],
};

const CONVOLUTIONS: &str = "feature_extractor.conv_layers.";

/// What transformers' models over frames have beside the encoder: for masking, pretraining, transcripts and classes.
pub const HEADS: [&str; 12] = [
    "masked_spec_embed",
    "quantizer",
    "project_q",
    "project_hid",
    "lm_head",
    "projector",
    "classifier",
    "tdnn",
    "objective",
    "layer_weights",
    // the head for speakers has a linear map of this name
    "feature_extractor.weight",
    "feature_extractor.bias",
];

/// Hertz, where nothing says another rate.
pub const SAMPLE_RATE: u32 = 16_000;

/// What stands before `part` in the names that go on as `accepts` says.
pub fn beginnings(checkpoint: &Checkpoint, part: &str, accepts: impl Fn(&str) -> bool) -> Vec<String> {
    let start = |name: &String| {
        let at = name.find(part)?;
        let (start, rest) = (&name[..at], &name[at + part.len()..]);
        ((start.is_empty() || start.ends_with('.')) && accepts(rest)).then(|| start.to_owned())
    };
    let starts: BTreeSet<String> = checkpoint.tensors.keys().filter_map(start).collect();
    starts.into_iter().collect()
}

/// Whether a name goes on with a number and `part`.
pub fn numbered(rest: &str, part: &str) -> bool {
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    digits.len() < rest.len() && digits.starts_with(part)
}

/// Whether blocks with a convolution follow the beginning.
pub fn has_conformer_blocks(checkpoint: &Checkpoint, start: &str) -> bool {
    let blocks = format!("{start}encoder.layers.");
    let mut rests = checkpoint.tensors.keys().filter_map(|name| name.strip_prefix(&blocks));
    rests.any(|rest| numbered(rest, ".conv_module."))
}

fn transformers(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let settings = Needed(Settings(&checkpoint.config));
    let known = ["wav2vec2", "hubert", "wavlm", "data2vec-audio"].map(|word| (word, word));
    let family = settings.word("model_type", &known)?;
    let taker = Taker::new(checkpoint, prefix);
    let config = SpeechConfig::from_transformers(settings, &taker)?;
    let found = Found {
        family,
        scheme: &TRANSFORMERS,
        heads: config.heads,
        body: Body::Speech(config),
        pipeline: wave(Needed(Settings(&checkpoint.preprocessor)))?,
        assumed: Vec::new(),
        licence: None,
        labels: labels(&taker, checkpoint),
    };
    found.with(prefix, options)
}

/// The sound as `preprocessor_config.json` says.
///
/// # Errors
/// If a setting is missing or not supported.
pub fn wave(settings: Needed) -> Result<Pipeline, EncoderError> {
    let normalise = settings.flag("do_normalize")?.then_some(1e-7);
    let hertz = settings.0.size("sampling_rate")?;
    let pipeline = Pipeline::Wave(Wave {
        // a size is below 2^25
        sample_rate: hertz.map_or(SAMPLE_RATE, |hertz| hertz as u32),
        normalise,
    });
    pipeline.check()?;
    Ok(pipeline)
}

/// `unknown` where a folder has a head for transcripts or classes.
pub fn labels(taker: &Taker, checkpoint: &Checkpoint) -> &'static str {
    let heads = ["lm_head.", "projector.", "classifier.", "tdnn."];
    let is_head = |name: &str| heads.iter().any(|head| name.starts_with(head));
    let mut names = taker.names().chain(checkpoint.tensors.keys().map(String::as_str));
    if names.any(is_head) { "unknown" } else { "none" }
}

fn fairseq(checkpoint: &Checkpoint, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
    let places = ["/cfg/model", "/cfg", "/args"];
    let mut places = places.iter().filter_map(|place| checkpoint.options.pointer(place));
    let settings = places.find(|place| place.get("conv_feature_layers").is_some());
    let settings = Needed(Settings(settings.unwrap_or(&Value::Null)));
    let taker = Taker::new(checkpoint, prefix);
    let config = SpeechConfig::from_fairseq(settings, &taker)?;
    // fairseq keeps it with the model or with the task
    let task = checkpoint.options.pointer("/cfg/task").unwrap_or(&Value::Null);
    let normalises = match settings.0.get("normalize") {
        Some(_) => settings.flag("normalize")?,
        None => Needed(Settings(task)).flag("normalize")?,
    };
    let hubert = ["label_rate", "untie_final_proj"]
        .iter()
        .any(|key| settings.0.get(key).is_some());
    let family = match (&config.buckets, hubert || taker.has("label_embs_concat")) {
        (Some(_), _) => "wavlm",
        (None, true) => "hubert",
        (None, false) => "wav2vec2",
    };
    let found = Found {
        family,
        scheme: &FAIRSEQ,
        heads: config.heads,
        assumed: vec![format!(
            "the epsilon of its norms is {:e}, as in its code",
            config.epsilon
        )],
        body: Body::Speech(config),
        pipeline: Pipeline::Wave(Wave {
            sample_rate: SAMPLE_RATE,
            normalise: normalises.then_some(1e-5),
        }),
        licence: Some("MIT"),
        labels: "none",
    };
    found.with(prefix, options)
}

/// What a checkpoint over frames is, before the user's options.
pub struct Found {
    pub family: &'static str,
    pub scheme: &'static Scheme,
    pub heads: usize,
    pub body: Body,
    pub pipeline: Pipeline,
    pub assumed: Vec<String>,
    pub licence: Option<&'static str>,
    pub labels: &'static str,
}

impl Found {
    /// Holds what the user says to what the file says.
    ///
    /// # Errors
    /// If they differ.
    pub fn with(self, prefix: &str, options: &Options) -> Result<Recognised, EncoderError> {
        if let Some(family) = options.family.as_ref().filter(|family| **family != self.family) {
            return Err(refuse("family", family, format!("it is of {}", self.family)));
        }
        if let Some(heads) = options.heads.filter(|heads| *heads != self.heads) {
            return Err(refuse("heads", heads, format!("it says that they are {}", self.heads)));
        }
        let pooling = options.pooling.unwrap_or(Pooling::Mean);
        only_mean(pooling)?;
        let mut assumed = self.assumed;
        if options.pooling.is_none() {
            assumed.push("one vector is the mean of all frames".to_owned());
        }
        Ok(Recognised {
            family: self.family.to_owned(),
            scheme: self.scheme.name.to_owned(),
            prefix: prefix.to_owned(),
            body: self.body,
            pipeline: self.pipeline,
            pooling,
            assumed,
            licence: self.licence.map(str::to_owned),
            labels: self.labels.to_owned(),
        })
    }
}
