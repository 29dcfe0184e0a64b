//! The built-in video task: clips of changing tiles, whose classes differ only in the arrangement
//! of the same tiles in place and time.
//!
//! Each tile shows one event for a slot of four frames. A hidden tube, a tile over the whole clip,
//! can only be told from the others by the arrangement.

use bridle_seed::Stream;

use super::image::Tiles;
use super::pattern::{self, Size};
use crate::media::normalise_channels;
use crate::{DataError, Dataset, InputSpec, MainMetric, Modality, OpenRequest, Progress, Task, TaskSpec};

const VERSION: u32 = 2;
/// Frames in one slot.
const SLOT: usize = 4;

const SIZE: Size = Size { train: 300, test: 150 };
const GENERATOR: Tiles = Tiles {
    side: 16,
    alike: 1,
    dark: 0.4,
    bright: 0.7,
    shade: 0.02,
    grain: 0.19,
};

pub struct SyntheticVideo;

impl Task for SyntheticVideo {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: "synthetic-video",
            version: VERSION,
            summary: "generated clips, classes differ in the arrangement of tiles in place and time only",
            modality: Modality::Video,
            input: InputSpec::Video {
                frames: 16,
                side: 32,
                mean: [0.46; 3],
                std: [0.163; 3],
            },
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
            InputSpec::Video {
                frames,
                side,
                mean,
                std,
            } if frames > 0 && side > 0 => (frames, side, mean, std),
            _ => {
                let reason = "it makes clips of at least one frame with a side of at least one pixel".to_owned();
                return Err(DataError::wrong_input(spec.name, reason));
            }
        };
        let tiles = GENERATOR.slots(side).pow(2);
        let generate = |class: usize, stream: &mut Stream| {
            let numbers = pattern::arrangement(class, frames.div_ceil(SLOT) * tiles, stream);
            let (plane, mut clip) = (frames * side * side, vec![0.0; 3 * frames * side * side]);
            for frame in 0..frames {
                let numbers = &numbers[frame / SLOT * tiles..][..tiles];
                GENERATOR.draw(numbers, side, &mut clip[frame * side * side..], plane, stream);
            }
            clip
        };
        let scale = |values: &mut [f32]| normalise_channels(values, mean, std);
        pattern::dataset(
            &spec,
            SIZE,
            &format!("{GENERATOR:?}"),
            request,
            progress,
            generate,
            scale,
        )
    }
}
