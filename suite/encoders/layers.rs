//! Layers that all encoders are made of, with their weights by name.

use crate::names::{EncoderError, Taker};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Layer normalisation with scale and shift.
#[derive(Module, Debug)]
pub struct Norm<B: Backend> {
    /// Scale [D].
    pub weight: Param<Tensor<B, 1>>,
    /// Shift [D].
    pub bias: Param<Tensor<B, 1>>,
    pub epsilon: f64,
}

impl<B: Backend> Norm<B> {
    /// # Errors
    /// If `weight` or `bias` under `name` is missing, of another shape or not finite.
    pub fn take(taker: &Taker, name: &str, dim: usize, epsilon: f64, device: &B::Device) -> Result<Self, EncoderError> {
        Ok(Self {
            weight: Param::from_tensor(taker.tensor(&format!("{name}.weight"), [dim], device)?),
            bias: Param::from_tensor(taker.tensor(&format!("{name}.bias"), [dim], device)?),
            epsilon,
        })
    }
}

impl<B: Ops> Norm<B> {
    /// Normalises each row of [N, D].
    pub fn rows(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        B::norm_rows(rows, self.weight.val(), self.bias.val(), self.epsilon)
    }

    /// [B, T, D] to [B, T, D], over the last axis.
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        each_row(x, |rows| self.rows(rows))
    }
}

/// A linear layer.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// [K, M], from K to M numbers.
    pub weight: Param<Tensor<B, 2>>,
    /// [M].
    pub bias: Option<Param<Tensor<B, 1>>>,
}

impl<B: Backend> Linear<B> {
    /// From numbers as files have them: `weight` [M, K], and `bias` [M] unless it is empty.
    pub fn from_values(weight: &[f32], bias: Vec<f32>, [inputs, outputs]: [usize; 2], device: &B::Device) -> Self {
        let mut transposed = Vec::with_capacity(weight.len());
        for input in 0..inputs {
            transposed.extend((0..outputs).map(|output| weight[output * inputs + input]));
        }
        let weight = Tensor::from_data(TensorData::new(transposed, [inputs, outputs]), device);
        let with_bias = |bias| Param::from_tensor(Tensor::from_data(TensorData::new(bias, [outputs]), device));
        Self {
            weight: Param::from_tensor(weight),
            bias: (!bias.is_empty()).then(|| with_bias(bias)),
        }
    }

    /// `sizes` are numbers in and out.
    ///
    /// # Errors
    /// If `weight`, or `bias` where the layer has one, is missing under `name`, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        name: &str,
        sizes: [usize; 2],
        has_bias: bool,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let [inputs, outputs] = sizes;
        let weight = taker.values(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = match has_bias {
            true => taker.values(&format!("{name}.bias"), &[outputs])?,
            false => Vec::new(),
        };
        Ok(Self::from_values(&weight, bias, sizes, device))
    }
}

impl<B: Ops> Linear<B> {
    /// [N, K] to [N, M].
    pub fn rows(&self, rows: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.bias {
            Some(bias) => B::linear_rows(rows, self.weight.val(), bias.val()),
            None => rows.matmul(self.weight.val()),
        }
    }

    /// [B, T, K] to [B, T, M].
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        each_row(x, |rows| self.rows(rows))
    }
}

/// The exact GELU of each number of [B, T, D].
pub fn gelu<B: Ops>(x: Tensor<B, 3>) -> Tensor<B, 3> {
    each_row(x, B::gelu_rows)
}

/// Applies `map` to the rows of [B, T, D]: backends compute plain matrix products fastest.
pub fn each_row<B: Backend>(x: Tensor<B, 3>, map: impl FnOnce(Tensor<B, 2>) -> Tensor<B, 2>) -> Tensor<B, 3> {
    let [batch, tokens, dim] = x.dims();
    let y = map(x.reshape([batch * tokens, dim]));
    let [_, width] = y.dims();
    y.reshape([batch, tokens, width])
}
