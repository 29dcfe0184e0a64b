//! How an encoder is evaluated. A protocol takes an encoder and gives predictions for the test samples; the record holds
//! its whole recipe and what it chose by itself. README.md beside the files says what each one computes.
//!
//! A new protocol is a file here, a `mod` line, a line in [`find`] and a name in the plan's list of protocols.

pub mod augment;
mod ctc;
mod features;
mod finetune;
mod hold_out;
mod knn;
mod linear_probe;
mod scale;
mod score;
mod training;

use crate::interrupt::Interrupt;
use crate::plan::{self, Plan};
use crate::progress::TerminalProgress;
use crate::train::TrainError;
use bridle::layered::LayeredEncoder;
use bridle_backends::TrainBackend;
use bridle_ctc::Ngrams;
use bridle_results::predictions::{Outputs, PredictionsError};
use bridle_results::record::Score;
use bridle_seed::Seed;
use bridle_tasks::{Dataset, SpeechSet};
use burn::module::AutodiffModule;
pub use features::FeatureCache;
use serde_json::{Map, Value};
use std::path::Path;
use std::time::Duration;

/// A way to evaluate an encoder. The plan refuses a protocol that does not fit the kind of data or the method.
trait Protocol<B: TrainBackend> {
    /// Predicts the classes of the test samples.
    fn classes(&self, subject: &Subject<'_, B, Dataset>) -> Result<Outcome, TrainError>;

    /// Predicts the transcripts of the test utterances.
    fn transcripts(&self, subject: &Subject<'_, B, SpeechSet>) -> Result<Outcome, TrainError>;
}

fn find<B: TrainBackend>(protocol: plan::Protocol) -> &'static dyn Protocol<B> {
    match protocol {
        plan::Protocol::LinearProbe => &linear_probe::LinearProbe,
        plan::Protocol::Knn => &knn::NearestNeighbours,
        plan::Protocol::Finetune => &finetune::Finetuning,
    }
}

/// Evaluates an encoder by one protocol.
///
/// # Errors
/// If a sample cannot be read any more, or a protocol that trains diverges, is interrupted, or cannot write.
pub fn evaluate<B: TrainBackend, D: Examples>(
    protocol: plan::Protocol,
    subject: &Subject<'_, B, D>,
) -> Result<Outcome, TrainError> {
    D::evaluate(protocol, subject)
}

/// What one protocol found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The protocol's predictions first, then others from the same training.
    pub predictions: Vec<Prediction>,
    /// What was chosen and how, and the rest of the recipe that the plan does not say.
    pub details: Map<String, Value>,
}

/// Predictions for all test samples, in order.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Their name in records: the protocol's, perhaps with an addition (`finetune-beam`).
    pub name: String,
    pub values: Predicted,
}

#[derive(Clone, Debug)]
pub enum Predicted {
    /// Class scores, row-major [n, C].
    Scores(Vec<f32>),
    /// Transcripts, [n].
    Texts(Vec<String>),
}

impl Outcome {
    /// Of a protocol that gives class scores [n, C].
    fn of_scores(protocol: &str, scores: Vec<f32>, details: Map<String, Value>) -> Self {
        let prediction = Prediction {
            name: protocol.to_owned(),
            values: Predicted::Scores(scores),
        };
        Self {
            predictions: vec![prediction],
            details,
        }
    }
}

/// A kind of data to evaluate encoders on.
pub trait Examples: Sync + Sized {
    /// What reads such data.
    type Encoder<B: TrainBackend>: LayeredEncoder<B> + AutodiffModule<B, InnerModule: LayeredEncoder<B::InnerBackend>>;

    /// The hash of the data's manifest.
    fn manifest_sha256(&self) -> &str;

    /// Evaluates an encoder by one protocol.
    ///
    /// # Errors
    /// As [`evaluate`].
    fn evaluate<B: TrainBackend>(
        protocol: plan::Protocol,
        subject: &Subject<'_, B, Self>,
    ) -> Result<Outcome, TrainError>;

    /// Every metric of these predictions, the headline first.
    ///
    /// # Errors
    /// If predictions are no numbers, or references are empty.
    fn scores(&self, test: &[usize], found: &Prediction, seed: &Seed) -> crate::error::Result<Vec<Score>>;

    /// The predictions as they are written beside the record.
    ///
    /// # Errors
    /// If they are no numbers.
    fn outputs(&self, test: &[usize], found: Vec<Prediction>) -> Result<Outputs, PredictionsError>;
}

/// Encoders of this data without gradients.
pub type Frozen<B, D> = <<D as Examples>::Encoder<B> as AutodiffModule<B>>::InnerModule;

/// An encoder to be evaluated, and all that protocols need for it.
pub struct Subject<'a, B: TrainBackend, D: Examples> {
    /// The plan, with the protocols' values.
    pub plan: &'a Plan,
    pub data: &'a D,
    /// Indices of the training samples.
    pub train: &'a [usize],
    /// Indices of the test samples.
    pub test: &'a [usize],
    pub encoder: &'a Frozen<B, D>,
    /// The language model that ranks transcripts, if one was given.
    pub lm: Option<&'a Ngrams>,
    /// The run's root seed.
    pub seed: Seed,
    pub device: &'a B::Device,
    /// The run's folder, for the checkpoints of protocols that train.
    pub folder: &'a Path,
    /// Whether to resume from such a checkpoint.
    pub resumes: bool,
    /// Longest time between two checkpoints.
    pub checkpoint_every: Duration,
    pub interrupt: &'a Interrupt,
    pub progress: &'a TerminalProgress,
    /// Features that several protocols share.
    pub features: FeatureCache,
}

impl<B: TrainBackend, D: Examples> Subject<'_, B, D> {
    /// The encoder, ready to be trained.
    fn trainable(&self) -> D::Encoder<B> {
        D::Encoder::<B>::from_inner(self.encoder.clone())
    }
}
