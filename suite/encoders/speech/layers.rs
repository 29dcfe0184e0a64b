//! Layers of the sequence encoders: norms, linear maps, feed-forwards, taken by name.

use crate::names::{EncoderError, Taker};
use bridle_backends::Ops;
use bridle_backends::kernel::MlpTensors;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::{gelu, silu};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Layer normalisation over the last axis, with scale and shift.
#[derive(Module, Debug)]
pub struct Norm<B: Backend> {
    /// Scale [D].
    pub weight: Param<Tensor<B, 1>>,
    /// Shift [D].
    pub bias: Param<Tensor<B, 1>>,
    epsilon: f64,
}

impl<B: Backend> Norm<B> {
    /// Takes `name.weight` and `name.bias`, both [D].
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        name: &str,
        dim: usize,
        epsilon: f64,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        Self::take_shaped(taker, name, &[dim], epsilon, device)
    }

    /// As [`Norm::take`], where the file has the D numbers in another shape.
    ///
    /// # Errors
    /// As [`Norm::take`].
    pub fn take_shaped(
        taker: &Taker,
        name: &str,
        shape: &[usize],
        epsilon: f64,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let take = |part: &str| {
            let values = taker.values(&format!("{name}.{part}"), shape)?;
            Ok::<_, EncoderError>(Param::from_tensor(Tensor::from_floats(&values[..], device)))
        };
        Ok(Self {
            weight: take("weight")?,
            bias: take("bias")?,
            epsilon,
        })
    }
}

impl<B: Ops> Norm<B> {
    /// [B, T, D] to [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        each_row(x, |rows| {
            B::norm_rows(rows, self.weight.val(), self.bias.val(), self.epsilon)
        })
    }
}

/// Applies `map` to the rows of [B, T, D].
pub fn each_row<B: Backend>(x: Tensor<B, 3>, map: impl FnOnce(Tensor<B, 2>) -> Tensor<B, 2>) -> Tensor<B, 3> {
    let [batch, times, dim] = x.dims();
    let y = map(x.reshape([batch * times, dim]));
    let [_, width] = y.dims();
    y.reshape([batch, times, width])
}

/// Takes a linear map: `name.weight`, [out, in] as all files have it, and `name.bias`, [out].
///
/// # Errors
/// If a tensor is missing, of another shape or not finite.
pub fn take_linear<B: Backend>(
    taker: &Taker,
    name: &str,
    [inputs, outputs]: [usize; 2],
    device: &B::Device,
) -> Result<Linear<B>, EncoderError> {
    let weight = taker.values(&format!("{name}.weight"), &[outputs, inputs])?;
    let bias = taker.values(&format!("{name}.bias"), &[outputs])?;
    Ok(made_linear(&weight, Some(&bias), [inputs, outputs], device))
}

/// A linear map of these numbers, weight [out, in].
pub fn made_linear<B: Backend>(
    weight: &[f32],
    bias: Option<&[f32]>,
    [inputs, outputs]: [usize; 2],
    device: &B::Device,
) -> Linear<B> {
    let weight = TensorData::new(transposed(weight, inputs), [inputs, outputs]);
    Linear {
        weight: Param::from_tensor(Tensor::from_data(weight, device)),
        bias: bias.map(|bias| Param::from_tensor(Tensor::from_floats(bias, device))),
    }
}

/// Rows of `width` numbers, column by column.
pub fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let column = |index: usize| values.iter().skip(index).step_by(width).copied();
    (0..width).flat_map(column).collect()
}

/// [B, T, K] to [B, T, M].
pub fn linear<B: Ops>(layer: &Linear<B>, x: Tensor<B, 3>) -> Tensor<B, 3> {
    each_row(x, |rows| match &layer.bias {
        Some(bias) => B::linear_rows(rows, layer.weight.val(), bias.val()),
        None => rows.matmul(layer.weight.val()),
    })
}

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
    pub fn of<B: Backend, const D: usize>(self, x: Tensor<B, D>) -> Tensor<B, D> {
        match self {
            Self::Gelu => gelu(x),
            Self::Silu => silu(x),
        }
    }
}

/// Two linear maps and what stands between them.
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
            up: take_linear(taker, up, [dim, hidden], device)?,
            down: take_linear(taker, down, [hidden, dim], device)?,
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
            (activation, ..) => linear(&self.down, activation.of(linear(&self.up, x))),
        }
    }
}
