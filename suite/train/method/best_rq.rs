//! BEST-RQ: masked prediction of fixed random labels of the input; on request labels that follow the data
//! and a second book that learns from the encoder (arXiv 2606.30671).

use super::masked::{Hidden, Student, frame_labels, student};
use super::{Method, Part, Phase, Start};
use crate::data::TrainingData;
use crate::train::TrainError;
use crate::train::labels::Labels;
use crate::train::steps::BatchLoss;
use bridle::optimizer::Frozen;
use bridle_backends::TrainBackend;
use bridle_baselines::best_rq::best_rq_loss;
use bridle_baselines::random::RandomQuantizer;
use burn::module::AutodiffModule;

/// Encoder and head, and the random books.
pub struct BestRq<B: TrainBackend, D: TrainingData> {
    student: Student<B, D>,
    quantizer: Frozen<RandomQuantizer<B>>,
    device: B::Device,
}

impl<B: TrainBackend, D: TrainingData> Method<B, D> for BestRq<B, D> {
    fn new(start: &Start<'_, B, D>, _phase: usize) -> Result<Self, TrainError> {
        let context = start.context;
        let values = context
            .plan
            .quantizer
            .as_ref()
            .expect("a plan that pretrains has labels");
        let init = start.init.child("labels");
        let standard = context.data.standard(context.train, &init)?;
        let quantizer = RandomQuantizer::new(standard, values.levels, values.codes, values.code_dim, &init);
        Ok(Self {
            student: student(start, values.levels * values.codes),
            quantizer: Frozen(quantizer),
            device: start.init.device.clone(),
        })
    }

    fn parts(&mut self) -> Vec<Part<'_, B>> {
        vec![
            Part::student(&mut self.student),
            Part::frozen("labels.", &mut self.quantizer),
        ]
    }

    fn make_labels(&mut self, phase: &Phase<'_, D>) -> Result<Labels, TrainError> {
        let quantizer = self.quantizer.valid();
        let sizes: Vec<usize> = quantizer.books.iter().map(|book| book.codes.dims()[0]).collect();
        frame_labels(phase, &sizes, &self.device, |frames, rows| {
            quantizer.labels(frames.rows(rows))
        })
    }

    fn loss(&mut self, phase: &Phase<'_, D>, step: u64, batch: D::Batch, _labels: Option<&Labels>) -> BatchLoss<B> {
        let hidden = Hidden::new(phase, step, batch, &self.quantizer.standard, &self.device);
        let Hidden {
            rows, frames, masked, ..
        } = hidden;
        BatchLoss::new(best_rq_loss(&self.student, &self.quantizer, &frames, &masked, rows))
    }

    fn into_encoder(self) -> D::Encoder<B> {
        self.student.into_inner().encoder
    }
}
