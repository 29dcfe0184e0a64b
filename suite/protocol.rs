//! How an encoder is evaluated. A protocol takes an encoder and predicts the test
//! samples; the record holds its whole recipe and what it chose by itself. README.md beside the
//! files says what each one computes.
//!
//! A new protocol is a file here with the section of the plan that holds its values, and a `mod`
//! line and an entry of the list below.

mod attentive_probe;
mod ctc;
mod features;
mod finetune;
mod hold_out;
mod knn;
mod lbfgs;
mod linear_probe;
mod logistic;
mod registry;
mod scale;
mod score;
mod training;

use crate::cli::interrupt::Interrupt;
use crate::cli::progress::TerminalProgress;
use crate::data::{Fixed, Part, TrainingData, Utterances};
use crate::foreign::ForeignEncoder;
use crate::plan::Core;
use crate::train::TrainError;
use crate::train::methods::bridle::HasBridle;
use bridle::frames::Frames;
use bridle::layered::LayeredEncoder as _;
use bridle::weights::Path;
use bridle_backends::TrainBackend;
use bridle_backends::kernel::ranks;
use bridle_ctc::Ngrams;
use bridle_ranks::RanksError;
use bridle_results::predictions::{Outputs, PredictionsError};
use bridle_results::record::{self, Score};
use bridle_seed::Seed;
use burn::module::{AutodiffModule, Module as _, ModuleMapper, Param};
use burn::tensor::Tensor;
pub use ctc::{CtcTraining, Decoding, Symbols, Taught};
pub use features::{FEATURES, FeatureCache, Vectors};
pub use finetune::{Finetune, FinetuneLoss, ForeignClassifier, Sampler};
pub use knn::{Knn, Rest};
pub use linear_probe::Probe;
use serde_json::{Map, Value};
use std::time::Duration;

registry::protocols! {
    protocols {
        /// a linear classifier on frozen, mean-pooled features
        LinearProbe = "linear-probe", probe: linear_probe::LinearProbe;
        /// the classes of the nearest training samples, by cosine of the same features
        Knn = "knn", knn: Knn;
        /// the same classifier as linear-probe, fitted to convergence; its penalty is chosen by cross-validation
        Logistic = "logistic-regression", logistic: logistic::Logistic;
        /// the whole encoder and a head, trained on the classes
        Finetune = "finetune", finetune: Taught<Finetune>;
        /// one learnt query over all tokens of the frozen encoder, then a linear classifier
        AttentiveProbe = "attentive-probe", attentive: Taught<attentive_probe::Attentive>;
    }
    shared {
        decoding: Decoding;
    }
}

/// A protocol's values evaluate an encoder. The plan refuses a protocol that does not
/// fit the kind of data or the method.
trait Evaluate<B: TrainBackend> {
    /// Predicts the classes of the test samples.
    fn classes(&self, subject: &Subject<'_, B, Fixed<'_>>) -> Result<Outcome, TrainError>;

    /// Predicts the transcripts of the test utterances.
    fn transcripts(&self, subject: &Subject<'_, B, Utterances<'_>>) -> Result<Outcome, TrainError>;
}

/// Evaluates an encoder by one protocol.
///
/// # Errors
/// If a sample cannot be read any more, or a protocol that trains diverges, is interrupted, or
/// cannot write.
pub fn evaluate<B: TrainBackend, D: Examples>(
    protocol: Protocol,
    subject: &Subject<'_, B, D>,
) -> Result<Outcome, TrainError> {
    D::evaluate(protocol, subject)
}

/// This rank's part of the batches of a protocol that trains.
///
/// # Errors
/// If there are more ranks than samples.
fn shared_part(protocol: Protocol, batch: usize) -> Result<Part, RanksError> {
    let ranks = ranks();
    ranks.can_share(&protocol.batch_in_words(), batch)?;
    Ok(Part::of_step(batch, batch, &ranks)[0])
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
pub trait Examples: HasBridle {
    /// What one of them is called.
    const NOUN: &'static str;

    /// What a record says about the data.
    fn facts(&self) -> record::Data;

    /// The training and the test samples, with this test fold where there are folds.
    fn split(&self, fold: Option<u8>) -> (Vec<usize>, Vec<usize>);

    /// The names of the classes; none where samples have no class.
    fn class_names(&self) -> &[String] {
        &[]
    }

    /// Fails if a test fold, or the test part, leaves nothing to train on or to judge, or a class
    /// to judge that training never shows.
    ///
    /// # Errors
    /// The part that has no sample, how many the other has, and how the data was divided; or the
    /// class.
    fn require_parts(&self, folds: &[Option<u8>]) -> crate::cli::error::Result<()> {
        score::require_parts(self, folds)
    }

    /// Evaluates an encoder by one protocol.
    ///
    /// # Errors
    /// As [`evaluate`].
    fn evaluate<B: TrainBackend>(protocol: Protocol, subject: &Subject<'_, B, Self>) -> Result<Outcome, TrainError>;

    /// Every metric of these predictions, the headline first.
    ///
    /// # Errors
    /// If predictions are no numbers, or references are empty.
    fn scores(&self, test: &[usize], found: &Prediction) -> crate::cli::error::Result<Vec<Score>>;

    /// The predictions as they are written beside the record.
    ///
    /// # Errors
    /// If they are no numbers.
    fn outputs(&self, test: &[usize], found: Vec<Prediction>) -> Result<Outputs, PredictionsError>;
}

/// Encoders of this data without gradients.
pub type Frozen<B, D> = <<D as TrainingData>::Encoder<B> as AutodiffModule<B>>::InnerModule;

/// What is evaluated.
pub enum Judged<'a, B: TrainBackend, E> {
    /// An encoder without gradients.
    Encoder(&'a E),
    /// A vector of each sample, made elsewhere.
    Vectors(&'a dyn Vectors),
    /// An encoder of others without gradients.
    Foreign(&'a ForeignEncoder<'a, B::InnerBackend>),
}

/// What is to be evaluated, and all that protocols need for it.
pub struct Subject<'a, B: TrainBackend, D: Examples> {
    /// The plan, but for the protocols' values.
    pub plan: &'a Core,
    /// The protocols' values.
    pub values: &'a Sections,
    pub data: &'a D,
    /// What tells the data from other data.
    pub data_identity: &'a str,
    /// Indices of the training samples.
    pub train: &'a [usize],
    /// Indices of the test samples.
    pub test: &'a [usize],
    pub judged: Judged<'a, B, Frozen<B, D>>,
    /// The language model that ranks transcripts, if one was given.
    pub lm: Option<&'a Ngrams>,
    /// The run's root seed.
    pub seed: Seed,
    pub device: &'a B::Device,
    /// The run's folder, for the checkpoints of protocols that train.
    pub folder: &'a std::path::Path,
    /// Whether to resume from such a checkpoint.
    pub resumes: bool,
    /// Longest time between two checkpoints.
    pub checkpoint_every: Duration,
    pub interrupt: &'a Interrupt,
    pub progress: &'a TerminalProgress,
    /// Features that several protocols share.
    pub features: FeatureCache,
}

impl<'a, B: TrainBackend, D: Examples> Subject<'a, B, D> {
    /// This program's own encoder. Panics where there is none: what is asked of it, is asked of vectors and of
    /// encoders of others in other ways.
    fn encoder(&self) -> &'a Frozen<B, D> {
        match self.judged {
            Judged::Encoder(encoder) => encoder,
            Judged::Vectors(_) | Judged::Foreign(_) => unreachable!("an encoder of this program's own"),
        }
    }

    /// What gives a vector of each sample; None where this program's own encoder does.
    fn vectors(&self) -> Option<&'a dyn Vectors> {
        match self.judged {
            Judged::Encoder(_) => None,
            Judged::Vectors(vectors) => Some(vectors),
            Judged::Foreign(encoder) => Some(encoder),
        }
    }

    /// Tokens [B, T, D] of the frozen encoder after so many layers; None: its output.
    fn tokens(&self, frames: &Frames<B::InnerBackend>, layer: Option<usize>) -> Tensor<B::InnerBackend, 3> {
        let encoder = self.encoder();
        let layers = layer.unwrap_or(encoder.layers());
        let hidden = encoder.pass(encoder.enter(frames), 0..layers, frames);
        encoder.of_frames(hidden)
    }

    /// The encoder, ready to be trained.
    fn trainable(&self) -> D::Encoder<B> {
        D::Encoder::<B>::from_inner(self.encoder().clone()).map(&mut RequireGradients::default())
    }
}

/// Marks every parameter as one that learns: the clone of a frozen module forgets it.
#[derive(Default)]
struct RequireGradients {
    /// A part of the names of those that do not.
    frozen: Option<&'static str>,
    path: Path,
}

impl<B: TrainBackend> ModuleMapper<B> for RequireGradients {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        match self.frozen {
            Some(frozen) if self.path.name().contains(frozen) => param,
            _ => param.map(Tensor::require_grad),
        }
    }
}
