//! Which frames and which part of each picture a model sees: random for training, fixed for
//! evaluation.

use bridle_seed::Stream;
use serde::{Deserialize, Serialize};

use super::clip::Frames;
use super::probe::VideoFacts;
use crate::media::image::Region;

/// Draws before the middle is taken.
const TRIES: usize = 10;

/// Where in each picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewPlace {
    /// Scaled by the short edge; a square so many halves along the long edge: 0 at its start, 1 in
    /// the middle, 2 at its end.
    Half(usize),
    /// A part, scaled to a square.
    Part {
        /// In the video's own pixels.
        region: Region,
        mirrored: bool,
    },
}

/// The part of a video that becomes one input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipView {
    pub frames: Frames,
    pub place: ViewPlace,
}

/// How training views are drawn: a start, and a part of the picture (RandomResizedCrop).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoAugment {
    /// Smallest and largest share of the picture's area.
    pub area: [f64; 2],
    /// Smallest and largest width over height.
    pub ratio: [f64; 2],
    /// Mirrors half of the views.
    pub mirror: bool,
}

impl ClipView {
    /// The clip in the middle of the video, with the square in the middle of its pictures.
    pub fn evaluation(facts: &VideoFacts, count: usize, stride: usize) -> Self {
        let start = Frames::last_start(facts.frames, count, stride) / 2;
        Self {
            frames: Frames { start, count, stride },
            place: ViewPlace::Half(1),
        }
    }

    /// `clips` clips, evenly spread from the first frame to the last, each with three squares along
    /// the long edge; the squares of a clip follow each other. A single clip is the middle one.
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
            place: ViewPlace::Half(half),
        };
        (0..clips)
            .flat_map(|clip| (0..3).map(move |half| view(clip, half)))
            .collect()
    }

    /// A random training view; all draws come from `stream`.
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
            place: ViewPlace::Part { region, mirrored },
        }
    }
}

impl VideoAugment {
    /// As VideoMAE is fine-tuned (Tong et al. 2022).
    pub fn fine_tuning() -> Self {
        Self {
            area: [0.08, 1.0],
            ratio: [0.75, 4.0 / 3.0],
            mirror: true,
        }
    }

    /// A part of random area and shape. If ten draws do not fit, the largest in the middle with an
    /// allowed shape.
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
