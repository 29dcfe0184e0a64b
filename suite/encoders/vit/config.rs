//! Sizes and options of the vision transformer.

use super::patches::{GridSize, grid};
use crate::names::EncoderError;
use serde::{Deserialize, Serialize};

/// Everything about a vision transformer but its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VitConfig {
    pub patches: Patches,
    /// D.
    pub dim: usize,
    /// L.
    pub depth: usize,
    pub heads: usize,
    /// Width within the MLP.
    pub hidden: usize,
    pub mlp: MlpKind,
    pub norm: NormPlace,
    /// Of every norm.
    pub epsilon: f64,
    pub cls: bool,
    pub distillation: bool,
    pub registers: usize,
    pub positions: Positions,
    pub bias: ScoreBias,
    pub qkv_bias: QkvBias,
    /// Whether each branch of a block is multiplied by a vector.
    pub layer_scale: bool,
    /// A norm of the tokens that enter the first block.
    pub first_norm: bool,
    pub final_norm: bool,
    /// A norm of the mean of the patches.
    pub pooled_norm: bool,
    /// transformers' pooler.
    pub pooler: bool,
    pub head: Option<Head>,
}

/// AST's own head: a norm and a linear map.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub classes: usize,
    pub epsilon: f64,
}

impl VitConfig {
    /// Tokens in front of the patches.
    pub fn prefix(&self) -> usize {
        usize::from(self.cls) + usize::from(self.distillation) + self.registers
    }

    /// Whether it takes inputs of this shape, which has no axis of samples.
    ///
    /// # Errors
    /// If the shape is of something else, has no patch, or makes a grid as in [`VitConfig::check_grid`].
    pub fn check_input(&self, shape: &[usize]) -> Result<(), EncoderError> {
        let Patches {
            input, kernel, stride, ..
        } = self.patches;
        let sizes = match (input, shape) {
            (InputKind::Picture, &[_, rows, columns]) => Some([1, rows, columns]),
            (InputKind::Video, &[_, frames, rows, columns]) => Some([frames, rows, columns]),
            (InputKind::Spectrogram, &[frames, mels]) => Some([1, frames, mels]),
            (InputKind::SpectrogramByFrequency, &[frames, mels]) => Some([1, mels, frames]),
            _ => None,
        };
        match sizes.and_then(|sizes| grid(sizes, kernel, stride)) {
            Some(grid) => self.check_grid(grid),
            None => Err(EncoderError::Input {
                found: shape.to_vec(),
                reason: format!("it has no patch of {kernel:?}"),
            }),
        }
    }

    /// Whether it has positions and biases for a grid of patches.
    ///
    /// # Errors
    /// If it has those of another grid alone, and they are not to be resized.
    pub fn check_grid(&self, grid: GridSize) -> Result<(), EncoderError> {
        let refuse = |what: &str, own: &[usize]| {
            Err(EncoderError::Input {
                found: grid.to_vec(),
                reason: format!("a grid of patches for which it has no {what}: it has those of {own:?}"),
            })
        };
        match self.positions {
            Positions::Table {
                rows,
                columns,
                other: OtherGrid::Refused,
                ..
            } if grid != [1, rows, columns] => return refuse("positions", &[rows, columns]),
            Positions::FirstRows { rows } if grid.iter().product::<usize>() > rows => {
                return refuse("positions", &[rows]);
            }
            Positions::Sines { grid: own } if grid != own => return refuse("positions", &own),
            _ => {}
        }
        match self.bias {
            ScoreBias::Window { rows, columns, .. } if grid != [1, rows, columns] => refuse("biases", &[rows, columns]),
            _ => Ok(()),
        }
    }
}

/// How an input is cut into patches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patches {
    pub input: InputKind,
    pub channels: usize,
    /// Frames (1 but for videos), rows and columns of a patch.
    pub kernel: [usize; 3],
    /// From patch to patch, along the same axes.
    pub stride: [usize; 3],
    pub bias: bool,
    /// Width of the patches; a linear map brings them to D if it is another.
    pub width: usize,
    /// A norm of the patches (BEATs).
    pub norm: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputKind {
    Picture,
    Video,
    /// Rows are times.
    Spectrogram,
    /// Rows are frequencies (AST).
    SpectrogramByFrequency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MlpKind {
    /// Linear, GELU by erf, linear.
    Gelu,
    /// Linear, silu of one half times the other, linear.
    SwiGlu,
}

/// Where the norms of a block are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPlace {
    /// Before attention and MLP.
    Pre,
    /// After each sum, to which the tokens come times this factor.
    Post { residual: f64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QkvBias {
    None,
    /// Queries and values: a bias of keys has no effect.
    QueryValue,
    All,
}

/// Where tokens learn their places, apart from biases of scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    None,
    /// A row for each of the first `prefix` tokens in front, and for each patch of a grid.
    Table {
        prefix: usize,
        rows: usize,
        columns: usize,
        other: OtherGrid,
    },
    /// A table of more rows than an input has patches, which take the first ones.
    FirstRows {
        rows: usize,
    },
    /// Fixed sines, for patches along frames, rows and columns.
    Sines {
        grid: [usize; 3],
    },
    /// A convolution over all tokens.
    Convolution {
        kernel: usize,
        groups: usize,
    },
}

/// What happens where an input's grid is not that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherGrid {
    /// It is refused.
    Refused,
    /// The table, a square, is resized: bicubic, by the sizes of the grids.
    BySize,
    /// The same, with 0.1 added to the new size.
    ByOffset,
    /// Bicubic with antialiasing.
    Antialiased,
}

/// What is added to the scores of attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScoreBias {
    None,
    /// By the places of query and key on a grid of patches, with a cls token in front; one table for all blocks, or
    /// one for each.
    Window {
        rows: usize,
        columns: usize,
        shared: bool,
    },
    /// By their distance, in `count` buckets up to `largest`, times a gate of each query if `gated`.
    Buckets {
        count: usize,
        largest: usize,
        gated: bool,
    },
}
