//! Encoders of other people's making: which family a checkpoint is of, its weights by name, its forward pass, its
//! input.
//!
//! [`recognise`] tells from names, shapes and settings what encoder a checkpoint holds, and how its input is made
//! ([`Recognised::pipeline`]). [`build`] reads its numbers, strictly. [`Encoder::blank`] makes the same encoder with
//! zeros, for weights that come from elsewhere.
//!
//! A way of naming is a [`Scheme`](families::Scheme) in `families`; a kind of network is a [`Body`].

pub mod conformer;
pub mod depth;
pub mod families;
pub mod input;
pub mod layers;
pub mod names;
pub mod pooling;
pub mod recognised;
pub mod settings;
pub mod speech;
pub mod vit;

use bridle_backends::Ops;
use bridle_containers::Checkpoint;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

pub use depth::FRONT_END;
pub use families::recognise;
pub use input::{Input, States};
pub use names::{EncoderError, Report, Taker};
pub use pooling::Pooling;
pub use recognised::{Body, Options, Recognised};
pub use vit::block::BranchFactors;

/// An encoder of any family.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "burn has no module in a box, and a program has few encoders"
)]
pub enum Encoder<B: Backend> {
    Vit(vit::Vit<B>),
    Speech(speech::Speech<B>),
    Conformer(conformer::Conformer<B>),
}

/// The encoder of a recognised checkpoint, and what became of every tensor.
///
/// # Errors
/// If a tensor that the output depends on is missing, of another shape or not finite; or one is left over that nothing
/// reads and that is no known head, decoder or teacher.
pub fn build<B: Ops>(
    recognised: &Recognised,
    checkpoint: &Checkpoint,
    device: &B::Device,
) -> Result<(Encoder<B>, Report), EncoderError> {
    let taker = Taker::new(checkpoint, &recognised.prefix);
    let passed_over = |name: &str| families::is_passed_over(recognised, name);
    taker.all(passed_over, |taker| Encoder::take(recognised, taker, device))
}

impl<B: Ops> Encoder<B> {
    fn take(recognised: &Recognised, taker: &Taker, device: &B::Device) -> Result<Self, EncoderError> {
        match &recognised.body {
            Body::Vit(config) => vit::Vit::take(config, &recognised.scheme, taker, device).map(Self::Vit),
            Body::Speech(config) => speech::Speech::take(config, taker, device).map(Self::Speech),
            Body::Conformer(config) => conformer::Conformer::take(config, taker, device).map(Self::Conformer),
        }
    }

    /// The same encoder with zeros for weights.
    ///
    /// # Errors
    /// If sizes contradict each other.
    pub fn blank(recognised: &Recognised, device: &B::Device) -> Result<Self, EncoderError> {
        Self::take(recognised, &Taker::blank(), device)
    }

    /// What enters the first block, and what leaves each block and the encoder.
    ///
    /// # Errors
    /// If the input is not of the encoder's kind and sizes.
    pub fn states(&self, input: Input<B>) -> Result<States<B>, EncoderError> {
        match self {
            Self::Vit(vit) => vit.states(input),
            Self::Speech(speech) => speech.states(input),
            Self::Conformer(conformer) => conformer.states(input),
        }
    }

    /// One vector for each input, [B, [`Encoder::pooled_dim`]].
    ///
    /// # Errors
    /// If the input is not of the encoder's kind and sizes, or the encoder has no such pooling.
    pub fn pooled(&self, input: Input<B>, pooling: Pooling) -> Result<Tensor<B, 2>, EncoderError> {
        match self {
            Self::Vit(vit) => vit.pooled(input, pooling),
            Self::Speech(speech) => speech.pooled(input, pooling),
            Self::Conformer(conformer) => conformer.pooled(input, pooling),
        }
    }

    /// The same in training, with factors of each block's branches: stochastic depth, which vision transformers have.
    ///
    /// # Errors
    /// As [`Encoder::pooled`].
    pub fn pooled_of(
        &self,
        input: Input<B>,
        pooling: Pooling,
        kept: &[Option<BranchFactors<B>>],
    ) -> Result<Tensor<B, 2>, EncoderError> {
        match self {
            Self::Vit(vit) => vit.pooled_of(input, pooling, kept),
            Self::Speech(_) | Self::Conformer(_) => self.pooled(input, pooling),
        }
    }

    /// Whether it hears sounds of different lengths in one batch, each as if it were alone.
    pub fn takes_lengths(&self) -> bool {
        !matches!(self, Self::Vit(_))
    }

    /// Width of a token.
    pub fn dim(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.config.dim,
            Self::Speech(speech) => speech.config.dim,
            Self::Conformer(conformer) => conformer.config.dim,
        }
    }

    pub fn blocks(&self) -> usize {
        match self {
            Self::Vit(vit) => vit.config.depth,
            Self::Speech(speech) => speech.config.depth,
            Self::Conformer(conformer) => conformer.config.depth,
        }
    }

    /// Width of a pooled vector.
    pub fn pooled_dim(&self, pooling: Pooling) -> usize {
        let parts = match pooling {
            Pooling::ClsAndMean => 2,
            Pooling::LastCls { blocks, mean } => blocks + usize::from(mean),
            Pooling::Cls | Pooling::TwoTokens | Pooling::Mean | Pooling::MeanNorm | Pooling::Pooler => 1,
        };
        parts * self.dim()
    }
}
