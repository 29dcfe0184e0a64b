//! Fine-tuning of an encoder of others: its own input and pooling, a norm of its own, a linear head.

use super::{Finetune, Tuned};
use crate::data::Fixed;
use crate::foreign::{ForeignEncoder, Form};
use crate::protocol::{RequireGradients, Subject};
use crate::train::schedule::LayerDecay;
use bridle::classifier::{Dropped, HEAD_DEVIATION};
use bridle::init::Init;
use bridle::optimizer::ParameterGroups;
use bridle::transformer::{NORM_EPSILON, Norm};
use bridle_backends::{Ops, TrainBackend};
use bridle_encoders::{Body, BranchFactors, Encoder, EncoderError, FRONT_END, Input, Pooling};
use bridle_seed::Seed;
use bridle_tasks::DataError;
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
pub(super) struct Layers<'a> {
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

pub(super) struct Foreign<'a, 'd, B: TrainBackend> {
    subject: &'a Subject<'a, B, Fixed<'d>>,
    theirs: &'a ForeignEncoder<'a, B::InnerBackend>,
    values: &'a Finetune,
    form: Form,
}

impl<'a, 'd, B: TrainBackend> Foreign<'a, 'd, B> {
    pub(super) fn new(
        subject: &'a Subject<'a, B, Fixed<'d>>,
        theirs: &'a ForeignEncoder<'a, B::InnerBackend>,
        values: &'a Finetune,
    ) -> Self {
        let form = theirs.form();
        Self {
            subject,
            theirs,
            values,
            form,
        }
    }

    /// Class scores [B, C] of inputs, each alone where they have lengths of their own.
    fn each<C: Ops>(
        &self,
        model: &ForeignClassifier<C>,
        inputs: Vec<Input<C>>,
        kept: &[Option<BranchFactors<C>>],
    ) -> Tensor<C, 2> {
        let alone = inputs.len() > 1;
        let each = inputs.into_iter().enumerate().map(|(place, input)| {
            let kept = if alone { of_sample(kept, place) } else { kept.to_vec() };
            model.logits(input, self.theirs.known.pooling, &kept)
        });
        let each = each.collect::<Result<_, _>>();
        Tensor::cat(each.expect("inputs were checked when they were read"), 0)
    }
}

impl<'a, B: TrainBackend> Tuned<B> for Foreign<'a, '_, B> {
    type Model = ForeignClassifier<B>;
    type Layers = Layers<'a>;

    fn model(&self, weights: Seed) -> ForeignClassifier<B> {
        let mut gradients = RequireGradients {
            frozen: self.values.freeze_front.unwrap_or(false).then_some(FRONT_END),
            ..RequireGradients::default()
        };
        let encoder = Encoder::<B>::from_inner(self.theirs.encoder.clone()).map(&mut gradients);
        let init = Init::<B>::new(weights, self.subject.device);
        ForeignClassifier::new(encoder, self.theirs.known.pooling, self.subject.classes(), &init)
    }

    fn layers(&self) -> Layers<'a> {
        let body = &self.theirs.known.body;
        Layers {
            decay: LayerDecay {
                decay: self.values.layer_decay,
                blocks: body.blocks(),
            },
            body,
        }
    }

    fn blocks(&self) -> usize {
        self.theirs.known.body.blocks()
    }

    fn pooling(&self) -> String {
        self.theirs.known.pooling.to_string()
    }

    fn logits(&self, model: &ForeignClassifier<B>, inputs: Vec<f32>, _: usize, dropped: Dropped<B>) -> Tensor<B, 2> {
        let branches = dropped.branches.into_iter();
        let kept: Vec<Option<BranchFactors<B>>> = branches
            .map(|factors| factors.map(|factors| [factors.attention, factors.mlp]))
            .collect();
        let inputs = self.form.inputs(inputs, self.subject.device);
        self.each(model, inputs.expect("inputs have the data's form"), &kept)
    }

    fn scores(
        &self,
        model: &ForeignClassifier<B::InnerBackend>,
        inputs: Vec<f32>,
        _: usize,
    ) -> Result<Tensor<B::InnerBackend, 2>, DataError> {
        self.form.check(&inputs)?;
        Ok(self.each(model, self.form.inputs(inputs, self.subject.device)?, &[]))
    }
}

/// The factors of one sample of a batch.
fn of_sample<B: Backend>(kept: &[Option<BranchFactors<B>>], place: usize) -> Vec<Option<BranchFactors<B>>> {
    let of_block = |factors: &BranchFactors<B>| factors.each_ref().map(|factor| factor.clone().narrow(0, place, 1));
    kept.iter().map(|factors| factors.as_ref().map(of_block)).collect()
}
