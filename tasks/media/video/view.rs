//! Which frames and which part of a picture a model sees: for training drawn, for judging fixed.

use bridle_seed::Stream;
use serde::{Deserialize, Serialize};

use super::clip::{Clip, Framing};
use super::probe::VideoFacts;
use super::program::{Ffmpeg, VideoError};
use crate::media::image::Region;

use std::path::Path;

/// Tries at a random region before the middle is taken.
const TRIES: usize = 10;

/// Frames `start`, `start + stride`, ... of a video, `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    /// The first, from 0.
    pub start: u64,
    /// How many.
    pub count: usize,
    /// The distance of neighbours.
    pub stride: usize,
}

impl Frames {
    /// Those that a video of `total` frames has; of a start beyond its end, the last frame.
    pub(super) fn within(self, total: u64) -> Self {
        let stride = self.stride.max(1);
        let start = self.start.min(total - 1);
        let held = (total - 1 - start) / stride as u64 + 1;
        Self {
            start,
            count: self.count.min(usize::try_from(held).unwrap_or(usize::MAX)),
            stride,
        }
    }

    /// The numbers of all of them in a video of `total` frames, the last repeated in place of those beyond its end.
    fn numbers(self, total: usize) -> impl ExactSizeIterator<Item = usize> {
        let held = self.within(total as u64);
        let number = move |index: usize| held.start as usize + index.min(held.count.max(1) - 1) * held.stride;
        (0..self.count).map(number)
    }

    /// Starts that keep `count` frames at `stride` within a video: 0 to this.
    fn last_start(total: u64, count: usize, stride: usize) -> u64 {
        (total - 1).saturating_sub(count.saturating_sub(1) as u64 * stride.max(1) as u64)
    }
}

/// Where in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Scaled by the short edge, a square so many halves along the long edge: 0 at its start, 1 in the middle, 2 at its
    /// end.
    Half(usize),
    /// A part, scaled to a square, and perhaps mirrored.
    Part {
        /// In the video's own pixels.
        region: Region,
        /// Left and right exchanged.
        mirrored: bool,
    },
}

/// What of a video becomes one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipView {
    /// In time.
    pub frames: Frames,
    /// In the picture.
    pub place: Place,
}

/// How training views are drawn: a start, and a part of the picture (RandomResizedCrop).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoAugment {
    /// Least and largest share of the picture's area.
    pub area: [f64; 2],
    /// Least and largest width by height.
    pub ratio: [f64; 2],
    /// Mirror every second view.
    pub mirror: bool,
}

impl ClipView {
    /// The clip in the middle of the video, the square in the middle of its pictures.
    pub fn evaluation(facts: &VideoFacts, count: usize, stride: usize) -> Self {
        let start = Frames::last_start(facts.frames, count, stride) / 2;
        Self {
            frames: Frames { start, count, stride },
            place: Place::Half(1),
        }
    }

    /// `clips` clips spread evenly from the first frame to the last, each with three squares along the long edge; the
    /// squares of a clip follow one another. One clip is that in the middle.
    pub fn test(facts: &VideoFacts, count: usize, stride: usize, clips: usize) -> Vec<Self> {
        let last = Frames::last_start(facts.frames, count, stride);
        let start = |clip: usize| match clips {
            1 => last / 2,
            _ => (last as u128 * clip as u128 / (clips as u128 - 1)) as u64,
        };
        let view = |clip, half| Self {
            frames: Frames {
                start: start(clip),
                count,
                stride,
            },
            place: Place::Half(half),
        };
        (0..clips)
            .flat_map(|clip| (0..3).map(move |half| view(clip, half)))
            .collect()
    }

    /// A view for training, every draw from `stream`.
    pub fn training(
        facts: &VideoFacts,
        count: usize,
        stride: usize,
        augment: &VideoAugment,
        stream: &mut Stream,
    ) -> Self {
        let last = Frames::last_start(facts.frames, count, stride);
        let start = stream.below(usize::try_from(last).unwrap_or(usize::MAX - 1) + 1) as u64;
        let region = augment.region(facts.width, facts.height, stream);
        let mirrored = augment.mirror && stream.uniform() < 0.5;
        Self {
            frames: Frames { start, count, stride },
            place: Place::Part { region, mirrored },
        }
    }
}

impl VideoAugment {
    /// The values that VideoMAE is fine-tuned with (Tong et al. 2022).
    pub fn fine_tuning() -> Self {
        Self {
            area: [0.08, 1.0],
            ratio: [0.75, 4.0 / 3.0],
            mirror: true,
        }
    }

    /// A part of random area and shape; after ten that do not fit, the largest in the middle with an allowed shape.
    fn region(&self, width: usize, height: usize, stream: &mut Stream) -> Region {
        let between = |[low, high]: [f64; 2], stream: &mut Stream| low + (high - low) * stream.uniform_f64();
        let logs = self.ratio.map(f64::ln);
        for _ in 0..TRIES {
            let area = (width * height) as f64 * between(self.area, stream);
            let ratio = between(logs, stream).exp();
            let (across, down) = (
                (area * ratio).sqrt().round() as usize,
                (area / ratio).sqrt().round() as usize,
            );
            if (1..=width).contains(&across) && (1..=height).contains(&down) {
                let (left, top) = (stream.below(width - across + 1), stream.below(height - down + 1));
                return Region {
                    left,
                    top,
                    width: across,
                    height: down,
                };
            }
        }
        let ratio = (width as f64 / height as f64).clamp(self.ratio[0], self.ratio[1]);
        let across = ((height as f64 * ratio).round() as usize).clamp(1, width);
        let down = ((width as f64 / ratio).round() as usize).clamp(1, height);
        Region {
            left: (width - across) / 2,
            top: (height - down) / 2,
            width: across,
            height: down,
        }
    }
}

impl Ffmpeg {
    /// Several views; neighbours that are squares of the same frames are decoded together.
    pub fn views(
        &self,
        file: &Path,
        facts: &VideoFacts,
        views: &[ClipView],
        side: usize,
    ) -> Result<Vec<Clip>, VideoError> {
        let mut clips = Vec::with_capacity(views.len());
        let mut scaled: Option<(Frames, Clip)> = None;
        for &view in views {
            let Place::Half(half) = view.place else {
                clips.push(self.view(file, facts, view, side)?);
                continue;
            };
            if scaled.as_ref().is_none_or(|(frames, _)| *frames != view.frames) {
                scaled = Some((
                    view.frames,
                    self.take(file, facts, view.frames, Framing::ShortSide(side))?,
                ));
            }
            clips.extend(scaled.as_ref().map(|(_, clip)| clip.square(half)));
        }
        Ok(clips)
    }

    /// The view as a clip of `side` times `side` pixels.
    pub fn view(&self, file: &Path, facts: &VideoFacts, view: ClipView, side: usize) -> Result<Clip, VideoError> {
        match view.place {
            Place::Half(half) => {
                let scaled = self.take(file, facts, view.frames, Framing::ShortSide(side))?;
                Ok(scaled.square(half))
            }
            Place::Part { region, mirrored } => {
                let part = self.take(file, facts, view.frames, Framing::Cut(region))?;
                let [left, top] = [0, 0];
                let clip = part.squares(0..part.frames, Region { left, top, ..region }, side);
                Ok(if mirrored { clip.mirrored() } else { clip })
            }
        }
    }
}

impl Clip {
    /// Of a whole video the part of a view for training, bit for bit as [`Ffmpeg::view`] makes it of the file.
    pub fn part(&self, frames: Frames, region: Region, mirrored: bool, side: usize) -> Self {
        let clip = self.squares(frames.numbers(self.frames), region, side);
        if mirrored { clip.mirrored() } else { clip }
    }

    /// The square as high or wide as the short edge, `half` halves along the long one.
    pub fn square(&self, half: usize) -> Self {
        let side = self.width.min(self.height);
        let along = |edge: usize| (edge - side) * half.min(2) / 2;
        self.crop(Region {
            left: along(self.width),
            top: along(self.height),
            width: side,
            height: side,
        })
    }
}
