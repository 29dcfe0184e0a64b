//! Video in: files to clips of exact frames, clips to model inputs, through the programs `ffmpeg`
//! and `ffprobe`.
//!
//! Frames are counted as a decoder returns them, from 0, whatever their times, so that clips of a
//! video with a variable frame rate are well-defined, as in decord and torchvision: frames `start`,
//! `start + stride`, and so on. A clip that reaches beyond the last frame repeats that frame, as
//! VideoMAE's loader does. Pictures are rotated upright if the file says how; non-square pixels are
//! treated as square.

mod clip;
mod container;
mod ffmpeg;
mod input;
mod memory;
mod probe;
mod program;
mod view;

pub use clip::{Clip, Frames, Framing};
pub use ffmpeg::Ffmpeg;
pub(crate) use input::Clips;
pub use probe::VideoFacts;
pub use program::VideoError;
pub use view::{ClipView, VideoAugment, ViewPlace};

/// Raised whenever a change here changes the numbers; part of the key of stored inputs.
pub const CLIP_VERSION: u32 = 2;

#[cfg(any(test, fuzzing))]
pub(crate) use {container::ends_early, probe::facts_of};

#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
pub(crate) use tests::programs;
