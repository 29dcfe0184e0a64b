//! Sizes of the model's parts, and the geometry of its input.

use bridle_values::choices;

/// What the input looks like and how it is cut into patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// One channel of `frames` (time) by `mels` (frequency); tokens are time-major.
    Audio {
        frames: usize,
        mels: usize,
        /// Side of a square patch.
        patch: usize,
        rows: AudioRows,
    },
    /// Three channels, `side` by `side`; tokens are row-major.
    Image {
        /// Pixels per side.
        side: usize,
        /// Side of a square patch.
        patch: usize,
    },
    /// Three channels, `frames` of `side` by `side`; tokens are time-major, then row-major.
    Video {
        frames: usize,
        /// Pixels per side.
        side: usize,
        /// Side of a square patch.
        patch: usize,
        /// Frames per patch.
        tubelet: usize,
    },
}

impl Geometry {
    /// Input shape [C, T, H, W]: audio is [1, 1, frames, mels], an image [3, 1, side, side].
    pub const fn input(&self) -> [usize; 4] {
        match *self {
            Self::Audio { frames, mels, .. } => [1, 1, frames, mels],
            Self::Image { side, .. } => [3, 1, side, side],
            Self::Video { frames, side, .. } => [3, frames, side, side],
        }
    }

    /// Patch shape [T, H, W].
    pub const fn patch(&self) -> [usize; 3] {
        match *self {
            Self::Audio { patch, .. } | Self::Image { patch, .. } => [1, patch, patch],
            Self::Video { patch, tubelet, .. } => [tubelet, patch, patch],
        }
    }

    /// Token grid [T, H, W].
    pub const fn grid(&self) -> [usize; 3] {
        let ([_, t, h, w], [pt, ph, pw]) = (self.input(), self.patch());
        [t / pt, h / ph, w / pw]
    }

    /// Number of patch tokens N.
    pub const fn tokens(&self) -> usize {
        let [t, h, w] = self.grid();
        t * h * w
    }

    /// Numbers in one patch, all channels.
    pub const fn patch_len(&self) -> usize {
        let [t, h, w] = self.patch();
        self.input()[0] * t * h * w
    }

    /// Numbers in one input.
    pub const fn input_len(&self) -> usize {
        let [c, t, h, w] = self.input();
        c * t * h * w
    }

    /// Video follows VideoMAE: no cls token, no key bias, a 1-D position table, no bias between
    /// encoder and decoder.
    pub const fn is_video(&self) -> bool {
        matches!(self, Self::Video { .. })
    }
}

choices! {
    /// Order of the position table's rows over the tokens of a spectrogram. Row k of the authors'
    /// table encodes (k mod T, k div T) though token k is (k div F, k mod F), because their grid
    /// has its axes swapped.
    "order of rows" AudioRows {
        /// the table of a (mel, time) grid read by tokens in (time, mel) order
        Scrambled = "scrambled",
        /// each token gets the row of its own place
        TokenOrder = "token-order",
    }
}

/// A stack of pre-norm transformer blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackConfig {
    /// Width D.
    pub dim: usize,
    pub depth: usize,
    pub heads: usize,
    /// Hidden width of the MLP over D.
    pub mlp_ratio: usize,
}

choices! {
    /// The decoder's attention. Swin v2 drops the cls token first.
    "decoder" DecoderKind {
        /// every token sees every token
        Global = "global",
        /// shifted windows of 4 x 4 tokens
        Swin = "swin",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderConfig {
    pub kind: DecoderKind,
    pub stack: StackConfig,
}

/// Sizes of every part, with the values of the quantizer.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig<C> {
    /// The input.
    pub geometry: Geometry,
    /// Encoder, and tokenizer body.
    pub encoder: StackConfig,
    pub decoder: DecoderConfig,
    pub estimator: StackConfig,
    pub quantizer: C,
}
