//! Encoders over waves: wav2vec 2.0 (arXiv 2006.11477), HuBERT (2106.07447), WavLM (2110.13900) and
//! data2vec audio (2202.03555).
//!
//! Convolutions over the sound, a map to the width D, positions by convolution, transformer blocks.
//! A sound gives the same numbers alone and in a batch with longer ones.

pub mod attention;
pub mod block;
pub mod buckets;
pub mod config;
pub mod front;
pub mod layers;
pub mod names;
pub mod positions;
pub mod recognise;
pub mod sequences;
pub mod settings;
pub mod strides;

use crate::names::{EncoderError, Taker};
use block::Block;
use bridle_backends::Ops;
use buckets::Buckets;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use config::SpeechConfig;
use front::WaveFront;
use layers::Norm;
use names::Names;
use positions::Positions;
pub use recognise::recognise;
use sequences::States;

/// An encoder over waves.
#[derive(Module, Debug)]
pub struct Speech<B: Backend> {
    pub front: WaveFront<B>,
    pub positions: Positions<B>,
    /// The bias of attention by distance, for all blocks.
    pub buckets: Option<Buckets<B>>,
    pub blocks: Vec<Block<B>>,
    /// Before the first block, or after the last one.
    pub norm: Norm<B>,
    pre_norm: bool,
    /// Whether the last state has the final norm in it.
    norms_state: bool,
}

impl<B: Backend> Speech<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(taker: &Taker, config: &SpeechConfig, device: &B::Device) -> Result<Self, EncoderError> {
        let &SpeechConfig {
            names, dim, epsilon, ..
        } = config;
        let buckets = config.buckets.as_ref();
        let buckets = buckets.map(|buckets| Buckets::take(taker, names, buckets, config.heads, device));
        let block = |index| Block::take(taker, config, index, device);
        Ok(Self {
            front: WaveFront::take(taker, names, &config.front, (dim, epsilon), device)?,
            positions: Positions::take(taker, names, &config.positions, dim, device)?,
            buckets: buckets.transpose()?,
            blocks: (0..config.depth).map(block).collect::<Result<_, _>>()?,
            norm: Norm::take(taker, names.norm(), dim, epsilon, device)?,
            pre_norm: config.pre_norm,
            norms_state: names == Names::Transformers,
        })
    }
}

impl<B: Ops> Speech<B> {
    /// Samples [B, N, 1], made by the model's pipeline, of sounds of `lengths` samples.
    ///
    /// # Panics
    /// If a sound is too short for a frame.
    pub fn states(&self, samples: Tensor<B, 3>, lengths: &[usize]) -> States<B> {
        let (x, frames) = self.front.forward(samples, lengths);
        let x = x.clone() + self.positions.forward(x, &frames);
        let mut x = if self.pre_norm { x } else { self.norm.forward(x) };
        let [_, times, _] = x.dims();
        let bias = self.buckets.as_ref().map(|buckets| buckets.bias(times));
        let mut states = vec![x.clone()];
        for block in &self.blocks {
            x = block.forward(x, &frames, bias.as_ref());
            states.push(x.clone());
        }
        if self.pre_norm {
            x = self.norm.forward(x);
            if let (true, Some(last)) = (self.norms_state, states.last_mut()) {
                *last = x.clone();
            }
        }
        States {
            states,
            last: x,
            frames,
        }
    }
}
