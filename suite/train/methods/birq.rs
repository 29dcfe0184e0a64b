//! BiRQ: BEST-RQ's labels, and labels that the encoder's own layers make of the input.

use super::masked::{Hidden, MaskedStudent, frame_labels, random_labels, student};
use crate::data::TrainingData;
use crate::train::labels::Labels;
use crate::train::method::{ModelPart, PhaseRun, PretrainingMethod};
use crate::train::steps::BatchLoss;
use crate::train::{Context, TrainError};
use bridle::init::Init;
use bridle::layered::layer_features;
use bridle_backends::TrainBackend;
use bridle_baselines::birq::{BirqConfig, BirqLabels, birq_loss};
use bridle_baselines::random::RandomConfig;
use bridle_seed::Seed;
use burn::module::AutodiffModule;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Encoder and head, and what makes both labels.
pub struct BirqMethod<B: TrainBackend, D: TrainingData> {
    student: MaskedStudent<B, D>,
    labels: BirqLabels<B>,
    config: BirqConfig,
    device: B::Device,
}

impl<B: TrainBackend, D: TrainingData> PretrainingMethod<B, D> for BirqMethod<B, D> {
    fn new(context: &Context<'_, D>, init: &Init<B>, _phase: usize) -> Result<Self, TrainError> {
        let plan = context.plan;
        let RandomConfig {
            codebooks,
            codebook_size,
            code_dim,
        } = random_labels(context);
        let values = plan.birq.as_ref().expect("a plan of BiRQ has its values");
        let labels = init.child("labels");
        let standard = context.data.standard(context.train, &labels)?;
        Ok(Self {
            student: student(context, codebooks * codebook_size, init),
            labels: BirqLabels::new(standard, plan.model.dim(), codebook_size, code_dim, &labels),
            config: *values,
            device: init.device.clone(),
        })
    }

    fn over_ranks(_context: &Context<'_, D>) -> bool {
        true
    }

    /// The labels' books are drawn from the seed again.
    fn parts(&mut self) -> Vec<ModelPart<'_, B>> {
        vec![ModelPart::student(&mut self.student)]
    }

    /// The anchor label, then the likeliest code of the enhanced one.
    fn make_labels(&mut self, phase: &PhaseRun<'_, D>) -> Result<Labels, TrainError> {
        let (labels, encoder) = (self.labels.valid(), self.student.encoder.valid());
        let [codes, _] = labels.book.codes.dims();
        frame_labels(phase, &[codes; 2], &self.device, |frames, rows| {
            let features = layer_features(&encoder, self.config.layers, frames, rows.clone());
            Tensor::cat(vec![labels.anchor(frames.rows(rows)), labels.likeliest(features)], 1)
        })
    }

    fn loss(&mut self, phase: &PhaseRun<'_, D>, step: u64, batch: D::Batch, _labels: Option<&Labels>) -> BatchLoss<B> {
        let hidden = Hidden::new(phase, step, batch, &self.labels.standard, &self.device);
        let Hidden {
            hidden,
            before,
            rows,
            frames,
            masked,
            ..
        } = hidden;
        let (count, [codes, _]) = (hidden.len(), self.labels.book.codes.dims());
        let noise = gumbel_noise(before, count, codes, &phase.draws("gumbel", step), &self.device);
        let found = birq_loss(&self.student, &self.labels, &self.config, &frames, &masked, rows, noise);
        let mut loss = BatchLoss::new(found.total).over_rows(count);
        loss.values.push(("anchor", found.anchor.inner()));
        loss.values.push(("enhanced", found.enhanced.inner()));
        loss
    }

    fn into_encoder(self) -> D::Encoder<B> {
        self.student.into_inner().encoder
    }
}

/// -ln(-ln U) for each hidden frame and code, [M, K]; that of `before` frames is drawn before.
fn gumbel_noise<B: Backend>(before: usize, rows: usize, codes: usize, seed: &Seed, device: &B::Device) -> Tensor<B, 2> {
    let mut stream = seed.stream();
    // U lies strictly between 0 and 1
    let mut draw = || -(-(f64::from(stream.uniform()) + 2f64.powi(-25)).ln()).ln() as f32;
    for _ in 0..before * codes {
        draw();
    }
    let noise: Vec<f32> = (0..rows * codes).map(|_| draw()).collect();
    Tensor::from_data(TensorData::new(noise, [rows, codes]), device)
}
