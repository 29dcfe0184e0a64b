//! Positions by a grouped convolution over time (wav2vec 2.0, arXiv 2006.11477, section 2), as BEATs, wav2vec 2.0,
//! HuBERT, WavLM and data2vec use it.

use crate::layers::gelu;
use crate::names::{EncoderError, Taker};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::backend::Backend;
use burn::tensor::module::conv1d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};

/// Names of length and direction of a weight that is stored normed, in older and in newer files.
const NORMED: [[&str; 2]; 2] = [
    ["weight_g", "weight_v"],
    ["parametrizations.weight.original0", "parametrizations.weight.original1"],
];

/// A convolution over time with zeros around, as many frames out as in.
#[derive(Module, Debug)]
pub struct PositionalConvolution<B: Backend> {
    /// [D, D / groups, K].
    pub weight: Param<Tensor<B, 3>>,
    /// [D].
    pub bias: Param<Tensor<B, 1>>,
}

/// The name of the tensor of shape [D, D / groups, K] under `name`, such as `encoder.pos_conv.0`, if there is one.
pub fn kernel_name(taker: &Taker, name: &str) -> Option<String> {
    let parts = NORMED.map(|[_, direction]| direction).into_iter().chain(["weight"]);
    parts.map(|part| format!("{name}.{part}")).find(|name| taker.has(name))
}

impl<B: Backend> PositionalConvolution<B> {
    /// Takes the tensors under `name`: `bias`, and `weight` or its length and direction.
    ///
    /// `shape` is [D, D / groups, K].
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(taker: &Taker, name: &str, shape: [usize; 3], device: &B::Device) -> Result<Self, EncoderError> {
        let full = |part: &str| format!("{name}.{part}");
        let is_there = |pair: &&[&str; 2]| pair.iter().any(|part| taker.has(&full(part)));
        let weight = match NORMED.iter().find(is_there) {
            Some([length, direction]) => {
                let lengths = taker.values(&full(length), &[1, 1, shape[2]])?;
                let weight = normed(&lengths, taker.values(&full(direction), &shape)?);
                // a direction of zeros has no norm
                let is_finite = !taker.reads() || weight.iter().all(|value| value.is_finite());
                is_finite
                    .then_some(weight)
                    .ok_or_else(|| EncoderError::NotFinite(full(direction)))?
            }
            None => taker.values(&full("weight"), &shape)?,
        };
        Ok(Self {
            weight: Param::from_tensor(Tensor::from_data(TensorData::new(weight, shape), device)),
            bias: Param::from_tensor(taker.tensor(&full("bias"), [shape[0]], device)?),
        })
    }

    /// The convolution alone: [B, T, D] to [B, T, D].
    pub fn convolve(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [_, frames, dim] = x.dims();
        let [_, inner, kernel] = self.weight.dims();
        let options = ConvOptions::new([1], [kernel / 2], [1], dim / inner);
        // burn-tch's swap_dims shares memory that it does not count, which a later sum with x would overwrite: of this
        // copy nobody else knows
        let x = x.mul_scalar(1.0).swap_dims(1, 2); // [B, D, T]
        let y = conv1d(x, self.weight.val(), Some(self.bias.val()), options);
        // an even kernel gives a frame more than came in
        y.narrow(2, 0, frames).swap_dims(1, 2)
    }
}

impl<B: Ops> PositionalConvolution<B> {
    /// [B, T, D] to what is added to it, [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        gelu(self.convolve(x))
    }
}

/// g v / |v|, [D, D / groups, K], with one length g [K] and one norm for each place of the kernel.
fn normed(lengths: &[f32], mut direction: Vec<f32>) -> Vec<f32> {
    let places = lengths.len();
    let mut squares = vec![0.0; places];
    for row in direction.chunks_exact(places) {
        for (square, v) in squares.iter_mut().zip(row) {
            *square += f64::from(*v).powi(2);
        }
    }
    let factor = |(length, square): (&f32, &f64)| f64::from(*length) / square.sqrt();
    let factors: Vec<f64> = lengths.iter().zip(&squares).map(factor).collect();
    for row in direction.chunks_exact_mut(places) {
        for (v, factor) in row.iter_mut().zip(&factors) {
            *v = (f64::from(*v) * factor) as f32;
        }
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;

    #[test]
    fn each_place_of_a_kernel_gets_its_length() {
        // two outputs, one input, three places
        let weight = normed(&[1.0, 2.0, 10.0], vec![3.0, 0.0, 1.0, 4.0, 5.0, 0.0]);
        assert_eq!(weight, [0.6, 0.0, 10.0, 0.8, 2.0, 0.0]);
    }

    #[test]
    fn an_even_kernel_looks_further_back_than_ahead() {
        let device = Default::default();
        let tensor = |values: &[f32]| Tensor::<Flex, 1>::from_floats(values, &device);
        let layer = PositionalConvolution {
            weight: Param::from_tensor(tensor(&[1.0, 10.0, 100.0, 1000.0]).reshape([1, 1, 4])),
            bias: Param::from_tensor(tensor(&[0.5])),
        };
        let x = tensor(&[0.0, 0.0, 1.0, 0.0, 0.0]).reshape([1, 5, 1]);
        let y = layer
            .convolve(x)
            .into_data()
            .to_vec::<f32>()
            .expect("the layer computes 32-bit numbers");
        assert_eq!(y, [0.5, 1000.5, 100.5, 10.5, 1.5]);
    }
}
