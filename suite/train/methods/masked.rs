//! What methods share that hide spans of frames and predict their labels: the model, the noise in
//! place of hidden frames, labels of all frames.

use crate::data::{Batch as _, TrainingData, valid_rows};
use crate::plan::Mask;
use crate::train::labels::Labels;
use crate::train::method::PhaseRun;
use crate::train::steps::BatchLoss;
use crate::train::{Context, TrainError};
use bridle::codebook::index_rows;
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::loss::prediction_loss;
use bridle::mask::spans;
use bridle::optimizer::Trained;
use bridle::standardizer::Standardizer;
use bridle_backends::kernel::ranks;
use bridle_backends::{Ops, TrainBackend};
use bridle_baselines::best_rq::MaskedModel;
use bridle_baselines::random::RandomConfig;
use bridle_seed::Seed;
use bridle_tasks::DataError;
use burn::tensor::backend::Backend;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

/// Training samples whose frames are measured, the first ones.
const MEASURED: usize = 512;
/// Samples at a time.
const BATCH: usize = 16;

/// An encoder of this data and its head, in training.
pub type MaskedStudent<B, D> = Trained<B, MaskedModel<B, <D as TrainingData>::Encoder<B>>>;

/// First weights of an encoder with a head of so many logits.
pub fn student<B: TrainBackend, D: TrainingData>(
    context: &Context<'_, D>,
    logits: usize,
    init: &Init<B>,
) -> MaskedStudent<B, D> {
    let model = model(context, logits, &init.child("student"));
    Trained::new(model, context.pretrain().adamw)
}

/// The same without an optimizer.
pub fn model<B: TrainBackend, D: TrainingData>(
    context: &Context<'_, D>,
    logits: usize,
    init: &Init<B>,
) -> MaskedModel<B, D::Encoder<B>> {
    let encoder = context.data.encoder(&init.child("encoder"));
    MaskedModel::new(encoder, context.plan.model.dim(), logits, init)
}

/// The values of the books that label frames. Panics if the plan has another quantizer, which it
/// refuses.
pub fn random_labels<D>(context: &Context<'_, D>) -> RandomConfig {
    let values = RandomConfig::try_from(context.quantizer());
    values.expect("a method that hides frames labels them by random codes")
}

/// A rank's part of a batch, with noise in place of the hidden frames.
pub struct Hidden<B: Backend> {
    /// The samples, by their numbers in the data set.
    pub samples: Vec<usize>,
    /// Frames of each.
    pub lengths: Vec<usize>,
    /// The hidden frames, by their rows of [B * T], T being the greatest length.
    pub hidden: Vec<usize>,
    /// How many frames are hidden in the samples before these, which other ranks have.
    pub before: usize,
    /// The hidden frames on the device.
    pub rows: Tensor<B, 1, Int>,
    /// The frames as they are.
    pub frames: Frames<B>,
    /// The frames with noise.
    pub masked: Frames<B>,
}

impl<B: Backend> Hidden<B> {
    /// Hides spans of a batch's frames; `standard` says how the data varies, and so how strong
    /// noise is.
    pub fn new<D: TrainingData>(
        phase: &PhaseRun<'_, D>,
        step: u64,
        batch: D::Batch,
        standard: &Standardizer<B>,
        device: &B::Device,
    ) -> Self {
        let data = phase.context.data;
        let mask = phase.context.plan.mask.as_ref();
        let mask = mask.expect("a plan that hides frames says which");
        let (samples, lengths) = (batch.samples().to_vec(), data.lengths(&batch));
        let (draws, earlier) = (phase.draws("mask", step), lengths_before(&lengths));
        let before = hidden_rows(mask, &earlier, 0, &draws).len();
        let hidden = hidden_rows(mask, &lengths, earlier.len(), &draws);
        let rows = index_rows(&hidden, device);
        let frames = data.frames(batch, device);
        let draws = phase.draws("noise", step);
        let masked = with_noise(&frames, mask, rows.clone(), before, standard, &draws);
        Self {
            samples,
            lengths,
            hidden,
            before,
            rows,
            frames,
            masked,
        }
    }

    /// The hidden frames' labels among those of all samples: [M, Q].
    pub fn labels(&self, labels: &Labels, device: &B::Device) -> Tensor<B, 2, Int> {
        let times = self.lengths.iter().copied().max().unwrap_or(1);
        let frames = self.hidden.iter().map(|row| (row / times, row % times));
        labels.of(&self.samples, frames, device)
    }
}

/// The loss of one batch against labels that were made before the phase.
pub fn kept_labels_loss<B: TrainBackend, D: TrainingData>(
    model: &MaskedModel<B, D::Encoder<B>>,
    standard: &Standardizer<B>,
    phase: &PhaseRun<'_, D>,
    step: u64,
    batch: D::Batch,
    labels: &Labels,
) -> BatchLoss<B> {
    let device = standard.mean.device();
    let hidden = Hidden::new(phase, step, batch, standard, &device);
    let codes = hidden.labels(labels, &device);
    let rows = hidden.hidden.len();
    BatchLoss::new(prediction_loss(model.logits(&hidden.masked, hidden.rows), codes)).over_rows(rows)
}

/// The lengths of the samples of a batch that come before those of this rank, which have `own`.
fn lengths_before(own: &[usize]) -> Vec<usize> {
    let ranks = ranks();
    let mut all = ranks.required(ranks.gather_values(own.to_vec()));
    let counts = ranks.required(ranks.gather_values(vec![own.len()]));
    all.truncate(counts[..ranks.rank()].iter().sum());
    all
}

/// The labels of all training frames, from books of these sizes; `codes` gives those of frames by
/// their rows of [B * T], [M, Q].
///
/// # Errors
/// If a sample cannot be read any more.
pub fn frame_labels<B: Ops, D: TrainingData>(
    phase: &PhaseRun<'_, D>,
    sizes: &[usize],
    device: &B::Device,
    mut codes: impl FnMut(&Frames<B>, Tensor<B, 1, Int>) -> Tensor<B, 2, Int>,
) -> Result<Labels, TrainError> {
    let data = phase.context.data;
    let labels = Labels::collect(phase.context, sizes, |batch| {
        let rows = index_rows(&valid_rows(&data.lengths(&batch)), device);
        codes(&data.frames(batch, device), rows)
    })?;
    Ok(labels)
}

/// What `of` makes of the frames of the first training samples, [n, D], batch by batch.
///
/// # Errors
/// If a sample cannot be read any more.
pub fn measure<B: Backend, D: TrainingData>(
    data: &D,
    train: &[usize],
    device: &B::Device,
    of: impl Fn(&Frames<B>, Tensor<B, 1, Int>) -> Tensor<B, 2>,
) -> Result<Vec<Tensor<B, 2>>, DataError> {
    let batches = train[..train.len().min(MEASURED)].chunks(BATCH);
    let measure = |samples: &[usize]| {
        let batch = data.read(samples.to_vec())?;
        let rows = index_rows(&valid_rows(&data.lengths(&batch)), device);
        Ok(of(&data.frames(batch, device), rows))
    };
    batches.map(measure).collect()
}

/// Which frames of sequences of these lengths are hidden: their rows of [B * T], T being the
/// greatest length. `first` is the place of the first of them in the whole batch.
fn hidden_rows(mask: &Mask, lengths: &[usize], first: usize, seed: &Seed) -> Vec<usize> {
    let times = lengths.iter().copied().max().unwrap_or(0);
    let (start, span) = (mask.start.unwrap_or(0.0), mask.span.unwrap_or(1));
    let of = |(sample, &length): (usize, &usize)| {
        let mut stream = seed.indexed((first + sample) as u64).stream();
        let hidden = spans(length, start, span, || stream.uniform_f64());
        let rows = hidden.into_iter().enumerate().filter(|(_, hidden)| *hidden);
        rows.map(move |(frame, _)| sample * times + frame).collect::<Vec<_>>()
    };
    lengths.iter().enumerate().flat_map(of).collect()
}

/// The frames with normal noise, of the mask's deviation times that of the data, in place of those
/// that `rows` of [B * T] name. The noise of `before` frames is drawn before theirs.
fn with_noise<B: Backend>(
    frames: &Frames<B>,
    mask: &Mask,
    rows: Tensor<B, 1, Int>,
    before: usize,
    standard: &Standardizer<B>,
    seed: &Seed,
) -> Frames<B> {
    let ([batch, times, width], [count]) = (frames.x.dims(), rows.dims());
    let deviation = mask.deviation() as f32;
    let mut stream = seed.stream();
    for _ in 0..before * width {
        stream.normal();
    }
    let noise: Vec<f32> = (0..count * width).map(|_| deviation * stream.normal()).collect();
    let noise = Tensor::from_data(TensorData::new(noise, [count, width]), &frames.x.device());
    let change = standard.undo(noise) - frames.rows(rows.clone());
    let x = frames.x.clone().reshape([batch * times, width]);
    let x = x.select_assign(0, rows, change, IndexingUpdateOp::Add);
    frames.with(x.reshape([batch, times, width]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed unwrap is a failed test
    use super::*;
    use crate::plan::{Plan, PlanRequest};
    use burn_flex::Flex;

    /// The measured deviation of the noise that this plan puts in place of hidden frames, over that
    /// of the data.
    fn measured(task: &str, method: &str, preset: &str, set: &[&str]) -> f64 {
        let plan = Plan::resolve(&PlanRequest {
            task: task.to_owned(),
            method: Some(method.to_owned()),
            preset: Some(preset.to_owned()),
            set: set.iter().map(|&set| set.to_owned()).collect(),
            ..PlanRequest::default()
        });
        let (seed, device) = (Seed::root(0), Default::default());
        let frames = Frames::<Flex>::unpadded(Tensor::ones([1, 200, 64], &device));
        let rows = index_rows(&(0..200).collect::<Vec<_>>(), &device);
        let standard = Standardizer::new(&[5.0; 64], &[3.0; 64], &Init::new(seed, &device));
        let mask = plan.unwrap().core.mask.unwrap();
        let noise = with_noise(&frames, &mask, rows, 0, &standard, &seed).x;
        let noise: Vec<f64> = noise.into_data().iter::<f64>().map(|x| (x - 5.0) / 3.0).collect();
        (noise.iter().map(|x| x * x).sum::<f64>() / noise.len() as f64).sqrt()
    }

    /// BEST-RQ, section 3: noise of "0 mean and 0.1 standard deviation"; BiRQ follows it.
    #[test]
    fn hidden_frames_are_noise_of_a_tenth_of_the_datas_deviation() {
        for preset in ["smoke", "mini", "paper"] {
            for (task, method) in [
                ("audioset", "best-rq"),
                ("audioset", "birq"),
                ("digits", "best-rq"),
                ("digits", "birq"),
                ("digits", "relabel"),
                ("digits", "bridle"),
            ] {
                let found = measured(task, method, preset, &[]);
                assert!((found - 0.1).abs() < 0.003, "{preset}, {method} on {task}: {found}");
            }
        }
        let earlier = measured("digits", "best-rq", "mini", &["mask.noise_is=variance"]);
        assert!((earlier - 0.1f64.sqrt()).abs() < 0.01, "{earlier}");
    }
}
