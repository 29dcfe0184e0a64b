//! Media files as model inputs.

pub(crate) mod audio;
pub(crate) mod image;
pub(crate) mod video;

use bridle_seed::Stream;

use crate::DataError;
use crate::error::SampleError;
use crate::files::tree::Raw;
use crate::files::verified::VerifiedFiles;

/// What a random training view is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// Mild changes.
    Pretraining,
    /// Strong changes, for training with labels.
    FineTuning,
}

/// How a kind of media becomes a model input.
pub(crate) trait Media: Send + Sync {
    /// Names everything that decides the inputs for evaluation, except the file and the request's
    /// input.
    fn key(&self) -> String;

    /// What preparing the inputs is called while it runs.
    fn work(&self) -> &'static str {
        "decoding samples"
    }

    /// One file's input for evaluation, before its normalisation.
    fn view(&self, file: Raw) -> Result<Vec<f32>, SampleError>;

    /// One file's inputs for testing with several views, before their normalisation. Most media
    /// have one view.
    fn test_views(&self, file: Raw, _clips: usize) -> Result<Vec<Vec<f32>>, SampleError> {
        Ok(vec![self.view(file)?])
    }

    /// Normalises in place.
    fn normalise(&self, values: &mut [f32]);

    /// Whether training sees other views than evaluation.
    fn augments(&self) -> bool;

    /// A normalised random view for training; all draws come from the stream.
    fn drawn(&self, file: Raw, views: Views, stream: &mut Stream) -> Result<Vec<f32>, SampleError>;
}

/// The files of a data set's samples, decoded when they are needed.
pub(crate) struct MediaFiles {
    pub media: Box<dyn Media>,
    pub files: VerifiedFiles,
}

impl MediaFiles {
    pub fn new(media: Box<dyn Media>, files: VerifiedFiles) -> Self {
        Self { media, files }
    }

    /// The input of sample `index` for evaluation, before its normalisation.
    pub fn view(&self, index: usize) -> Result<Vec<f32>, SampleError> {
        self.media.view(self.files.read(index)?)
    }

    /// The normalised input of sample `index` for evaluation.
    pub fn input(&self, index: usize) -> Result<Vec<f32>, DataError> {
        let mut values = self.view(index).map_err(self.bad(index))?;
        self.media.normalise(&mut values);
        Ok(values)
    }

    /// The normalised inputs of sample `index` for testing with several views.
    pub fn test_views(&self, index: usize, clips: usize) -> Result<Vec<Vec<f32>>, DataError> {
        let views = self
            .files
            .read(index)
            .and_then(|file| self.media.test_views(file, clips));
        let mut views = views.map_err(self.bad(index))?;
        views.iter_mut().for_each(|values| self.media.normalise(values));
        Ok(views)
    }

    /// A normalised random view of sample `index` for training.
    pub fn drawn(&self, index: usize, views: Views, stream: &mut Stream) -> Result<Vec<f32>, DataError> {
        let drawn = self
            .files
            .read(index)
            .and_then(|file| self.media.drawn(file, views, stream));
        drawn.map_err(self.bad(index))
    }

    fn bad(&self, index: usize) -> impl Fn(SampleError) -> DataError {
        move |error| error.at(self.files.path(index))
    }
}

/// (x - mean) / std per channel in place; channels are the outermost axis.
pub(crate) fn normalise_channels(values: &mut [f32], mean: [f64; 3], std: [f64; 3]) {
    let length = values.len() / 3;
    for ((channel, mean), std) in values.chunks_exact_mut(length).zip(mean).zip(std) {
        channel.iter_mut().for_each(|x| *x = (*x - mean as f32) / std as f32);
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod memory;
