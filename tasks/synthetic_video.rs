//! The built-in video task: stripes that light up one after the other; classes differ only in the order in time.
//!
//! An event lights its own quarter of the picture for one slot of two frames, so that what a hidden quarter does has to
//! be inferred from the order of the others.

use bridle_seed::Stream;

use crate::pattern::{self, SYMBOLS, Size};
use crate::synthetic_image::normalise_channels;
use crate::{DataError, Dataset, InputSpec, MainMetric, Modality, OpenRequest, Progress, Task, TaskSpec};

const VERSION: u32 = 1;
/// Frames in one slot.
const SLOT: usize = 2;

const SIZE: Size = Size { train: 80, test: 40 };
const GENERATOR: Generator =
    Generator { dark: [0.2, 0.2, 0.25], light: [0.8, 0.75, 0.6], shade: 0.12, grain: 0.1 };

/// Everything that shapes the clips; channel values lie between 0 and 1.
#[derive(Debug)]
struct Generator {
    /// The picture between events.
    dark: [f32; 3],
    /// A stripe while its event lasts.
    light: [f32; 3],
    /// Largest deviation of a slot's brightness.
    shade: f32,
    /// Largest deviation of one channel of one pixel.
    grain: f32,
}

/// The task.
pub struct SyntheticVideo;

impl Task for SyntheticVideo {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: "synthetic-video",
            version: VERSION,
            summary: "generated clips, classes differ in the order of events only",
            modality: Modality::Video,
            input: InputSpec::Video { frames: 16, side: 64, mean: [0.322, 0.312, 0.322], std: [0.257, 0.238, 0.167] },
            classes: pattern::classes(),
            folds: None,
            metric: MainMetric::Top1,
            source: "made by the program",
            licence: "that of the program",
            citation: "none: made by the program",
        }
    }

    fn open(&self, request: &OpenRequest, progress: &dyn Progress) -> Result<Dataset, DataError> {
        let spec = self.spec();
        let (frames, side, mean, std) = match request.input {
            InputSpec::Video { frames, side, mean, std } if frames > 0 && side > 0 => (frames, side, mean, std),
            _ => {
                let reason = "it makes clips of at least one frame with a side of at least one pixel".to_owned();
                return Err(DataError::WrongInput { task: spec.name, reason });
            }
        };
        let generate = |class: usize, stream: &mut Stream| GENERATOR.clip(class, frames, side, stream);
        let scale = |values: &mut [f32]| normalise_channels(values, mean, std);
        pattern::dataset(&spec, SIZE, &format!("{GENERATOR:?}"), request, progress, generate, scale)
    }
}

impl Generator {
    /// A clip, \[3, frames, side, side\].
    fn clip(&self, class: usize, frames: usize, side: usize, stream: &mut Stream) -> Vec<f32> {
        let slots: Vec<(usize, f32)> = pattern::draw(class, frames.div_ceil(SLOT), stream)
            .into_iter()
            .map(|number| (number, self.shade * (2.0 * stream.uniform() - 1.0)))
            .collect();
        let mut clip = Vec::with_capacity(3 * frames * side * side);
        for channel in 0..3 {
            for (frame, y) in (0..frames).flat_map(|frame| (0..side).map(move |y| (frame, y))) {
                let (number, shade) = slots[frame / SLOT];
                // stripe 0 is the top quarter and belongs to event 1; the pause lights none
                let lit = y * (SYMBOLS - 1) / side + 1 == number;
                let colour = if lit { self.light[channel] } else { self.dark[channel] } + shade;
                clip.extend((0..side).map(|_| (colour + self.grain * (2.0 * stream.uniform() - 1.0)).clamp(0.0, 1.0)));
            }
        }
        clip
    }
}
