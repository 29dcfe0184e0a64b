//! BEST-RQ: masked prediction of random labels of the input. On request the labels follow the data,
//! and a second book learns from the encoder (arXiv 2606.30671).

use super::masked::{Hidden, MaskedStudent, frame_labels, random_labels, student};
use super::refine;
use crate::data::{TrainingData, valid_rows};
use crate::plan::{Projection, Refine};
use crate::train::labels::Labels;
use crate::train::method::{ModelPart, PhaseRun, PretrainingMethod};
use crate::train::steps::BatchLoss;
use crate::train::{Context, TrainError};
use bridle::init::Init;
use bridle::layered::LayeredEncoder as _;
use bridle::optimizer::{Frozen, Trained};
use bridle_backends::TrainBackend;
use bridle_baselines::best_rq::best_rq_loss;
use bridle_baselines::distilled::{DistilledBook, two_books_loss};
use bridle_baselines::random::{RandomConfig, RandomQuantizer};
use burn::module::AutodiffModule;
use burn::tensor::{Tensor, TensorData};

/// Encoder and head, and the books that make labels.
pub struct BestRqMethod<B: TrainBackend, D: TrainingData> {
    pub(super) student: MaskedStudent<B, D>,
    pub(super) quantizer: Frozen<RandomQuantizer<B>>,
    /// The book that learns from the encoder.
    second: Option<Trained<B, DistilledBook<B>>>,
    pub(super) device: B::Device,
}

impl<B: TrainBackend, D: TrainingData> PretrainingMethod<B, D> for BestRqMethod<B, D> {
    fn new(context: &Context<'_, D>, init: &Init<B>, _phase: usize) -> Result<Self, TrainError> {
        let device = &init.device;
        let RandomConfig {
            codebooks,
            codebook_size: size,
            code_dim: dim,
        } = random_labels(context);
        let labels = init.child("labels");
        let standard = context.data.standard(context.train, &labels)?;
        let mut quantizer = RandomQuantizer::new(standard, codebooks, size, dim, &labels);
        let refine = context.plan.refine.as_ref();
        if refine.is_some_and(|refine| refine.projection == Projection::Pca) {
            refine::project_by_components(&mut quantizer, context.data, context.train, device)?;
        }
        let distilled = refine.and_then(|refine| refine.distilled_codes);
        let second = distilled.map(|codes| DistilledBook::new(codes, dim, &labels.child("distilled")));
        Ok(Self {
            student: student(context, codebooks * size + distilled.unwrap_or(0), init),
            quantizer: Frozen(quantizer),
            second: second.map(|second| Trained::new(second, context.pretrain().adamw)),
            device: device.clone(),
        })
    }

    /// The loss of a book that learns is no mean over hidden frames, as the others are.
    fn over_ranks(context: &Context<'_, D>) -> bool {
        let refine = context.plan.refine.as_ref();
        refine.is_none_or(|refine| refine.distilled_codes.is_none())
    }

    fn parts(&mut self) -> Vec<ModelPart<'_, B>> {
        let mut parts = vec![
            ModelPart::student(&mut self.student),
            ModelPart {
                redrawn: true,
                ..ModelPart::new("labels.", "", &mut self.quantizer)
            },
        ];
        if let Some(second) = &mut self.second {
            parts.push(ModelPart::new("second_book.", "teacher_optimizer.", second));
        }
        parts
    }

    /// Those of each random book, then those of the book that learns.
    fn make_labels(&mut self, phase: &PhaseRun<'_, D>) -> Result<Labels, TrainError> {
        let quantizer = self.quantizer.valid();
        let second = self.second.as_ref().map(|second| second.valid());
        let sizes = quantizer.books.iter().map(|book| book.codes.dims()[0]);
        let sizes: Vec<usize> = sizes.chain(second.as_ref().map(|book| book.codes.dims()[0])).collect();
        frame_labels(phase, &sizes, &self.device, |frames, rows| {
            let rows = frames.rows(rows);
            let labels = quantizer.labels(rows.clone());
            match &second {
                Some(second) => Tensor::cat(vec![labels, second.labels(quantizer.projected(rows))], 1),
                None => labels,
            }
        })
    }

    fn loss(&mut self, phase: &PhaseRun<'_, D>, step: u64, batch: D::Batch, _labels: Option<&Labels>) -> BatchLoss<B> {
        let hidden = Hidden::new(phase, step, batch, &self.quantizer.standard, &self.device);
        let Hidden {
            rows, frames, masked, ..
        } = &hidden;
        let (Some(second), Some(refine)) = (&self.second, &phase.context.plan.refine) else {
            let loss = best_rq_loss(&self.student, &self.quantizer, frames, masked, rows.clone());
            return BatchLoss::new(loss).over_rows(hidden.hidden.len());
        };
        let loss = two_books_loss(&self.student, &self.quantizer, second, frames, masked, rows.clone());
        let mut loss = BatchLoss::new(loss);
        if step as f64 >= refine.distilled_from * phase.steps as f64 {
            let distillation = self.distillation(second, refine, &hidden);
            loss.values.push(("distillation", distillation.clone().inner()));
            loss.loss = loss.loss + distillation.mul_scalar(refine.distilled_weight);
        }
        loss
    }

    /// Codes that follow their frames move after every so many steps.
    fn finish_step(&mut self, phase: &PhaseRun<'_, D>, done: u64) -> Result<(), TrainError> {
        let context = phase.context;
        let refine = context.plan.refine.as_ref();
        let every = refine.and_then(|refine| refine.centroids_every);
        if every.is_some_and(|every| done.is_multiple_of(every)) {
            refine::move_to_centroids(&mut self.quantizer.0, context.data, context.train, &self.device)?;
        }
        Ok(())
    }

    fn into_encoder(self) -> D::Encoder<B> {
        self.student.into_inner().encoder
    }
}

impl<B: TrainBackend, D: TrainingData> BestRqMethod<B, D> {
    /// The loss that moves the second book's codes, and nothing else, towards how alike the visible
    /// frames are in the middle of the encoder.
    fn distillation(&self, second: &DistilledBook<B>, refine: &Refine, batch: &Hidden<B>) -> Tensor<B, 1> {
        let [samples, times, width] = batch.frames.x.dims();
        let mut visible = vec![0.0f32; samples * times];
        valid_rows(&batch.lengths)
            .into_iter()
            .for_each(|row| visible[row] = 1.0);
        batch.hidden.iter().for_each(|&row| visible[row] = 0.0);
        let visible = Tensor::from_data(TensorData::new(visible, [samples, times, 1]), &self.device);
        let rows = batch.frames.x.clone().reshape([samples * times, width]);
        let projected = self.quantizer.projected(rows);
        let [_, dim] = projected.dims();
        let (encoder, masked) = (self.student.encoder.valid(), batch.masked.inner());
        let features = encoder.pass(encoder.enter(&masked), 0..refine.distilled_layer, &masked);
        let features = Tensor::from_inner(encoder.of_frames(features));
        second.loss(projected.reshape([samples, times, dim]), features, visible)
    }
}
