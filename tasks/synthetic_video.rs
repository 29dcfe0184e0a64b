//! The built-in video task: two stripes that change colour every second frame; classes differ only in the order.
//!
//! The colours run on from the end of one stripe to the start of the next, so that one stripe over all time shows the
//! order, and what a hidden stripe does has to be inferred from it.

use bridle_seed::Stream;

use crate::pattern::{self, SYMBOLS, Size};
use crate::synthetic_image::normalise_channels;
use crate::{DataError, Dataset, InputSpec, MainMetric, Modality, OpenRequest, Progress, Task, TaskSpec};

const VERSION: u32 = 2;
/// Frames in one slot.
const SLOT: usize = 2;

/// Stripes, from top to bottom.
const STRIPES: usize = 2;

const SIZE: Size = Size { train: 300, test: 150 };
const GENERATOR: Generator = Generator {
    colours: [[0.35, 0.35, 0.35], [0.75, 0.3, 0.3], [0.3, 0.7, 0.3], [0.3, 0.35, 0.8], [0.75, 0.7, 0.25]],
    shade: 0.03,
    grain: 0.03,
};

/// Everything that shapes the clips; channel values lie between 0 and 1.
#[derive(Debug)]
struct Generator {
    /// The pause's colour, then one per event.
    colours: [[f32; 3]; SYMBOLS],
    /// Largest deviation of a stripe's brightness in a slot.
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
            input: InputSpec::Video { frames: 16, side: 32, mean: [0.490, 0.480, 0.400], std: [0.214, 0.182, 0.204] },
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
        let slots = frames.div_ceil(SLOT);
        let colours: Vec<[f32; 3]> = pattern::draw(class, STRIPES * slots, stream)
            .into_iter()
            .map(|number| {
                let shade = self.shade * (2.0 * stream.uniform() - 1.0);
                self.colours[number].map(|channel| channel + shade)
            })
            .collect();
        let mut clip = Vec::with_capacity(3 * frames * side * side);
        for channel in 0..3 {
            for (frame, y) in (0..frames).flat_map(|frame| (0..side).map(move |y| (frame, y))) {
                let stripe = y * STRIPES / side;
                let colour = colours[stripe * slots + frame / SLOT][channel];
                clip.extend((0..side).map(|_| (colour + self.grain * (2.0 * stream.uniform() - 1.0)).clamp(0.0, 1.0)));
            }
        }
        clip
    }
}
