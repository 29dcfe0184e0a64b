//! Picture files as model inputs: the centre for evaluation, or a random view for training.

use bridle_seed::Stream;

use super::augment::ImageAugment;
use super::crop::Resizer;
use super::decode::decode;
use super::picture::{PICTURE_VERSION, Picture, to_values};
use crate::error::SampleError;
use crate::files::tree::Raw;
use crate::media::normalise_channels;
use crate::media::{Media, Views};
use crate::{DataError, InputSpec};

pub(crate) struct Pictures {
    side: usize,
    mean: [f64; 3],
    std: [f64; 3],
    mirror: bool,
}

impl Pictures {
    /// `task` is for errors; `mirror` allows mirrored training views.
    pub fn new(task: &'static str, input: &InputSpec, mirror: bool) -> Result<Self, DataError> {
        let wrong = |reason: &str| DataError::wrong_input(task, reason.to_owned());
        let InputSpec::Image { side, mean, std } = *input else {
            return Err(wrong("its samples are pictures"));
        };
        if !(1..=4_096).contains(&side) {
            return Err(wrong("it needs a side from 1 to 4,096 pixels"));
        }
        if !mean.iter().all(|mean| mean.is_finite()) || !std.iter().all(|std| std.is_finite() && *std > 0.0) {
            return Err(wrong(
                "the normalisation needs finite means and standard deviations above zero",
            ));
        }
        Ok(Self {
            side,
            mean,
            std,
            mirror,
        })
    }
}

impl Media for Pictures {
    fn key(&self) -> String {
        format!("pictures {PICTURE_VERSION}")
    }

    fn view(&self, file: Raw) -> Result<Vec<f32>, SampleError> {
        let centre = Resizer::default().centre(&read(file)?, self.side);
        Ok(to_values(&centre))
    }

    fn normalise(&self, values: &mut [f32]) {
        normalise_channels(values, self.mean, self.std);
    }

    fn augments(&self) -> bool {
        true
    }

    fn drawn(&self, file: Raw, views: Views, stream: &mut Stream) -> Result<Vec<f32>, SampleError> {
        let augment = ImageAugment::of(views, self.mirror);
        Ok(augment.input(&read(file)?, self.side, self.mean, self.std, stream))
    }
}

/// Decodes a file of a data set.
pub(crate) fn read(file: Raw) -> Result<Picture, SampleError> {
    let (content, _) = file.read()?;
    decode(&content).map_err(|error| error.to_string().into())
}
