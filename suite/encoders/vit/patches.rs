//! From pictures, spectrograms and videos to patches, and to tokens.

use super::config::{InputKind, Patches, VitConfig};
use super::words::Words;
use crate::input::Input;
use crate::layers::{Linear, Norm};
use crate::names::{EncoderError, Taker};
use bridle_backends::Ops;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

/// A linear map of each patch, with a norm and a second map behind it where widths differ (BEATs).
#[derive(Module, Debug)]
pub struct PatchEmbedding<B: Backend> {
    /// [C * frames * rows * columns, D].
    pub map: Linear<B>,
    pub norm: Option<Norm<B>>,
    pub projection: Option<Linear<B>>,
}

/// Patches of an input along frames, rows and columns.
pub type GridSize = [usize; 3];

impl<B: Backend> PatchEmbedding<B> {
    /// # Errors
    /// If a tensor is missing, of another shape or not finite.
    pub fn take(config: &VitConfig, words: &Words, taker: &Taker, device: &B::Device) -> Result<Self, EncoderError> {
        let (patches, dim) = (&config.patches, config.dim);
        let width = patches.width;
        let [frames, rows, columns] = patches.kernel;
        let shape = match patches.input {
            InputKind::Video => vec![width, patches.channels, frames, rows, columns],
            _ => vec![width, patches.channels, rows, columns],
        };
        let weight = taker.values(&format!("{}.weight", words.patch), &shape)?;
        let bias = match patches.bias {
            true => taker.values(&format!("{}.bias", words.patch), &[width])?,
            false => Vec::new(),
        };
        let inputs = weight.len() / width;
        let norm = || Norm::take(taker, words.patch_norm, width, config.epsilon, device);
        let projection = || Linear::take(taker, words.patch_projection, [width, dim], true, device);
        Ok(Self {
            map: Linear::from_values(&weight, bias, [inputs, width], device),
            norm: patches.norm.then(norm).transpose()?,
            projection: (width != dim).then(projection).transpose()?,
        })
    }
}

impl<B: Ops> PatchEmbedding<B> {
    /// Tokens [B, T, D], the last axis of the grid fastest, and the grid.
    pub fn forward(&self, input: Input<B>, patches: &Patches) -> Result<(Tensor<B, 3>, GridSize), EncoderError> {
        let (channels, kernel) = (patches.channels, patches.kernel);
        let x = videos(input, patches)?;
        let [batch, _, sizes @ ..] = x.dims();
        let Some(grid) = grid(sizes, kernel, patches.stride) else {
            let reason = format!("it is smaller than a patch of {kernel:?}");
            return Err(EncoderError::Input {
                found: x.dims().to_vec(),
                reason,
            });
        };
        let [frames, rows, columns] = grid;
        // the frames of a patch as more channels: [B * frames, C * kernel, H, W]
        let x = x.narrow(2, 0, frames * kernel[0]); // frames do not overlap
        let x = x.reshape([batch, channels, frames, kernel[0], sizes[1] * sizes[2]]);
        let depth = channels * kernel[0];
        let x = x.swap_dims(1, 2).reshape([batch * frames, depth, sizes[1], sizes[2]]);
        let mut tokens = if patches.stride == patches.kernel {
            self.apart(x, [rows, columns], [kernel[1], kernel[2]])
        } else {
            self.overlapping(x, [kernel[1], kernel[2]], [patches.stride[1], patches.stride[2]])
        };
        if let Some(norm) = &self.norm {
            tokens = norm.rows(tokens);
        }
        if let Some(projection) = &self.projection {
            tokens = projection.rows(tokens);
        }
        let [_, dim] = tokens.dims();
        Ok((tokens.reshape([batch, frames * rows * columns, dim]), grid))
    }

    /// Patches that do not overlap, as one product of matrices: [N, C, H, W] to [N * grid, D].
    fn apart(&self, x: Tensor<B, 4>, grid: [usize; 2], kernel: [usize; 2]) -> Tensor<B, 2> {
        let [count, depth, ..] = x.dims();
        let [[rows, columns], [high, wide]] = [grid, kernel];
        let x = x.narrow(2, 0, rows * high).narrow(3, 0, columns * wide);
        let x = x.reshape([count, depth, rows, high, columns, wide]);
        let x = x.permute([0, 2, 4, 1, 3, 5]); // [N, rows, columns, C, high, wide]
        let x = x.reshape([count * rows * columns, depth * high * wide]);
        self.map.rows(x)
    }

    /// Patches that overlap, as a convolution: [N, C, H, W] to [N * grid, D].
    fn overlapping(&self, x: Tensor<B, 4>, [high, wide]: [usize; 2], stride: [usize; 2]) -> Tensor<B, 2> {
        let [_, depth, ..] = x.dims();
        let [_, width] = self.map.weight.dims();
        let weight = self.map.weight.val().transpose().reshape([width, depth, high, wide]);
        let bias = self.map.bias.as_ref().map(Param::val);
        let y = conv2d(x, weight, bias, ConvOptions::new(stride, [0, 0], [1, 1], 1));
        let [count, _, rows, columns] = y.dims();
        y.permute([0, 2, 3, 1]).reshape([count * rows * columns, width])
    }
}

/// Any input as videos [B, C, frames, rows, columns].
fn videos<B: Backend>(input: Input<B>, patches: &Patches) -> Result<Tensor<B, 5>, EncoderError> {
    let refused = match (&input, patches.input) {
        (Input::Spectrograms(x, lengths), _) if lengths.iter().any(|length| *length != x.dims()[1]) => {
            Some("this encoder takes spectrograms of one length")
        }
        (Input::Pictures(_), InputKind::Picture) | (Input::Videos(_), InputKind::Video) => None,
        (Input::Spectrograms(..), InputKind::Spectrogram | InputKind::SpectrogramByFrequency) => None,
        (_, InputKind::Picture) => Some("this encoder takes pictures [B, C, H, W]"),
        (_, InputKind::Video) => Some("this encoder takes videos [B, C, frames, H, W]"),
        (_, InputKind::Spectrogram | InputKind::SpectrogramByFrequency) => {
            Some("this encoder takes spectrograms [B, frames, mels]")
        }
    };
    if let Some(reason) = refused {
        return Err(input.refuse(reason));
    }
    let found = input.shape();
    let x = match input {
        Input::Pictures(x) => x.unsqueeze_dim(2),
        Input::Videos(x) => x,
        Input::Spectrograms(x, _) if patches.input == InputKind::SpectrogramByFrequency => {
            x.swap_dims(1, 2).unsqueeze_dim::<4>(1).unsqueeze_dim(1)
        }
        Input::Spectrograms(x, _) => x.unsqueeze_dim::<4>(1).unsqueeze_dim(1),
        Input::Sounds(..) => unreachable!("refused above"),
    };
    if x.dims()[1] != patches.channels {
        let reason = format!("this encoder takes {} channels", patches.channels);
        return Err(EncoderError::Input { found, reason });
    }
    Ok(x)
}

/// Whole patches along each axis; none if there is not one.
pub(super) fn grid(sizes: [usize; 3], kernel: [usize; 3], stride: [usize; 3]) -> Option<GridSize> {
    let mut grid = [0; 3];
    for axis in 0..3 {
        grid[axis] = sizes[axis].checked_sub(kernel[axis])? / stride[axis] + 1;
    }
    Some(grid)
}
