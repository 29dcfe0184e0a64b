//! The convolutions over the sound in front of wav2vec 2.0 and its kin (arXiv 2006.11477,
//! section 2), and the map from their channels to the encoder's width.

use super::config::{Convolution, FrontConfig, FrontNorm};
use super::names::Names;
use super::sequences::Sequences;
use crate::layers::{Linear, Norm, gelu};
use crate::names::{EncoderError, Taker};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Epsilon of the norms within the front end, which no configuration sets.
const EPSILON: f64 = 1e-5;

/// Samples in, frames of C channels out.
#[derive(Module, Debug)]
pub struct FrontEnd<B: Backend> {
    pub layers: Vec<FrontLayer<B>>,
    /// After the first convolution, over time.
    pub group_norm: Option<GroupNorm<B>>,
}

/// A convolution without padding, a norm over channels or none, GELU.
#[derive(Module, Debug)]
pub struct FrontLayer<B: Backend> {
    /// From a window of k frames of I channels, frame after frame: [k I, O].
    pub convolution: Linear<B>,
    pub norm: Option<Norm<B>>,
    kernel: usize,
    stride: usize,
}

/// A norm of each channel over the time of a sound, with scale and shift.
#[derive(Module, Debug)]
pub struct GroupNorm<B: Backend> {
    /// Scale [C].
    pub weight: Param<Tensor<B, 1>>,
    /// Shift [C].
    pub bias: Param<Tensor<B, 1>>,
}

/// The convolutions and the map to the encoder's width.
#[derive(Module, Debug)]
pub struct WaveFront<B: Backend> {
    pub convolutions: FrontEnd<B>,
    pub projection: Projection<B>,
}

/// Norm over channels, linear map to the encoder's width.
#[derive(Module, Debug)]
pub struct Projection<B: Backend> {
    pub norm: Norm<B>,
    /// [C, D].
    pub map: Linear<B>,
}

impl<B: Backend> WaveFront<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        names: Names,
        config: &FrontConfig,
        (dim, epsilon): (usize, f64),
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let (name, sizes) = (names.projection(), [config.channels(), dim]);
        Ok(Self {
            convolutions: FrontEnd::take(taker, names, config, device)?,
            projection: Projection::take(taker, name, sizes, epsilon, device)?,
        })
    }
}

impl<B: Ops> WaveFront<B> {
    /// Samples [B, N, 1] of sounds of `lengths` samples to frames [B, T, D], with 0 in the padding.
    ///
    /// # Panics
    /// If a sound is too short for a frame.
    pub fn forward(&self, samples: Tensor<B, 3>, lengths: &[usize]) -> (Tensor<B, 3>, Sequences<B>) {
        let (x, frames) = self.convolutions.forward(samples, lengths);
        (frames.cleared(self.projection.forward(x)), frames)
    }
}

impl<B: Backend> FrontEnd<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(taker: &Taker, names: Names, config: &FrontConfig, device: &B::Device) -> Result<Self, EncoderError> {
        let inputs = std::iter::once(1).chain(config.convolutions.iter().map(|layer| layer.channels));
        let layers = config.convolutions.iter().zip(inputs).enumerate();
        let layer = |(index, (layer, inputs))| FrontLayer::take(taker, names, config, (index, layer, inputs), device);
        let group_norm = match (config.norm, config.convolutions.first()) {
            (FrontNorm::Group, Some(first)) => {
                let name = names.group_norm();
                let part = |part: &str| taker.tensor(&format!("{name}.{part}"), [first.channels], device);
                Some(GroupNorm {
                    weight: Param::from_tensor(part("weight")?),
                    bias: Param::from_tensor(part("bias")?),
                })
            }
            _ => None,
        };
        Ok(Self {
            layers: layers.map(layer).collect::<Result<_, _>>()?,
            group_norm,
        })
    }
}

impl<B: Ops> FrontEnd<B> {
    /// Samples [B, N, 1] of sounds of `lengths` samples to frames [B, T, C].
    ///
    /// # Panics
    /// If a sound is too short for a frame.
    pub fn forward(&self, samples: Tensor<B, 3>, lengths: &[usize]) -> (Tensor<B, 3>, Sequences<B>) {
        let (mut x, mut lengths) = (samples, lengths.to_vec());
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.convolve(x);
            lengths.iter_mut().for_each(|length| *length = layer.frames(*length));
            if let (0, Some(norm)) = (index, &self.group_norm) {
                let [_, times, _] = x.dims();
                let frames = Sequences::new(lengths.clone(), times, &x.device());
                x = norm.forward(x, &frames);
            }
            if let Some(norm) = &layer.norm {
                x = norm.forward(x);
            }
            x = gelu(x);
        }
        let [_, times, _] = x.dims();
        let frames = Sequences::new(lengths, times, &x.device());
        (x, frames)
    }
}

impl<B: Backend> FrontLayer<B> {
    fn take(
        taker: &Taker,
        names: Names,
        config: &FrontConfig,
        (index, layer, inputs): (usize, &Convolution, usize),
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        let &Convolution {
            channels,
            kernel,
            stride,
        } = layer;
        let name = names.convolution(index);
        let weight = taker.values(&format!("{name}.weight"), &[channels, inputs, kernel])?;
        let bias = match config.bias {
            true => taker.values(&format!("{name}.bias"), &[channels])?,
            false => Vec::new(),
        };
        let norm = match config.norm {
            FrontNorm::Layer => Some(Norm::take(taker, &names.layer_norm(index), channels, EPSILON, device)?),
            FrontNorm::Group => None,
        };
        let weight = channels_last(&weight, [channels, inputs, kernel]);
        Ok(Self {
            convolution: Linear::from_values(&weight, bias, [kernel * inputs, channels], device),
            norm,
            kernel,
            stride,
        })
    }

    /// Frames that come out of `length` that go in.
    fn frames(&self, length: usize) -> usize {
        windows_in(length, self.kernel, self.stride)
    }
}

impl<B: Ops> FrontLayer<B> {
    /// [B, N, I] to [B, T, O].
    pub fn convolve(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        self.convolution.forward(windows(x, self.kernel, self.stride))
    }
}

/// [O, I, k] to [O, k, I].
fn channels_last(weight: &[f32], [outputs, inputs, kernel]: [usize; 3]) -> Vec<f32> {
    let place = |index: usize| {
        let (output, rest) = (index / (kernel * inputs), index % (kernel * inputs));
        (output * inputs + rest % inputs) * kernel + rest / inputs
    };
    (0..outputs * inputs * kernel)
        .map(|index| weight[place(index)])
        .collect()
}

/// How many windows of `kernel` frames, `stride` apart, lie in `length` frames.
pub fn windows_in(length: usize, kernel: usize, stride: usize) -> usize {
    (length + stride).saturating_sub(kernel) / stride
}

/// Windows of `kernel` frames, `stride` apart, each as one row: [B, N, I] to [B, T, k I].
///
/// A window is one piece of memory where frames lie one after the other, so it is put together from pieces of `stride`
/// frames. A product of matrices then is the convolution, on every backend the one that it is fastest at, and its rows
/// are what norms over channels read.
fn windows<B: Backend>(x: Tensor<B, 3>, kernel: usize, stride: usize) -> Tensor<B, 3> {
    let [batch, length, inputs] = x.dims();
    let times = windows_in(length, kernel, stride);
    assert!(times > 0, "a sound of {length} frames has no window of {kernel}");
    let piece = |start: usize| {
        let wide = stride.min(kernel - start);
        // the last window may end before its stride does
        let frames = (times - 1) * stride + wide;
        let whole = x.clone().narrow(1, start, frames);
        let whole = match stride - wide {
            0 => whole,
            lack => {
                let zeros = Tensor::zeros([batch, lack, inputs], &whole.device());
                Tensor::cat(vec![whole, zeros], 1)
            }
        };
        whole
            .reshape([batch, times, stride * inputs])
            .narrow(2, 0, wide * inputs)
    };
    let pieces: Vec<_> = (0..kernel).step_by(stride).map(piece).collect();
    Tensor::cat(pieces, 2)
}

impl<B: Backend> GroupNorm<B> {
    /// [B, T, C] to [B, T, C].
    fn forward(&self, x: Tensor<B, 3>, frames: &Sequences<B>) -> Tensor<B, 3> {
        let centred = x.clone() - frames.mean(x);
        let variance = frames.mean(centred.clone().square());
        let factor = variance.add_scalar(EPSILON).sqrt().recip() * self.weight.val().unsqueeze();
        centred * factor + self.bias.val().unsqueeze()
    }
}

impl<B: Backend> Projection<B> {
    /// Takes the norm and the map under these two names.
    ///
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(
        taker: &Taker,
        [norm, map]: [&str; 2],
        [channels, dim]: [usize; 2],
        epsilon: f64,
        device: &B::Device,
    ) -> Result<Self, EncoderError> {
        Ok(Self {
            norm: Norm::take(taker, norm, channels, epsilon, device)?,
            map: Linear::take(taker, map, [channels, dim], true, device)?,
        })
    }
}

impl<B: Ops> Projection<B> {
    /// [B, T, C] to [B, T, D].
    pub fn forward(&self, x: Tensor<B, 3>) -> Tensor<B, 3> {
        self.map.forward(self.norm.forward(x))
    }
}
