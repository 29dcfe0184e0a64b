//! Relabelling, HuBERT's second iteration (arXiv 2106.07447): a round of random labels, then one of
//! clusters of that encoder's features, from new weights.

use super::best_rq::BestRqMethod;
use super::masked::{frame_labels, kept_labels_loss, measure, model};
use crate::data::TrainingData;
use crate::plan::Relabel;
use crate::train::labels::Labels;
use crate::train::method::{ModelPart, PhaseRun, PretrainingMethod};
use crate::train::steps::BatchLoss;
use crate::train::{Context, TrainError};
use bridle::codebook::{Similarity, kmeans};
use bridle::frames::Frames;
use bridle::init::Init;
use bridle::layered::{LayeredEncoder, layer_features};
use bridle::optimizer::Frozen;
use bridle_backends::kernel::with_ranks;
use bridle_backends::{Ops, TrainBackend};
use bridle_baselines::best_rq::MaskedModel;
use bridle_ranks::Ranks;
use bridle_seed::Seed;
use bridle_tasks::DataError;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;

/// The model of the round at hand, and the encoder of the first one.
pub struct RelabelMethod<B: TrainBackend, D: TrainingData> {
    round: BestRqMethod<B, D>,
    first: Option<Frozen<D::Encoder<B>>>,
}

impl<B: TrainBackend, D: TrainingData> PretrainingMethod<B, D> for RelabelMethod<B, D> {
    fn new(context: &Context<'_, D>, init: &Init<B>, phase: usize) -> Result<Self, TrainError> {
        let mut method = Self {
            round: BestRqMethod::new(context, init, phase)?,
            first: None,
        };
        if phase > 0 {
            method.first = Some(Frozen(context.data.encoder(init)));
            *method.round.student = second_model(context, init);
        }
        Ok(method)
    }

    fn over_ranks(context: &Context<'_, D>) -> bool {
        BestRqMethod::<B, D>::over_ranks(context)
    }

    fn parts(&mut self) -> Vec<ModelPart<'_, B>> {
        let mut parts = self.round.parts();
        if let Some(first) = &mut self.first {
            parts.push(ModelPart::new("first.", "", first));
        }
        parts
    }

    fn keeps_labels(&self, _phase: &PhaseRun<'_, D>) -> bool {
        self.first.is_some()
    }

    fn make_labels(&mut self, phase: &PhaseRun<'_, D>) -> Result<Labels, TrainError> {
        let Some(first) = &self.first else {
            return self.round.make_labels(phase);
        };
        let (encoder, device, values) = (first.valid(), &self.round.device, values(phase.context));
        let means = clusters(&encoder, values, phase, device)?;
        frame_labels(phase, &[values.clusters], device, |frames, rows| {
            Ops::nearest_codes(layer_features(&encoder, values.layer, frames, rows), means.clone())
        })
    }

    fn loss(&mut self, phase: &PhaseRun<'_, D>, step: u64, batch: D::Batch, labels: Option<&Labels>) -> BatchLoss<B> {
        match labels {
            Some(labels) => {
                let BestRqMethod { student, quantizer, .. } = &self.round;
                kept_labels_loss(student, &quantizer.standard, phase, step, batch, labels)
            }
            None => self.round.loss(phase, step, batch, None),
        }
    }

    fn finish_step(&mut self, phase: &PhaseRun<'_, D>, done: u64) -> Result<(), TrainError> {
        match self.first {
            Some(_) => Ok(()),
            None => self.round.finish_step(phase, done),
        }
    }

    fn end_phase(&mut self, phase: &PhaseRun<'_, D>) {
        if phase.index == 0 {
            let init = Init::new(phase.context.seed.child("weights"), &self.round.device);
            self.first = Some(Frozen(self.round.student.encoder.clone()));
            *self.round.student = second_model(phase.context, &init);
        }
    }

    fn into_encoder(self) -> D::Encoder<B> {
        self.round.into_encoder()
    }
}

fn values<'a, D>(context: &Context<'a, D>) -> &'a Relabel {
    context
        .plan
        .relabel
        .as_ref()
        .expect("a plan of relabelling has its values")
}

/// The second round's model, which starts from new weights.
fn second_model<B: TrainBackend, D: TrainingData>(
    context: &Context<'_, D>,
    init: &Init<B>,
) -> MaskedModel<B, D::Encoder<B>> {
    model(context, values(context).clusters, &init.child("second"))
}

/// Means [K, D] of the features of a layer of this encoder, by k-means from frames that the seed
/// draws.
fn clusters<B: Ops, D: TrainingData, E: LayeredEncoder<B>>(
    encoder: &E,
    values: &Relabel,
    phase: &PhaseRun<'_, D>,
    device: &B::Device,
) -> Result<Tensor<B, 2>, DataError> {
    let Context { data, train, .. } = *phase.context;
    let features = measure(data, train, device, |frames: &Frames<B>, rows| {
        layer_features(encoder, values.layer, frames, rows)
    })?;
    let features = Tensor::cat(features, 0);
    let [count, _] = features.dims();
    let mut places: Vec<usize> = (0..count).collect();
    let seed: Seed = phase.seed.child("clusters");
    seed.stream().shuffle(&mut places);
    places.truncate(values.clusters);
    // every rank has measured all of these frames
    let means = || kmeans(features, &places, values.iterations, Similarity::Euclidean).0;
    Ok(with_ranks(&Ranks::Alone, means))
}
