//! Values of training with transcripts, by connectionist temporal classification.

use super::Phase;
use crate::plan::choice::choices;
use bridle::optimizer::AdamWConfig;
use bridle_values::check::{Checked, at_least_one, require, share};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Values of a protocol that learns the classes of samples, or the transcripts of utterances.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Taught<C> {
    Classes(C),
    Transcripts(CtcTraining),
}

impl<C> Taught<C> {
    pub const fn classes(&self) -> Option<&C> {
        match self {
            Self::Classes(values) => Some(values),
            Self::Transcripts(_) => None,
        }
    }

    pub const fn transcripts(&self) -> Option<&CtcTraining> {
        match self {
            Self::Classes(_) => None,
            Self::Transcripts(values) => Some(values),
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
    pub(super) fn check(&self, section: &str) -> Checked {
        let key = |name: &str| format!("{section}.{name}");
        let length = Phase {
            epochs: self.epochs,
            rate: self.rate,
            warmup_epochs: self.warmup_epochs,
        };
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
