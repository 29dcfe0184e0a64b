//! The built-in image task: grids of tiles with bars, whose classes differ only in the arrangement
//! of the same tiles.
//!
//! A tile is as large as a patch and has one bright bar at one of four places, or none. Four tiles
//! that form a square are alike, so a hidden tile can often be told from its neighbours, and
//! otherwise only from the arrangement.

use bridle_seed::Stream;

use super::pattern::{self, PAUSE, SYMBOLS, Size};
use crate::media::normalise_channels;
use crate::{DataError, Dataset, InputSpec, MainMetric, Modality, OpenRequest, Progress, Task, TaskSpec};

const VERSION: u32 = 2;

const SIZE: Size = Size { train: 300, test: 150 };
const GENERATOR: Tiles = Tiles {
    side: 16,
    alike: 2,
    dark: 0.4,
    bright: 0.7,
    shade: 0.02,
    grain: 0.19,
};

/// How tiles look; channel values are roughly from 0 to 1.
#[derive(Debug)]
pub(crate) struct Tiles {
    /// Pixels per edge of a tile.
    pub side: usize,
    /// Tiles per edge of a square of tiles that are alike.
    pub alike: usize,
    pub dark: f32,
    pub bright: f32,
    /// Largest deviation of a tile's brightness.
    pub shade: f32,
    /// Largest deviation of one channel of one pixel.
    pub grain: f32,
}

pub struct SyntheticImage;

impl Task for SyntheticImage {
    fn spec(&self) -> TaskSpec {
        TaskSpec {
            name: "synthetic-image",
            version: VERSION,
            summary: "generated pictures, classes differ in the arrangement of tiles only",
            modality: Modality::Image,
            input: InputSpec::Image {
                side: 128,
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
        let (side, mean, std) = match request.input {
            InputSpec::Image { side, mean, std } if side > 0 => (side, mean, std),
            _ => {
                let reason = "it makes pictures with a side of at least one pixel".to_owned();
                return Err(DataError::wrong_input(spec.name, reason));
            }
        };
        let slots = GENERATOR.slots(side).pow(2);
        let generate = |class: usize, stream: &mut Stream| {
            let numbers = pattern::arrangement(class, slots, stream);
            let mut picture = vec![0.0; 3 * side * side];
            GENERATOR.draw(&numbers, side, &mut picture, side * side, stream);
            picture
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

impl Tiles {
    /// Squares of tiles per edge of `side` pixels.
    pub fn slots(&self, side: usize) -> usize {
        side.div_ceil(self.side * self.alike)
    }

    /// Draws a frame of `side` x `side` pixels into three planes, each `plane` values after the one
    /// before; tiles are cut at the right and lower edge. `numbers` has one event per square of
    /// tiles, row by row.
    pub fn draw(&self, numbers: &[usize], side: usize, planes: &mut [f32], plane: usize, stream: &mut Stream) {
        let (tiles, slots) = (side.div_ceil(self.side), self.slots(side));
        let shades: Vec<f32> = (0..tiles * tiles).map(|_| self.shade * symmetric(stream)).collect();
        for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
            let (row, column) = (y / self.side, x / self.side);
            let number = numbers[row / self.alike * slots + column / self.alike];
            // bar 1 is the leftmost
            let place = x % self.side * (SYMBOLS - 1) / self.side + 1;
            let is_bar = number != PAUSE && place == number;
            let value = if is_bar { self.bright } else { self.dark } + shades[row * tiles + column];
            for channel in 0..3 {
                planes[channel * plane + y * side + x] = value + self.grain * symmetric(stream);
            }
        }
    }
}

/// Uniform from -1 to 1.
pub(crate) fn symmetric(stream: &mut Stream) -> f32 {
    2.0 * stream.uniform() - 1.0
}
