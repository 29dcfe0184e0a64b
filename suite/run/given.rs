//! What a run judges in place of an encoder of this program: vectors, or an encoder of others.

use super::request::RunRequest;
use crate::cli::error::{Failure, Result};
use crate::cli::progress::TerminalProgress;
use crate::embeddings::{Codes, Embeddings, Matched};
use crate::foreign::{Foreign, ForeignEncoder};
use crate::plan::Plan;
use crate::protocol::Judged;
use bridle_backends::TrainBackend;
use bridle_tasks::Dataset;

/// What a run judges in place of an encoder of its own.
pub enum Given<'a> {
    Nothing,
    Vectors(Matched<'a>),
    /// An encoder of others, and its samples if they have one shape.
    Encoder(&'a Foreign, Option<&'a Dataset>),
}

/// The same on a device.
pub enum OnDevice<'a, B: TrainBackend> {
    Vectors(&'a Matched<'a>),
    Encoder(Box<ForeignEncoder<'a, B::InnerBackend>>),
}

impl<B: TrainBackend> OnDevice<'_, B> {
    pub fn judged<E>(&self) -> Judged<'_, B, E> {
        match self {
            Self::Vectors(matched) => Judged::Vectors(*matched),
            Self::Encoder(encoder) => Judged::Foreign(encoder),
        }
    }
}

impl<'a> Given<'a> {
    /// What was given, for the samples of a data set.
    ///
    /// # Errors
    /// If a sample that the request's folds read has no vector of finite numbers.
    pub fn of(
        embeddings: Option<&'a Embeddings>,
        foreign: Option<&'a Foreign>,
        dataset: &'a Dataset,
        request: &RunRequest,
    ) -> Result<Self> {
        Ok(match (embeddings, foreign) {
            (Some(embeddings), _) => Self::Vectors(matched(embeddings, dataset, request)?),
            (None, Some(foreign)) => Self::Encoder(foreign, Some(dataset)),
            (None, None) => Self::Nothing,
        })
    }

    /// It on a device; None where a run has an encoder of its own. Says which tensors are read.
    ///
    /// # Errors
    /// If a tensor is missing, left over, or not what it should be.
    pub fn on<B: TrainBackend>(
        &self,
        device: &B::Device,
        progress: &TerminalProgress,
    ) -> Result<Option<OnDevice<'_, B>>> {
        Ok(match self {
            Self::Nothing => None,
            Self::Vectors(matched) => Some(OnDevice::Vectors(matched)),
            Self::Encoder(foreign, dataset) => {
                let (encoder, line) = foreign.on::<B::InnerBackend>(*dataset, device)?;
                progress.say(&line);
                Some(OnDevice::Encoder(Box::new(encoder)))
            }
        })
    }
}

/// The vectors of the samples that the request's folds train and test on.
fn matched<'a>(given: &'a Embeddings, dataset: &Dataset, request: &RunRequest) -> Result<Matched<'a>> {
    let ids: Vec<&str> = dataset.samples.iter().map(|sample| &*sample.id).collect();
    let of_fold = |fold: &Option<u8>| dataset.split(*fold);
    let read = request.folds.iter().map(of_fold);
    let read = read.flat_map(|(train, test)| [train, test].concat());
    let skipped: Vec<&str> = dataset.facts.skipped.iter().map(|skipped| &*skipped.id).collect();
    // a subset does not know the names of the others
    let others = request.plan.data.subset.is_none().then_some(&skipped[..]);
    Ok(given.matched(&request.plan.task, &ids, &read.collect(), others)?)
}

/// The codes of the samples that the request's folds train on, of each file of labels.
///
/// # Errors
/// If a sample has none, or two; if inputs are views that differ from step to step.
pub fn labels(request: &RunRequest, dataset: &Dataset) -> Result<Vec<Codes>> {
    if request.labels.is_empty() {
        return Ok(Vec::new());
    }
    if dataset.augments() {
        let message = format!(
            "pretraining on `{}` draws new views at every step, of which labels from elsewhere say nothing",
            request.plan.task
        );
        return Err(Failure::wrong_use(message).with_hint("--labels with a task whose inputs stay as they are: sound"));
    }
    let sees_test = |plan: &Plan| plan.pretrain.as_ref().is_some_and(|pretrain| pretrain.transductive);
    let sees_test = request.plans().any(sees_test);
    let of_fold = |fold: &Option<u8>| match dataset.split(*fold) {
        (train, test) if sees_test => [train, test].concat(),
        (train, _) => train,
    };
    let read = request.folds.iter().flat_map(of_fold).collect();
    let (task, part) = (&request.plan.task, request.plan.data.subset.is_some());
    let files = request.labels.iter();
    files.map(|file| file.of_samples(task, dataset, &read, part)).collect()
}
