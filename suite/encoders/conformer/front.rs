//! What is in front of a Conformer's blocks: convolutions over the sound, a map of frames, or
//! SpeechBrain's convolutions over a filterbank.

use crate::layers::{Linear, each_row};
use crate::names::{EncoderError, Taker};
use crate::speech::front::{Projection, WaveFront};
use crate::speech::sequences::Sequences;
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use burn::tensor::backend::Backend;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "burn has no module in a box, and an encoder has one front"
)]
pub enum Front<B: Backend> {
    /// Of samples, [B, N, 1].
    Wave(WaveFront<B>),
    /// Of frames, [B, T, F].
    Frames(Projection<B>),
    /// Of a filterbank, [B, T, mels].
    Mels(MelFront<B>),
}

/// Two convolutions over time and mel, each of which halves both, and a map to the width D.
#[derive(Module, Debug)]
pub struct MelFront<B: Backend> {
    pub layers: Vec<MelLayer<B>>,
    /// [mels / 4 * channels, D].
    pub map: Linear<B>,
}

/// A convolution of stride 2 with one reflected pixel around, a norm over mel and channels, leaky
/// ReLU.
#[derive(Module, Debug)]
pub struct MelLayer<B: Backend> {
    /// [O, I, 3, 3], mel before time.
    pub weight: Param<Tensor<B, 4>>,
    /// [O].
    pub bias: Param<Tensor<B, 1>>,
    /// Scale of [mel, O] together.
    pub scale: Param<Tensor<B, 1>>,
    /// Shift of [mel, O] together.
    pub shift: Param<Tensor<B, 1>>,
}

/// Epsilon of the norms within the convolutions.
const EPSILON: f64 = 1e-5;
/// What leaky ReLU leaves of a negative number.
const LEAK: f64 = 0.01;
/// Frames of a filterbank that become one.
pub const STRIDE: usize = 4;

impl<B: Ops> Front<B> {
    /// Input [B, N, F] with sounds of `lengths` rows to frames [B, T, D], with 0 in the padding.
    ///
    /// # Panics
    /// If a sound is too short for a frame.
    pub fn forward(&self, x: Tensor<B, 3>, lengths: &[usize]) -> (Tensor<B, 3>, Sequences<B>) {
        let [_, times, _] = x.dims();
        let rows = |x: &Tensor<B, 3>| Sequences::new(lengths.to_vec(), times, &x.device());
        match self {
            Self::Wave(front) => front.forward(x, lengths),
            Self::Frames(projection) => {
                let frames = rows(&x);
                (frames.cleared(projection.forward(x)), frames)
            }
            Self::Mels(front) => {
                let x = rows(&x).cleared(x);
                let x = front.map.forward(front.convolve(x));
                let frames = lengths.iter().map(|length| length.div_ceil(STRIDE)).collect();
                let frames = Sequences::new(frames, times.div_ceil(STRIDE), &x.device());
                (frames.cleared(x), frames)
            }
        }
    }
}

impl<B: Backend> MelFront<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        [mels, dim]: [usize; 2],
        channels: [usize; 2],
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let inputs = [1, channels[0]];
        let layer = |index: usize| {
            let name = |part: &str| format!("0.convblock_{index}.convs.{part}");
            let (outputs, height) = (channels[index], mels >> (index + 1));
            let shape = [outputs, inputs[index], 3, 3];
            let weight = taker.tensor(&name("conv_0.conv.weight"), shape, device)?;
            let bias = taker.tensor(&name("conv_0.conv.bias"), [outputs], device)?;
            let norm = |part: &str| {
                let values: Tensor<B, 2> = taker.tensor(&name(part), [height, outputs], device)?;
                Ok::<_, EncoderError>(Param::from_tensor(values.flatten(0, 1)))
            };
            Ok::<_, EncoderError>(MelLayer {
                weight: Param::from_tensor(weight),
                bias: Param::from_tensor(bias),
                scale: norm("norm_0.norm.weight")?,
                shift: norm("norm_0.norm.bias")?,
            })
        };
        let map = "1.transformer.custom_src_module.layers.0.w";
        Ok(Self {
            layers: (0..2).map(layer).collect::<Result<_, _>>()?,
            map: Linear::take(taker, map, [mels / 4 * channels[1], dim], true, device)?,
        })
    }
}

impl<B: Ops> MelFront<B> {
    /// [B, T, mels] to [B, T / 4, mels / 4 * channels], T filled up to a multiple of 4.
    pub fn convolve(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        let [batch, times, mels] = x.dims();
        let x = match times.next_multiple_of(STRIDE) - times {
            0 => x,
            lack => {
                let zeros = Tensor::zeros([batch, lack, mels], &x.device());
                Tensor::cat(vec![x, zeros], 1)
            }
        };
        // [B, 1, mels, T]
        let image = x.swap_dims(1, 2).unsqueeze_dim(1);
        let image = self.layers.iter().fold(image, |image, layer| layer.forward(image));
        let [_, channels, height, width] = image.dims();
        image.permute([0, 3, 2, 1]).reshape([batch, width, height * channels])
    }
}

impl<B: Ops> MelLayer<B> {
    /// [B, I, mel, T] to [B, O, mel / 2, T / 2].
    fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        let options = ConvOptions::new([2, 2], [0, 0], [1, 1], 1);
        let image = reflected(reflected(image, 2), 3);
        let image = conv2d(image, self.weight.val(), Some(self.bias.val()), options);
        let [batch, channels, height, width] = image.dims();
        let rows = image.permute([0, 3, 2, 1]).reshape([batch, width, height * channels]);
        let normed = each_row(rows, |rows| {
            B::norm_rows(rows, self.scale.val(), self.shift.val(), EPSILON)
        });
        let image = leaky_relu(normed, LEAK);
        image.reshape([batch, width, height, channels]).permute([0, 3, 2, 1])
    }
}

/// With the second and the last but one place of an axis put around it.
fn reflected<B: Backend>(image: Tensor<B, 4>, axis: usize) -> Tensor<B, 4> {
    let length = image.dims()[axis];
    let place = |at: usize| image.clone().narrow(axis, at, 1);
    Tensor::cat(vec![place(1), image.clone(), place(length - 2)], axis)
}
