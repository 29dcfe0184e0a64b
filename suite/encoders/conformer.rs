//! Conformers (arXiv 2005.08100) of other people's making: wav2vec 2.0's, w2v-BERT 2.0 (2312.05187),
//! and BEST-RQ (2202.01855) as SpeechBrain trains it.

pub mod attention;
pub mod block;
pub mod config;
pub mod convolution;
pub mod distances;
pub mod front;
pub mod recognise;
pub mod take;

use crate::names::{EncoderError, Taker};
use crate::speech::front::{Projection, WaveFront};
use crate::speech::layers::Norm;
use crate::speech::names::Names;
use crate::speech::sequences::States;
use block::Block;
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use config::{ConformerConfig, Places};
use distances::{Distances, speeds};
use front::{Front, MelFront};
pub use recognise::recognise;
use take::BlockTaker;

/// Epsilon of the last norm of SpeechBrain's encoder; the others have another.
const LAST_EPSILON: f64 = 1e-6;

/// A Conformer over waves or frames.
#[derive(Module, Debug)]
pub struct Conformer<B: Backend> {
    pub front: Front<B>,
    pub blocks: Vec<Block<B>>,
    /// After the last block; w2v-BERT has none.
    pub norm: Option<Norm<B>>,
    #[module(skip)]
    places: Places,
    heads: usize,
    /// Whether the last state has the final norm in it.
    norms_state: bool,
}

impl<B: Backend> Conformer<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(taker: &Taker, config: &ConformerConfig, device: &B::Device) -> Result<Self, EncoderError> {
        let &ConformerConfig { dim, epsilon, .. } = config;
        let block = |place: String| BlockTaker::<B> {
            taker,
            config,
            place,
            device,
        };
        let transformers = |index| block(format!("encoder.layers.{index}.")).transformers();
        let speech_brain = |index| block(format!("1.transformer.encoder.layers.{index}.")).speech_brain();
        let (front, blocks, norm) = match &config.front {
            config::Front::Wave(front) => {
                let names = Names::Transformers;
                let front = WaveFront::take(taker, names, front, (dim, epsilon), device)?;
                let norm = Norm::take(taker, names.norm(), dim, epsilon, device)?;
                take_speeds(taker, "encoder.embed_positions.inv_freq", config)?;
                let blocks = (0..config.depth).map(transformers).collect::<Result<_, _>>()?;
                (Front::Wave(front), blocks, Some(norm))
            }
            &config::Front::Frames(inputs) => {
                let names = Names::Transformers.projection();
                let projection = Projection::take(taker, names, [inputs, dim], epsilon, device)?;
                let blocks = (0..config.depth).map(transformers).collect::<Result<_, _>>()?;
                (Front::Frames(projection), blocks, None)
            }
            &config::Front::Mels { mels, channels } => {
                let front = MelFront::take(taker, [mels, dim], channels, device)?;
                let norm = Norm::take(taker, "1.transformer.encoder.norm.norm", dim, LAST_EPSILON, device)?;
                take_speeds(taker, "1.transformer.positional_encoding.inv_freq", config)?;
                let blocks = (0..config.depth).map(speech_brain).collect::<Result<_, _>>()?;
                (Front::Mels(front), blocks, Some(norm))
            }
        };
        Ok(Self {
            front,
            blocks,
            norm,
            places: config.places,
            heads: config.heads,
            norms_state: matches!(config.front, config::Front::Wave(_)),
        })
    }
}

/// Holds the speeds of the sines, where a file has them, to those that are computed here.
fn take_speeds(taker: &Taker, name: &str, config: &ConformerConfig) -> Result<(), EncoderError> {
    let (width, base) = match config.places {
        Places::Sines { base, .. } => (config.dim, base),
        Places::Rotary { base } => (config.dim / config.heads, base),
        Places::Table { .. } => return Ok(()),
    };
    // transformers' relative positions are in no file
    if !taker.has(name) && !matches!(config.front, config::Front::Mels { .. }) {
        return Ok(());
    }
    let found = taker.values(name, &[width / 2])?;
    let differs = |(found, expected): (&f32, &f64)| (f64::from(*found) - expected).abs() > 1e-5 * expected;
    match found.iter().zip(&speeds(width, base)).any(differs) {
        true => Err(EncoderError::Unknown(format!("its `{name}` are not {base}^(-2i / {width})"))),
        false => Ok(()),
    }
}

impl<B: Ops> Conformer<B> {
    /// The input that the model's pipeline makes, [B, N, F] (samples have F = 1), of sounds of
    /// `lengths` rows.
    ///
    /// # Panics
    /// If a sound is too short for a frame.
    pub fn states(&self, input: Tensor<B, 3>, lengths: &[usize]) -> States<B> {
        let (mut x, frames) = self.front.forward(input, lengths);
        let [_, times, dim] = x.dims();
        let distances = Distances::new(self.places, times, [dim, self.heads], &x.device());
        let mut states = vec![x.clone()];
        for block in &self.blocks {
            x = block.forward(x, &frames, &distances);
            states.push(x.clone());
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(x);
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
