//! Fine-tuning of this program's own encoder.

use super::{Finetune, Tuned};
use crate::data::{Fixed, fixed};
use crate::protocol::Subject;
use crate::train::schedule::LayerDecay;
use bridle::classifier::{Classifier, Dropped};
use bridle::init::Init;
use bridle::optimizer::ParameterGroups;
use bridle_backends::TrainBackend;
use bridle_seed::Seed;
use bridle_tasks::DataError;
use burn::tensor::Tensor;

pub(super) struct Own<'a, 'd, B: TrainBackend> {
    pub(super) subject: &'a Subject<'a, B, Fixed<'d>>,
    pub(super) values: &'a Finetune,
}

/// Layer-wise rates; no decay of the class token and of 1-D parameters.
pub(super) struct Layers(LayerDecay);

impl ParameterGroups for Layers {
    fn rate_scale(&self, name: &str) -> f64 {
        let name = name.strip_prefix("encoder.").unwrap_or(name);
        self.0.scale(self.0.layer(name))
    }

    fn decays(&self, name: &str, axes: usize) -> bool {
        axes > 1 && name != "encoder.cls_token"
    }
}

impl<B: TrainBackend> Tuned<B> for Own<'_, '_, B> {
    type Model = Classifier<B>;
    type Layers = Layers;

    fn model(&self, weights: Seed) -> Classifier<B> {
        let init = Init::<B>::new(weights, self.subject.device);
        Classifier::new(self.subject.trainable(), self.subject.classes(), &init)
    }

    fn layers(&self) -> Layers {
        Layers(LayerDecay {
            decay: self.values.layer_decay,
            blocks: self.blocks(),
        })
    }

    fn blocks(&self) -> usize {
        self.subject.encoder().blocks.len()
    }

    fn pooling(&self) -> String {
        "mean of patch tokens".to_owned()
    }

    fn logits(&self, model: &Classifier<B>, inputs: Vec<f32>, samples: usize, dropped: Dropped<B>) -> Tensor<B, 2> {
        let geometry = self.subject.encoder().geometry();
        model.logits(
            fixed::on_device(inputs, samples, geometry, self.subject.device),
            &dropped,
        )
    }

    fn scores(
        &self,
        model: &Classifier<B::InnerBackend>,
        inputs: Vec<f32>,
        samples: usize,
    ) -> Result<Tensor<B::InnerBackend, 2>, DataError> {
        let geometry = self.subject.encoder().geometry();
        let x = fixed::on_device(inputs, samples, geometry, self.subject.device);
        Ok(model.logits(x, &Dropped::default()))
    }
}
