//! The built-in image task: rows of coloured tiles whose classes differ only in the order of the colours along the
//! rows.

use bridle_seed::Stream;

use crate::pattern::{self, SYMBOLS, Size};
use crate::{DataError, Dataset, InputSpec, MainMetric, Modality, OpenRequest, Progress, Task, TaskSpec};

const VERSION: u32 = 1;
/// Pixels along a tile's edge.
const TILE: usize = 16;

const SIZE: Size = Size { train: 200, test: 100 };
const GENERATOR: Generator = Generator {
    colours: [[0.35, 0.35, 0.35], [0.75, 0.3, 0.3], [0.3, 0.7, 0.3], [0.3, 0.35, 0.8], [0.75, 0.7, 0.25]],
    shade: 0.12,
    grain: 0.1,
};

/// Everything that shapes the pictures; channel values lie between 0 and 1.
#[derive(Debug)]
struct Generator {
    /// The pause's colour, then one per event.
    colours: [[f32; 3]; SYMBOLS],
    /// Largest deviation of a tile's brightness.
    shade: f32,
    /// Largest deviation of one channel of one pixel.
    grain: f32,
}

/// The task.
pub struct SyntheticImage;

impl Task for SyntheticImage {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: "synthetic-image",
            version: VERSION,
            summary: "generated pictures, classes differ in the order of tiles only",
            modality: Modality::Image,
            input: InputSpec::Image { side: 128, mean: [0.490, 0.480, 0.400], std: [0.231, 0.202, 0.222] },
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
        let (side, mean, std) = match request.input {
            InputSpec::Image { side, mean, std } if side > 0 => (side, mean, std),
            _ => {
                let reason = "it makes pictures with a side of at least one pixel".to_owned();
                return Err(DataError::WrongInput { task: spec.name, reason });
            }
        };
        let generate = |class: usize, stream: &mut Stream| GENERATOR.picture(class, side, stream);
        let scale = |values: &mut [f32]| normalise_channels(values, mean, std);
        pattern::dataset(&spec, SIZE, &format!("{GENERATOR:?}"), request, progress, generate, scale)
    }
}

impl Generator {
    /// A picture of `side` times `side` pixels, \[3, side, side\]; tiles are cut at the right and lower edge.
    fn picture(&self, class: usize, side: usize, stream: &mut Stream) -> Vec<f32> {
        let tiles = side.div_ceil(TILE);
        let mut colours: Vec<[f32; 3]> = Vec::with_capacity(tiles * tiles);
        for number in pattern::draw(class, tiles * tiles, stream) {
            let shade = self.shade * (2.0 * stream.uniform() - 1.0);
            colours.push(self.colours[number].map(|channel| channel + shade));
        }
        let mut picture = Vec::with_capacity(3 * side * side);
        for plane in 0..3 {
            for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
                let tile: [f32; 3] = colours[y / TILE * tiles + x / TILE];
                picture.push((tile[plane] + self.grain * (2.0 * stream.uniform() - 1.0)).clamp(0.0, 1.0));
            }
        }
        picture
    }
}

/// (x - mean) / std per channel in place; channels are the outermost axis.
pub(crate) fn normalise_channels(values: &mut [f32], mean: [f64; 3], std: [f64; 3]) {
    let length = values.len() / 3;
    for ((channel, mean), std) in values.chunks_exact_mut(length).zip(mean).zip(std) {
        channel.iter_mut().for_each(|x| *x = (*x - mean as f32) / std as f32);
    }
}
