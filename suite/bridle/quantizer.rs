//! What makes the labels: a quantizer gives each latent its codes, the vectors they stand for, and a loss.
//!
//! A new quantizer is a file in `quantizer/` and a line in the list below.

use crate::codebook::{Codebook, Picks};
use crate::config::QuantizerConfig;
use crate::init::Init;
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

/// The result of quantizing latents.
#[derive(Clone, Debug)]
pub struct Quantized<B: Backend> {
    /// Codes [B, N, Q]; with S codes per level [B, N, Q * S], level by level.
    pub codes: Tensor<B, 3, Int>,
    /// Quantized vectors [B, N, d], with the straight-through gradient.
    pub values: Tensor<B, 3>,
    /// Codebook plus commitment loss, mean over levels, [1].
    pub loss: Tensor<B, 1>,
}

/// Whether codebooks learn in a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Codebooks move.
    Train,
    /// Codebooks move, and hardly used codes take vectors of the batch where the quantizer restarts by usage.
    Restart,
    /// Codebooks stay (but for a start that is still due).
    Eval,
}

impl Mode {
    /// Whether codebooks move.
    pub fn trains(self) -> bool {
        self != Self::Eval
    }
}

/// The contract of every quantizer.
pub trait Quantizer<B: Backend> {
    /// Quantizes latents [B, N, d]. The first call may also start the codebooks from this batch.
    fn forward(&mut self, latents: Tensor<B, 3>, mode: Mode, picks: &mut dyn Picks) -> Quantized<B>;

    /// The codes alone, [B, N, Q], as `forward` in evaluation gives them: what labels are made of.
    fn codes(&mut self, latents: Tensor<B, 3>, picks: &mut dyn Picks) -> Tensor<B, 3, Int> {
        self.forward(latents, Mode::Eval, picks).codes
    }

    /// The vectors of codes [B, N, Q]: [B, N, d], equal to what `forward` in evaluation gave with these codes.
    fn decode(&self, codes: Tensor<B, 3, Int>) -> Tensor<B, 3>;

    /// The codebooks, level by level.
    fn codebooks(&self) -> &[Codebook<B>];

    /// Whether the codebooks have started (from data, or by taking up saved ones).
    fn is_started(&self) -> bool;

    /// Says that the codebooks are saved ones, so that the next forward does not start them anew.
    fn set_started(&mut self, started: bool);
}

/// What a quantizer is, without its weights.
#[derive(Clone, Copy, Debug)]
pub struct QuantizerInfo {
    /// The name on the command line.
    pub name: &'static str,
    /// One line on what it is.
    pub summary: &'static str,
    /// Whether it takes more than one level.
    pub several_levels: bool,
    /// Whether its codebooks learn.
    pub learns: bool,
}

/// One line per quantizer: module, variant, type. The list makes the modules, the enum and the registry.
macro_rules! quantizers {
    ($($module:ident :: $variant:ident),+ $(,)?) => {
        $(pub mod $module;)+

        /// Any quantizer.
        #[derive(Module, Debug)]
        pub enum AnyQuantizer<B: Backend> {
            $(#[doc = "See the module of the same name."] $variant($module::$variant<B>),)+
        }

        /// Every quantizer, in the order of the list.
        pub const QUANTIZERS: &[QuantizerInfo] = &[$($module::INFO),+];

        impl<B: Backend> AnyQuantizer<B> {
            /// The quantizer called `name`, with first codebooks; None if there is no such quantizer.
            pub fn new(name: &str, config: &QuantizerConfig, init: &Init<B>) -> Option<Self> {
                $(if name == $module::INFO.name {
                    return Some(Self::$variant($module::$variant::new(config, init)));
                })+
                None
            }
        }

        impl<B: Ops> Quantizer<B> for AnyQuantizer<B> {
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
                match self { $(Self::$variant(quantizer) => quantizer.codebooks()),+ }
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
    rq::ResidualQuantizer,
    vq::VectorQuantizer,
    random::RandomProjectionQuantizer,
}

/// mean((a - b)²) over all elements, [1].
pub(crate) fn mse<B: Backend>(a: Tensor<B, 2>, b: Tensor<B, 2>) -> Tensor<B, 1> {
    (a - b).powi_scalar(2).mean()
}
