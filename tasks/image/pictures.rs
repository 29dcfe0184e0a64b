//! Files of pictures as model inputs, by random access: the centre for judging, or a random view for training.

use std::path::{Path, PathBuf};

use bridle_seed::Stream;

use super::{ImageAugment, Picture, Resizer, decode, to_input, to_values};
use crate::InputSpec;
use crate::store::Row;
use crate::synthetic_image::normalise_channels;
use crate::variant::{Manifest, sha256};

/// Pictures in a folder, with what the model wants to see of them.
#[derive(Clone, Debug)]
pub struct Pictures {
    root: PathBuf,
    files: Vec<String>,
    side: usize,
    mean: [f64; 3],
    std: [f64; 3],
}

impl Pictures {
    /// The pictures `files`, each relative to `root`. The error says why no picture can give such an input.
    pub fn new(root: PathBuf, files: Vec<String>, input: &InputSpec) -> Result<Self, String> {
        let InputSpec::Image { side, mean, std } = *input else {
            return Err("its samples are pictures".to_owned());
        };
        if !(1..=4_096).contains(&side) {
            return Err("it needs a side from 1 to 4,096 pixels".to_owned());
        }
        if !mean.iter().all(|mean| mean.is_finite()) || !std.iter().all(|std| std.is_finite() && *std > 0.0) {
            return Err("the normalisation needs finite means and standard deviations above zero".to_owned());
        }
        Ok(Self {
            root,
            files,
            side,
            mean,
            std,
        })
    }

    /// The input of picture `index`: its centre, or, with an augmentation, a random view drawn from the stream. The same
    /// stream gives the same view. Panics if there is no such picture; the error says what is wrong with the file.
    pub fn view(&self, index: usize, augment: Option<(&ImageAugment, &mut Stream)>) -> Result<Vec<f32>, String> {
        let picture = self.decode(&self.read(index)?)?;
        Ok(match augment {
            None => to_input(&Resizer::default().centre(&picture, self.side), self.mean, self.std),
            Some((augment, stream)) => augment.input(&picture, self.side, self.mean, self.std, stream),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, index: usize) -> PathBuf {
        self.root.join(&self.files[index])
    }

    /// The centre with its statistics, of a file that is still the one in the manifest.
    pub(crate) fn row(&self, index: usize, manifest: &Manifest) -> Result<Row, String> {
        let content = self.read(index)?;
        if manifest
            .get(&self.files[index])
            .is_none_or(|listed| listed.sha256 != sha256(&content))
        {
            return Err("it was changed while it was being read".to_owned());
        }
        let centre = Resizer::default().centre(&self.decode(&content)?, self.side);
        Ok(Row::measured(to_values(&centre), |values| {
            normalise_channels(values, self.mean, self.std)
        }))
    }

    fn read(&self, index: usize) -> Result<Vec<u8>, String> {
        std::fs::read(self.path(index)).map_err(|error| format!("it cannot be read: {error}"))
    }

    fn decode(&self, content: &[u8]) -> Result<Picture, String> {
        decode(content).map_err(|error| error.to_string())
    }
}
