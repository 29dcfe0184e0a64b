//! Conformers (arXiv 2005.08100) of other people's making: wav2vec 2.0's, w2v-BERT 2.0 (2312.05187),
//! and BEST-RQ (2202.01855) as SpeechBrain trains it.

pub mod attention;
pub mod block;
pub mod config;
pub mod convolution;
pub mod distances;
pub mod front;
pub mod schemes;
pub mod take;

use crate::input::{Input, States};
use crate::layers::Norm;
use crate::names::{EncoderError, Taker};
use crate::pooling::Pooling;
use crate::speech::front::{Projection, WaveFront};
use crate::speech::names::Names;
use crate::speech::sequences::{Sequences, pooled};
use block::Block;
use bridle_backends::Ops;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use config::{BLOCKS, ConformerConfig, Places};
use distances::{Distances, speeds};
use front::{Front, MelFront};
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
    pub config: ConformerConfig,
}

impl<B: Backend> Conformer<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(config: &ConformerConfig, taker: &Taker, device: &B::Device) -> Result<Self, EncoderError> {
        let &ConformerConfig { dim, epsilon, .. } = config;
        let block = |place: String| BlockTaker::<B> {
            taker,
            config,
            place,
            device,
        };
        let transformers = |index| block(format!("encoder.layers.{index}.")).transformers();
        let speech_brain = |index| block(format!("{BLOCKS}{index}.")).speech_brain();
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
                take_decoder_table(taker, dim)?;
                let blocks = (0..config.depth).map(speech_brain).collect::<Result<_, _>>()?;
                (Front::Mels(front), blocks, Some(norm))
            }
        };
        Ok(Self {
            front,
            blocks,
            norm,
            config: config.clone(),
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
    // transformers' files of relative positions have none
    if !taker.has(name) && matches!(config.front, config::Front::Wave(_)) {
        return Ok(());
    }
    let found = taker.values(name, &[width / 2])?;
    let differs = |(found, expected): (&f32, &f64)| (f64::from(*found) - expected).abs() > 1e-5 * expected;
    match taker.reads() && found.iter().zip(&speeds(width, base)).any(differs) {
        true => Err(EncoderError::Values {
            name: taker.full(name),
            reason: format!("they are not {base}^(-2i / {width})"),
        }),
        false => Ok(()),
    }
}

/// Holds the table of places that SpeechBrain saves for a decoder to the encoder's width.
fn take_decoder_table(taker: &Taker, dim: usize) -> Result<(), EncoderError> {
    let name = "1.transformer.positional_encoding_decoder.pe";
    let rows = taker.shape(name).and_then(|shape| shape.get(1)).copied().unwrap_or(1);
    taker.values(name, &[1, rows, dim]).map(drop)
}

impl<B: Ops> Conformer<B> {
    /// What enters the first block, what leaves each block, and the output. In transformers' folders of wav2vec 2.0
    /// the last state is the output, as transformers numbers them.
    ///
    /// # Errors
    /// If the input is not of the encoder's kind, or a sound is too short for a frame.
    pub fn states(&self, input: Input<B>) -> Result<States<B>, EncoderError> {
        Ok(self.run(input)?.0)
    }

    /// The mean of the output over the frames of each sound, [B, D].
    ///
    /// # Errors
    /// As [`Conformer::states`]; or if another pooling is asked for.
    pub fn pooled(&self, input: Input<B>, pooling: Pooling) -> Result<Tensor<B, 2>, EncoderError> {
        let (states, frames) = self.run(input)?;
        pooled(states.last, &frames, pooling)
    }

    fn run(&self, input: Input<B>) -> Result<(States<B>, Sequences<B>), EncoderError> {
        let (rows, lengths) = match &self.config.front {
            config::Front::Wave(front) => input.sounds(|samples| front.frames(samples))?,
            config::Front::Frames(width) | config::Front::Mels { mels: width, .. } => input.spectrograms(*width)?,
        };
        let (mut x, frames) = self.front.forward(rows, &lengths);
        let [_, times, dim] = x.dims();
        let ConformerConfig { places, heads, .. } = self.config;
        let distances = Distances::new(places, times, [dim, heads], &x.device());
        let mut hidden = vec![x.clone()];
        for block in &self.blocks {
            x = block.forward(x, &frames, &distances);
            hidden.push(x.clone());
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(x);
            if let (Front::Wave(_), Some(last)) = (&self.front, hidden.last_mut()) {
                *last = x.clone();
            }
        }
        let lengths = frames.lengths.clone();
        let states = States {
            hidden,
            last: x,
            lengths,
        };
        Ok((states, frames))
    }
}
