//! The registry of quantizers: one line for each.
//!
//! BRIDLE's own lives in the crate `bridle`, those it is compared with in `baselines/`.

use bridle::codebook::{Codebook, Picks};
use bridle::init::Init;
use bridle::quantizer::{Mode, Quantized, Quantizer, QuantizerInfo, QuantizerValues};
use bridle::rq;
use bridle_backends::Ops;
use bridle_baselines::{random, vq};
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// One line per quantizer: its module, its type and the type of its values.
macro_rules! quantizers {
    ($($module:ident::{$variant:ident, $config:ident}),+ $(,)?) => {
        /// Any quantizer.
        #[derive(Module, Debug)]
        pub enum AnyQuantizer<B: Backend> {
            $($variant($module::$variant<B>),)+
        }

        /// The values of any quantizer.
        #[derive(Clone, Debug, PartialEq)]
        pub enum QuantizerConfig {
            $($variant($module::$config),)+
        }

        /// Every quantizer, in the order of the list.
        pub const QUANTIZERS: &[QuantizerInfo] = &[$($module::INFO),+];

        $(impl From<$module::$config> for QuantizerConfig {
            fn from(config: $module::$config) -> Self {
                Self::$variant(config)
            }
        })+

        impl QuantizerValues for QuantizerConfig {
            fn info(&self) -> &'static QuantizerInfo {
                match self { $(Self::$variant(config) => config.info()),+ }
            }
            fn codebooks(&self) -> usize {
                match self { $(Self::$variant(config) => config.codebooks()),+ }
            }
            fn codebook_size(&self) -> usize {
                match self { $(Self::$variant(config) => config.codebook_size()),+ }
            }
            fn code_dim(&self) -> usize {
                match self { $(Self::$variant(config) => config.code_dim()),+ }
            }
        }

        impl<B: Ops> Quantizer<B> for AnyQuantizer<B> {
            type Config = QuantizerConfig;

            fn new(config: &QuantizerConfig, init: &Init<B>) -> Self {
                match config { $(QuantizerConfig::$variant(config) => Self::$variant(Quantizer::new(config, init))),+ }
            }
            fn forward(&mut self, latents: Tensor<B, 3>, mode: Mode, picks: &mut dyn Picks) -> Quantized<B> {
                match self { $(Self::$variant(quantizer) => quantizer.forward(latents, mode, picks)),+ }
            }
            fn codes(&mut self, latents: Tensor<B, 3>, picks: &mut dyn Picks) -> Tensor<B, 3, Int> {
                match self { $(Self::$variant(quantizer) => quantizer.codes(latents, picks)),+ }
            }
            fn decode(&self, codes: Tensor<B, 3, Int>) -> Tensor<B, 3> {
                match self { $(Self::$variant(quantizer) => quantizer.decode(codes)),+ }
            }
            fn codebooks(&self) -> &[Codebook<B>] {
                match self { $(Self::$variant(quantizer) => Quantizer::codebooks(quantizer)),+ }
            }
            fn is_started(&self) -> bool {
                match self { $(Self::$variant(quantizer) => quantizer.is_started()),+ }
            }
            fn set_started(&mut self, started: bool) {
                match self { $(Self::$variant(quantizer) => quantizer.set_started(started)),+ }
            }
        }
    };
}

quantizers! {
    rq::{ResidualQuantizer, RqConfig},
    vq::{VectorQuantizer, VqConfig},
    random::{RandomProjectionQuantizer, RandomConfig},
}

/// The model's parts with any quantizer of the registry.
pub type ModelConfig = bridle::config::ModelConfig<QuantizerConfig>;
/// See [`ModelConfig`].
pub type Tokenizer<B> = bridle::tokenizer::Tokenizer<B, AnyQuantizer<B>>;
/// See [`ModelConfig`].
pub type Teacher<B> = bridle::pretrain::Teacher<B, AnyQuantizer<B>>;
/// See [`ModelConfig`].
pub type FrameTeacher<B> = bridle::speech::tokenizer::FrameTeacher<B, AnyQuantizer<B>>;
