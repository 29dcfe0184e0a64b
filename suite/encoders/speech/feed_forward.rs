//! The feed-forward of a block: linear map, activation, linear map.

use crate::layers::{Linear, each_row, gelu};
use crate::names::{EncoderError, Taker};
use bridle_backends::Ops;
use bridle_backends::kernel::MlpTensors;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

/// What stands between two linear maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// x times the normal distribution function, exactly.
    Gelu,
    /// x times its sigmoid, also called swish.
    Silu,
}

impl Activation {
    /// Of each number.
    pub fn of<B: Ops>(self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match self {
            Self::Gelu => gelu(x),
            Self::Silu => silu(x),
        }
    }
}

#[derive(Module, Debug)]
pub struct FeedForward<B: Backend> {
    /// [D, M].
    pub up: Linear<B>,
    /// [M, D].
    pub down: Linear<B>,
    #[module(skip)]
    activation: Activation,
}

impl<B: Backend> FeedForward<B> {
    /// Takes the maps under these two names, both with a bias.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        [up, down]: [&str; 2],
        [dim, hidden]: [usize; 2],
        activation: Activation,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        Ok(Self {
            up: Linear::take(taker, up, [dim, hidden], true, device)?,
            down: Linear::take(taker, down, [hidden, dim], true, device)?,
            activation,
        })
    }
}

impl<B: Ops> FeedForward<B> {
    /// [B, T, D] to [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        match (self.activation, &self.up.bias, &self.down.bias) {
            (Activation::Gelu, Some(bias1), Some(bias2)) => {
                let tensors = MlpTensors {
                    weight1: self.up.weight.val(),
                    bias1: bias1.val(),
                    weight2: self.down.weight.val(),
                    bias2: bias2.val(),
                };
                each_row(x, |rows| B::mlp_rows(rows, tensors))
            }
            (activation, ..) => self.down.forward(activation.of(self.up.forward(x))),
        }
    }
}
