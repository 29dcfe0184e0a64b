//! How deep in an encoder each of its parameters is, for rates that differ from layer to layer.
//!
//! As in the fine-tuning of MAE (arXiv 2111.06377) and BEiT (2106.08254): what is in front of the blocks is layer 0,
//! block k is layer k + 1, and what is behind them, or is shared by all of them, is the last layer, with the head.

use crate::conformer::config::Front;
use crate::conformer::front::STRIDE;
use crate::recognised::Body;
use crate::vit::config::InputKind;

/// What the names of the parameters of a front end over waves begin with.
pub const FRONT_END: &str = "front.convolutions";
/// Beginnings of names of what is in front of the blocks.
const FRONT: [&str; 6] = ["patch", "prefix", "positions", "convolution", "first_norm", "front"];

impl Body {
    /// Blocks.
    pub fn blocks(&self) -> usize {
        match self {
            Self::Vit(config) => config.depth,
            Self::Speech(config) => config.depth,
            Self::Conformer(config) => config.depth,
        }
    }

    /// The layer of a parameter, by its name in the module of this encoder: 0 for patches or front end, tokens in front,
    /// positions and a first norm; k + 1 for block k; one more than there are blocks for a last norm, and for tables of
    /// biases that all blocks share.
    pub fn layer(&self, parameter: &str) -> usize {
        let block = parameter.strip_prefix("blocks.");
        if let Some(block) = block.and_then(|rest| rest.split('.').next()?.parse::<usize>().ok()) {
            return block + 1;
        }
        let part = parameter.split('.').next().unwrap_or_default();
        // of post-norm speech encoders the one norm is before the first block
        let is_first_norm = part == "norm" && matches!(self, Self::Speech(config) if !config.pre_norm);
        match FRONT.contains(&part) || is_first_norm {
            true => 0,
            false => self.blocks() + 1,
        }
    }

    /// Whether it has a front end of convolutions over waves.
    pub fn hears_waves(&self) -> bool {
        match self {
            Self::Vit(_) => false,
            Self::Speech(_) => true,
            Self::Conformer(config) => matches!(config.front, Front::Wave(_)),
        }
    }

    /// Whether its tokens are frames in the order of time, and not patches.
    pub fn has_frames(&self) -> bool {
        !matches!(self, Self::Vit(_))
    }

    /// Frames, or patches along time, of a sound of so many samples or rows of a spectrogram.
    pub fn frames(&self, rows: usize) -> usize {
        match self {
            Self::Vit(config) => {
                let axis = match config.patches.input {
                    InputKind::SpectrogramByFrequency => 2,
                    _ => 1,
                };
                let (kernel, stride) = (config.patches.kernel[axis], config.patches.stride[axis]);
                (rows + stride).saturating_sub(kernel) / stride
            }
            Self::Speech(config) => config.front.frames(rows),
            Self::Conformer(config) => match &config.front {
                Front::Wave(front) => front.frames(rows),
                Front::Frames(_) => rows,
                Front::Mels { .. } => rows.div_ceil(STRIDE),
            },
        }
    }

    /// Width of a token.
    pub fn dim(&self) -> usize {
        match self {
            Self::Vit(config) => config.dim,
            Self::Speech(config) => config.dim,
            Self::Conformer(config) => config.dim,
        }
    }

    /// Heads of attention.
    pub fn heads(&self) -> usize {
        match self {
            Self::Vit(config) => config.heads,
            Self::Speech(config) => config.heads,
            Self::Conformer(config) => config.heads,
        }
    }

    /// Tokens in front of those of patches or frames.
    pub fn prefix(&self) -> usize {
        match self {
            Self::Vit(config) => config.prefix(),
            Self::Speech(_) | Self::Conformer(_) => 0,
        }
    }
}
