//! Encoders over waves: wav2vec 2.0 (arXiv 2006.11477), HuBERT (2106.07447), WavLM (2110.13900) and data2vec audio
//! (2202.03555).
//!
//! Convolutions over the sound, a map to the width D, positions by convolution, transformer blocks. A sound gives the
//! same numbers alone and in a batch with longer ones.

pub mod attention;
pub mod block;
pub mod config;
pub mod feed_forward;
pub mod front;
pub mod names;
pub mod positions;
pub mod schemes;
pub mod sequences;
pub mod settings;
pub mod strides;

use crate::input::{Input, States};
use crate::layers::Norm;
use crate::names::{EncoderError, Taker};
use crate::pooling::Pooling;
use crate::vit::bias::{bucket_index, looked_up};
use block::Block;
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use config::{BucketsConfig, SpeechConfig};
use front::WaveFront;
use names::Names;
use positions::Positions;
use sequences::{Sequences, pooled};

/// An encoder over waves.
#[derive(Module, Debug)]
pub struct Speech<B: Backend> {
    pub front: WaveFront<B>,
    pub positions: Positions<B>,
    /// The bias of attention by distance, for all blocks, [buckets, heads].
    pub buckets: Option<Param<Tensor<B, 2>>>,
    pub blocks: Vec<Block<B>>,
    /// Before the first block, or after the last one.
    pub norm: Norm<B>,
    #[module(skip)]
    pub config: SpeechConfig,
}

impl<B: Backend> Speech<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(config: &SpeechConfig, taker: &Taker, device: &B::Device) -> Result<Self, EncoderError> {
        let &SpeechConfig {
            names, dim, epsilon, ..
        } = config;
        let block = |index| Block::take(taker, config, index, device);
        Ok(Self {
            front: WaveFront::take(taker, names, &config.front, (dim, epsilon), device)?,
            positions: Positions::take(taker, names, &config.positions, dim, device)?,
            buckets: config
                .buckets
                .map(|_| take_buckets(config, taker, device))
                .transpose()?,
            blocks: (0..config.depth).map(block).collect::<Result<_, _>>()?,
            norm: Norm::take(taker, names.norm(), dim, epsilon, device)?,
            config: config.clone(),
        })
    }
}

impl<B: Ops> Speech<B> {
    /// What enters the first block, what leaves each block, and the output. Of pre-norm encoders in transformers'
    /// folders the last state is the output, as transformers numbers them.
    ///
    /// # Errors
    /// If the input is no batch of sounds, or one is too short for a frame.
    pub fn states(&self, input: Input<B>) -> Result<States<B>, EncoderError> {
        Ok(self.run(input)?.0)
    }

    /// The mean of the output over the frames of each sound, [B, D].
    ///
    /// # Errors
    /// As [`Speech::states`]; or if another pooling is asked for.
    pub fn pooled(&self, input: Input<B>, pooling: Pooling) -> Result<Tensor<B, 2>, EncoderError> {
        let (states, frames) = self.run(input)?;
        pooled(states.last, &frames, pooling)
    }

    /// The bias of attention by distance, [H, T, T], where there is one.
    fn bias(&self, times: usize) -> Option<Tensor<B, 3>> {
        let (table, BucketsConfig { count, largest }) = (self.buckets.as_ref()?, self.config.buckets?);
        Some(looked_up(table.val(), bucket_index(times, count, largest), times))
    }

    fn run(&self, input: Input<B>) -> Result<(States<B>, Sequences<B>), EncoderError> {
        let (samples, lengths) = input.sounds(|samples| self.config.front.frames(samples))?;
        let (x, frames) = self.front.forward(samples, &lengths);
        let x = x.clone() + self.positions.forward(x, &frames);
        let mut x = if self.config.pre_norm { x } else { self.norm.forward(x) };
        let [_, times, _] = x.dims();
        let bias = self.bias(times);
        let mut hidden = vec![x.clone()];
        for block in &self.blocks {
            x = block.forward(x, &frames, bias.as_ref());
            hidden.push(x.clone());
        }
        if self.config.pre_norm {
            x = self.norm.forward(x);
            if let (Names::Transformers, Some(last)) = (self.config.names, hidden.last_mut()) {
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

/// The table of the first block. Files may name it in other blocks too, as one storage.
fn take_buckets<B: Backend>(
    config: &SpeechConfig,
    taker: &Taker,
    device: &B::Device,
) -> Result<Param<Tensor<B, 2>>, EncoderError> {
    let shape = [config.buckets.map_or(0, |buckets| buckets.count), config.heads];
    let name = |index| config.names.block(index).buckets;
    let table = taker.values(&name(0), &shape)?;
    for other in (1..config.depth).map(name).filter(|name| taker.has(name)) {
        if taker.values(&other, &shape)? != table {
            return Err(EncoderError::Values {
                name: taker.full(&other),
                reason: "it is not the first block's, which all blocks use".to_owned(),
            });
        }
    }
    Ok(Param::from_tensor(Tensor::from_data(
        TensorData::new(table, shape),
        device,
    )))
}
