//! The plan's values of training with transcripts by connectionist temporal classification, and of
//! decoding.

use crate::plan::{Choices, Core, FactOf, LmRequest, Phase, Section, Stage};
use bridle::optimizer::AdamWConfig;
use bridle_tasks::pipeline::Pipeline;
use bridle_values::check::{Checked, at_least_one, require, share};
use bridle_values::choices;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

/// Values of a protocol that learns the classes of samples, or the transcripts of utterances.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Taught<C> {
    Classes(C),
    Transcripts(CtcTraining),
}

impl<C> Taught<C> {
    /// The values for classes. Panics for speech.
    pub fn for_classes(&self) -> &C {
        self.classes()
            .expect("a plan on inputs of one shape has values for classes")
    }

    /// The values for transcripts. Panics for all but speech.
    pub fn for_transcripts(&self) -> &CtcTraining {
        match self {
            Self::Classes(_) => unreachable!("a plan on speech has values for transcripts"),
            Self::Transcripts(values) => values,
        }
    }

    pub const fn classes(&self) -> Option<&C> {
        match self {
            Self::Classes(values) => Some(values),
            Self::Transcripts(_) => None,
        }
    }
}

impl<'de, C: serde::de::DeserializeOwned> Deserialize<'de> for Taught<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = Value::deserialize(deserializer)?;
        // only transcripts are made of symbols
        let found = if values.get("symbols").is_some() {
            serde_json::from_value(values).map(Self::Transcripts)
        } else {
            serde_json::from_value(values).map(Self::Classes)
        };
        found.map_err(D::Error::custom)
    }
}

/// Training with transcripts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CtcTraining {
    pub symbols: Symbols,
    /// Number of training utterances with transcripts, drawn by the seed; None: all.
    pub utterances: Option<usize>,
    pub epochs: usize,
    /// The first epochs train only the head (`finetune`; wav2vec 2.0, section
    /// 4.3, arXiv 2006.11477).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_epochs: Option<usize>,
    /// Whether the convolutions of an encoder of others over waves stay as they are (`finetune`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze_front: Option<bool>,
    /// Learning rate after the warm-up; a cosine leads from there to 0.
    pub rate: f64,
    /// Length of the linear warm-up, in epochs.
    pub warmup_epochs: f64,
    pub batch: usize,
    #[serde(flatten)]
    pub adamw: AdamWConfig,
    /// Probability that a frame starts a span of zeros in training.
    pub mask_start: f64,
    /// Frames of such a span.
    pub mask_span: usize,
    /// Greatest number of mel bands that are zero together in training.
    pub mel_mask: usize,
    /// The mel axis is stretched or shrunk by up to this share in training, as by a longer or
    /// shorter vocal tract.
    pub warp: f64,
}

choices! {
    /// What connectionist temporal classification predicts.
    "symbols" Symbols {
        /// letters, the apostrophe and the space
        Characters = "characters",
        /// the words of the training transcripts
        Words = "words",
    }
}

impl CtcTraining {
    pub fn check(&self, section: &str, plan: &Core) -> Checked {
        let key = |name: &str| format!("{section}.{name}");
        if let Some(Pipeline::Wave(_)) = plan.pipeline() {
            let masks = [
                ("mask_start", self.mask_start),
                ("mel_mask", self.mel_mask as f64),
                ("warp", self.warp),
            ];
            for (name, value) in masks {
                require(value == 0.0, &key(name), || {
                    format!("{value}, but the encoder given with --init hears waves, of which nothing is masked")
                })?;
            }
        }
        let length = Phase::of_length(self.epochs, self.rate, self.warmup_epochs);
        length.check(section)?;
        require(
            self.head_epochs.unwrap_or(0) <= self.epochs,
            &key("head_epochs"),
            || format!("more than {section}.epochs, {}", self.epochs),
        )?;
        at_least_one(&key("batch"), self.batch)?;
        at_least_one(&key("utterances"), self.utterances.unwrap_or(1))?;
        self.adamw.check(section)?;
        share(&key("mask_start"), self.mask_start)?;
        at_least_one(&key("mask_span"), self.mask_span)?;
        share(&key("warp"), self.warp)
    }
}

/// Values of training on waves, which are neither masked nor warped.
pub fn unmasked() -> Value {
    json!({"mask_start": 0.0, "mel_mask": 0, "warp": 0.0})
}

/// The same where the choices are of an encoder of others that hears waves.
pub fn decided(choices: &Choices<'_>) -> Value {
    match choices.pipeline() {
        Some(Pipeline::Wave(_)) if choices.is_speech() => unmasked(),
        _ => Value::Null,
    }
}

/// From log-probabilities to words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decoding {
    /// Prefixes that the beam search keeps; 0: no beam search, only the likeliest symbol of each
    /// frame.
    pub beam: usize,
    /// What a language model's log-probability weighs.
    pub lm_weight: f64,
    /// What each word adds.
    pub word_bonus: f64,
    /// The language model's file name: a name, not part of the hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm_sha256: Option<String>,
}

impl Section for Decoding {
    const STAGE: Stage = Stage::Judging;
    const NAMES: &'static [&'static str] = &["lm"];

    fn absent(choices: &Choices<'_>) -> Option<String> {
        (!choices.is_speech()).then(|| format!("task `{}` has no transcripts", choices.task.name))
    }

    fn decided(choices: &Choices<'_>) -> Value {
        let values = |lm: &LmRequest| json!({"lm": lm.name, "lm_sha256": lm.sha256});
        choices.lm.map_or(Value::Null, values)
    }

    fn fact(value: &str, _choices: &Choices<'_>) -> Option<FactOf> {
        matches!(value, "lm" | "lm_sha256").then_some(FactOf::LanguageModel)
    }

    fn check(&self, _plan: &Core) -> Checked {
        for (key, value) in [
            ("decoding.lm_weight", self.lm_weight),
            ("decoding.word_bonus", self.word_bonus),
        ] {
            require(value.is_finite(), key, || format!("{value} is no number"))?;
        }
        require(self.beam > 0 || self.lm_sha256.is_none(), "decoding.beam", || {
            "a language model needs a beam search: at least 1".to_owned()
        })
    }
}
