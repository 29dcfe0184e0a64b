//! Kinds of media as model inputs, and files that are decoded whenever they are wanted.

pub(crate) mod audio;
pub(crate) mod image;
pub(crate) mod video;

use std::sync::Arc;

use bridle_seed::Stream;

use crate::DataError;
use crate::files::hashes::Stamp;
use crate::files::tree::{Raw, Tree};

/// What a training view is drawn for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Views {
    /// Pretraining, which is served by mild changes.
    Pretraining,
    /// Training with labels, which stands strong ones.
    FineTuning,
}

/// How a kind of media becomes a model input.
pub(crate) trait Media: Send + Sync {
    /// Names all but the file and the request's input that decides the inputs for judging.
    fn key(&self) -> String;

    /// The input of one file for judging, before its normalisation.
    fn view(&self, file: Raw) -> Result<Vec<f32>, String>;

    /// The inputs of one file for testing by several views, before their normalisation: of most media there is one.
    fn test_views(&self, file: Raw, _clips: usize) -> Result<Vec<Vec<f32>>, String> {
        Ok(vec![self.view(file)?])
    }

    /// The normalisation, in place.
    fn normalise(&self, values: &mut [f32]);

    /// Whether training sees other views than judging.
    fn augments(&self) -> bool;

    /// A normalised view for training, every draw from the stream.
    fn drawn(&self, file: Raw, views: Views, stream: &mut Stream) -> Result<Vec<f32>, String>;
}

/// (x - mean) / std per channel in place; channels are the outermost axis.
pub(crate) fn normalise_channels(values: &mut [f32], mean: [f64; 3], std: [f64; 3]) {
    let length = values.len() / 3;
    for ((channel, mean), std) in values.chunks_exact_mut(length).zip(mean).zip(std) {
        channel.iter_mut().for_each(|x| *x = (*x - mean as f32) / std as f32);
    }
}

/// The files of a data set's samples.
pub(crate) struct Files {
    media: Box<dyn Media>,
    tree: Arc<Tree>,
    files: Vec<Option<MediaFile>>,
}

/// One file, as it was when it was hashed.
pub(crate) struct MediaFile {
    /// As the tree names it.
    pub name: String,
    /// Size and time of change, of its archive if it lies in one.
    pub stamp: Stamp,
    /// Its size, where that is known.
    pub bytes: Option<u64>,
}

impl Files {
    /// One file per sample, in order; `None` where it is not there.
    pub fn new(media: Box<dyn Media>, tree: Arc<Tree>, files: Vec<Option<MediaFile>>) -> Self {
        Self { media, tree, files }
    }

    /// How they are read.
    pub fn media(&self) -> &dyn Media {
        self.media.as_ref()
    }

    /// The size of each that is there, if that of all is known.
    pub fn bytes(&self) -> Option<Vec<u64>> {
        self.files.iter().flatten().map(|file| file.bytes).collect()
    }

    /// Leaves out those whose number is in `skipped`, which rises.
    pub fn without(mut self, skipped: &[(usize, String)]) -> Self {
        let mut number = 0..;
        let left_out = |number| skipped.binary_search_by_key(&number, |(skipped, _)| *skipped).is_ok();
        self.files.retain(|_| !number.next().is_some_and(left_out));
        self
    }

    /// The input of sample `index` for judging, before its normalisation.
    pub fn view(&self, index: usize) -> Result<Vec<f32>, String> {
        self.media.view(self.unchanged(index)?)
    }

    /// The normalised input of sample `index` for judging.
    pub fn input(&self, index: usize) -> Result<Vec<f32>, DataError> {
        let mut values = self.view(index).map_err(|reason| self.bad(index, reason))?;
        self.media.normalise(&mut values);
        Ok(values)
    }

    /// The normalised inputs of sample `index` for testing by several views.
    pub fn test_views(&self, index: usize, clips: usize) -> Result<Vec<Vec<f32>>, DataError> {
        let file = self.unchanged(index);
        let mut views = file
            .and_then(|file| self.media.test_views(file, clips))
            .map_err(|reason| self.bad(index, reason))?;
        views.iter_mut().for_each(|values| self.media.normalise(values));
        Ok(views)
    }

    /// The normalised view of sample `index` for training.
    pub fn drawn(&self, index: usize, views: Views, stream: &mut Stream) -> Result<Vec<f32>, DataError> {
        let file = self.unchanged(index);
        file.and_then(|file| self.media.drawn(file, views, stream))
            .map_err(|reason| self.bad(index, reason))
    }

    fn bad(&self, index: usize, reason: String) -> DataError {
        let name = self.files[index].as_ref().map_or("", |file| &file.name);
        DataError::BadSample {
            path: self.tree.root().join(name),
            reason,
        }
    }

    /// What a file holds that is still the one that was hashed.
    fn unchanged(&self, index: usize) -> Result<Raw, String> {
        let file = self.files[index].as_ref().ok_or("there is no such file")?;
        let holder = self.tree.holder(&file.name);
        match Stamp::of(&self.tree.root().join(holder)) {
            Ok(stamp) if stamp == file.stamp => self.tree.raw(&file.name),
            Ok(_) if holder != file.name => Err("its archive was changed since the data was opened".to_owned()),
            Ok(_) => Err("it was changed since the data was opened".to_owned()),
            Err(error) => Err(format!("it cannot be read: {error}")),
        }
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod memory;
