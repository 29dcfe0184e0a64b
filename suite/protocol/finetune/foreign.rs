//! Fine-tuning of an encoder of others: its own input and pooling, a norm of its own, a linear head.

use super::{Run, Trace, Tuned};
use crate::foreign::ForeignEncoder;
use crate::protocol::RequireGradients;
use crate::train::TrainError;
use crate::train::schedule::LayerDecay;
use bridle::classifier::{Dropped, HEAD_DEVIATION};
use bridle::init::Init;
use bridle::optimizer::{ParameterGroups, Trained};
use bridle::transformer::{NORM_EPSILON, Norm};
use bridle_backends::{Ops, TrainBackend};
use bridle_encoders::{Body, BranchFactors, Encoder, EncoderError, FRONT_END, Input, Pooling};
use burn::module::{AutodiffModule as _, Module};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// An encoder of others with a head for C classes.
#[derive(Module, Debug)]
pub struct ForeignClassifier<B: Backend> {
    pub encoder: Encoder<B>,
    /// Over the pooled vector, P wide.
    pub norm: Norm<B>,
    /// [P, C].
    pub head: Linear<B>,
}

impl<B: Ops> ForeignClassifier<B> {
    pub fn new(encoder: Encoder<B>, pooling: Pooling, classes: usize, init: &Init<B>) -> Self {
        let dim = encoder.pooled_dim(pooling);
        Self {
            encoder,
            norm: Norm::new(dim, NORM_EPSILON, init),
            head: Linear {
                weight: init.normal("head", [dim, classes], HEAD_DEVIATION),
                bias: Some(init.constant([classes], 0.0)),
            },
        }
    }

    /// Class scores, [B, C]; `kept` are factors of the branches of a vision transformer's blocks.
    ///
    /// # Errors
    /// If the input is not of the encoder's kind and sizes.
    pub fn logits(
        &self,
        input: Input<B>,
        pooling: Pooling,
        kept: &[Option<BranchFactors<B>>],
    ) -> Result<Tensor<B, 2>, EncoderError> {
        let pooled = self.encoder.pooled_of(input, pooling, kept)?;
        Ok(self.head.forward(self.norm.rows(pooled)))
    }
}

/// Layer-wise rates by the encoder's blocks; no decay of 1-D parameters and of tokens in front.
struct Layers<'a> {
    decay: LayerDecay,
    body: &'a Body,
}

/// The name of a parameter within an encoder, of which a module of one kind is the only part; None of what is beside
/// the encoder.
fn within(name: &str) -> Option<&str> {
    let name = name.strip_prefix("encoder.")?;
    let kinds = ["Vit.", "Speech.", "Conformer."];
    Some(kinds.iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name))
}

impl ParameterGroups for Layers<'_> {
    fn rate_scale(&self, name: &str) -> f64 {
        let head = self.body.blocks() + 1;
        self.decay
            .scale(within(name).map_or(head, |name| self.body.layer(name)))
    }

    fn decays(&self, name: &str, axes: usize) -> bool {
        axes > 1 && within(name) != Some("prefix")
    }
}

impl<B: TrainBackend> Run<'_, '_, B> {
    /// With an encoder of others.
    pub(super) fn of_foreign(&self, theirs: &ForeignEncoder<'_, B::InnerBackend>) -> Result<Tuned, TrainError> {
        let (subject, values) = (self.subject, self.values);
        let (body, pooling, form) = (&theirs.known.body, theirs.known.pooling, theirs.form());
        let mut gradients = RequireGradients {
            frozen: values.freeze_front.unwrap_or(false).then_some(FRONT_END),
            ..RequireGradients::default()
        };
        let encoder = Encoder::<B>::from_inner(theirs.encoder.clone()).map(&mut gradients);
        let init = Init::<B>::new(self.seed.child("weights"), subject.device);
        let model = ForeignClassifier::new(encoder, pooling, subject.classes(), &init);
        let layers = Layers {
            decay: LayerDecay {
                decay: values.layer_decay,
                blocks: body.blocks(),
            },
            body,
        };
        let logits = |model: &ForeignClassifier<B>, values: Vec<f32>, _, dropped: Dropped<B>| {
            let branches = dropped.branches.into_iter();
            let kept: Vec<Option<BranchFactors<B>>> = branches
                .map(|factors| factors.map(|factors| [factors.attention, factors.mlp]))
                .collect();
            let inputs = form
                .inputs(values, subject.device)
                .expect("inputs have the data's form");
            let alone = inputs.len() > 1;
            let each = inputs.into_iter().enumerate().map(|(place, input)| {
                let kept = if alone { of_sample(&kept, place) } else { kept.clone() };
                model.logits(input, pooling, &kept)
            });
            let each = each.collect::<Result<_, _>>();
            Tensor::cat(each.expect("inputs were checked when they were read"), 0)
        };
        let training = self.train(Trained::with_groups(model, values.adamw, layers), body.blocks(), logits)?;
        let model = training.model.valid();
        let scores = self.scores(|values, _| {
            form.check(&values)?;
            let inputs = form.inputs(values, subject.device)?.into_iter();
            let each = inputs.map(|input| model.logits(input, pooling, &[]));
            let each = each.collect::<Result<_, _>>();
            Ok(Tensor::cat(each.expect("inputs were checked when they were read"), 0))
        })?;
        Ok((scores, Trace::of(&training), pooling.to_string()))
    }
}

/// The factors of one sample of a batch.
fn of_sample<B: Backend>(kept: &[Option<BranchFactors<B>>], place: usize) -> Vec<Option<BranchFactors<B>>> {
    let of_block = |factors: &BranchFactors<B>| factors.each_ref().map(|factor| factor.clone().narrow(0, place, 1));
    kept.iter().map(|factors| factors.as_ref().map(of_block)).collect()
}
