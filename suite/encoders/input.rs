//! What goes into an encoder, and what comes out.

use crate::names::EncoderError;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// A batch of inputs, as the encoder's pipeline makes them.
#[derive(Clone, Debug)]
pub enum Input<B: Backend> {
    /// Sounds [B, samples], shorter ones with anything behind them, and the samples of each.
    Sounds(Tensor<B, 2>, Vec<usize>),
    /// Spectrograms [B, frames, mels], shorter ones with anything behind them, and the frames of each.
    Spectrograms(Tensor<B, 3>, Vec<usize>),
    /// [B, C, H, W].
    Pictures(Tensor<B, 4>),
    /// [B, C, frames, H, W].
    Videos(Tensor<B, 5>),
}

impl<B: Backend> Input<B> {
    /// From numbers, row-major, whose number of axes says what they are; sounds and spectrograms of full length.
    ///
    /// # Errors
    /// If no input has as many axes, or the numbers are not as many as the shape says.
    pub fn from_values(values: Vec<f32>, shape: &[usize], device: &B::Device) -> Result<Self, EncoderError> {
        let refuse = |reason: &str| EncoderError::Input {
            found: shape.to_vec(),
            reason: reason.to_owned(),
        };
        if values.len() != shape.iter().product::<usize>() {
            return Err(refuse("there are not as many numbers"));
        }
        let data = TensorData::new(values, shape);
        match *shape {
            [batch, samples] => Ok(Self::Sounds(Tensor::from_data(data, device), vec![samples; batch])),
            [batch, frames, _] => Ok(Self::Spectrograms(Tensor::from_data(data, device), vec![frames; batch])),
            [_, _, _, _] => Ok(Self::Pictures(Tensor::from_data(data, device))),
            [_, _, _, _, _] => Ok(Self::Videos(Tensor::from_data(data, device))),
            _ => Err(refuse("inputs have two to five axes")),
        }
    }

    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Sounds(x, _) => x.dims().to_vec(),
            Self::Spectrograms(x, _) => x.dims().to_vec(),
            Self::Pictures(x) => x.dims().to_vec(),
            Self::Videos(x) => x.dims().to_vec(),
        }
    }

    /// The error that this input is not what an encoder takes.
    pub fn refuse(&self, reason: impl Into<String>) -> EncoderError {
        EncoderError::Input {
            found: self.shape(),
            reason: reason.into(),
        }
    }
}

/// What comes out of an encoder of L blocks.
#[derive(Clone, Debug)]
pub struct States<B: Backend> {
    /// What enters the first block, and what leaves each block: L + 1 times [B, T, D].
    pub hidden: Vec<Tensor<B, 3>>,
    /// The encoder's output, after its last norm if it has one, [B, T, D].
    pub last: Tensor<B, 3>,
    /// Tokens of each sample; those behind them are padding.
    pub lengths: Vec<usize>,
}
