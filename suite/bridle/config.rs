//! Sizes of the model's parts, and the geometry of its input.

use crate::position::AudioRows;

/// What the input looks like and how it is cut into patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// One channel of `frames` (time) by `mels` (frequency); tokens are time-major.
    Audio {
        /// Time frames.
        frames: usize,
        /// Mel bins.
        mels: usize,
        /// Side of a square patch.
        patch: usize,
        /// Order of the position table's rows.
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
        /// Frames.
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

    /// Video follows VideoMAE: no cls token, no key bias, a 1-D position table, no bias between encoder and decoder.
    pub const fn is_video(&self) -> bool {
        matches!(self, Self::Video { .. })
    }
}

/// A stack of pre-norm transformer blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackConfig {
    /// Width D.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden width of the MLP over D.
    pub mlp_ratio: usize,
}

/// How the decoder's blocks attend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoderKind {
    /// Every token to every token.
    Global,
    /// Shifted windows of 4 x 4 tokens (Swin v2), cls dropped first.
    Swin,
}

/// The decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderConfig {
    /// Kind of attention.
    pub kind: DecoderKind,
    /// Blocks.
    pub stack: StackConfig,
}

/// How codebooks start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// k-means on the first batch (cosine).
    Kmeans,
    /// The values drawn at construction: uniform in [0, 1) for rq, unit vectors for vq.
    Random,
}

/// Which codes are taken when a level takes several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftPick {
    /// The farthest first: what the authors' top-k computes.
    Farthest,
    /// The nearest first.
    Nearest,
}

/// When unused codes are replaced by vectors of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    Off,
    /// Once, in the first forward, for codes that this batch did not use (the authors' code).
    FirstForward,
    /// Where [`crate::quantizer::Mode::Restart`] asks for it: codes whose usage average is below a tenth of the even
    /// share.
    ByUsage,
}

/// The space of a residual quantizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Unit length for lookup and average, while residual and loss are as they are (the authors' code).
    UnitLookup,
    /// One space for lookup, average, residual and loss; latents are standardised once, before the first level.
    Raw,
}

/// How codebooks learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learning {
    /// Moving average towards the unit mean of the assigned vectors (audio, image).
    Ema,
    /// Moving averages of sums and counts with Laplace smoothing (the authors' video quantizer).
    SmoothedEma,
    /// Gradient of the codebook loss.
    Gradient,
}

/// A quantizer's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuantizerConfig {
    /// Codebooks Q.
    pub levels: usize,
    /// Codes per codebook K.
    pub codes: usize,
    /// Code dimension d.
    pub dim: usize,
    /// Decay of the moving averages.
    pub decay: f64,
    /// Weight of the commitment loss.
    pub commitment: f64,
    /// How codebooks start.
    pub start: Start,
    /// Iterations of k-means.
    pub kmeans_iterations: usize,
    /// Codes taken per level.
    pub soft_codes: usize,
    /// Which, when several.
    pub soft_pick: SoftPick,
    /// Restart of unused codes.
    pub restart: Restart,
    /// The space of lookup, average, residual and loss.
    pub space: Space,
    /// How codebooks learn.
    pub learning: Learning,
}

impl Default for QuantizerConfig {
    /// The authors' residual quantizer.
    fn default() -> Self {
        Self {
            levels: 4,
            codes: 256,
            dim: 256,
            decay: 0.99,
            commitment: 0.25,
            start: Start::Kmeans,
            kmeans_iterations: 10,
            soft_codes: 1,
            soft_pick: SoftPick::Farthest,
            restart: Restart::FirstForward,
            space: Space::UnitLookup,
            learning: Learning::Ema,
        }
    }
}
