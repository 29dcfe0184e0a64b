//! Picture and video files as a pipeline's inputs, in training as in evaluation: no view is random.
//! (Sounds are in `media/audio/input.rs`, since some tasks look at a waveform before its input.)

use bridle_seed::Stream;

use super::{FixedPipeline, Pipeline};
use crate::error::SampleError;
use crate::files::tree::Raw;
use crate::media::image::{PICTURE_VERSION, Pictures, read};
use crate::media::video::{Clips, VideoAugment};
use crate::media::{Media, Views};
use crate::{CLIP_VERSION, DataError, Ffmpeg, Framing, InputSpec, VideoError};

/// Raised whenever a change to a pipeline changes its numbers; part of the key of stored inputs.
pub(crate) const PIPELINE_VERSION: u32 = 1;

/// Picture files as inputs of any kind; `task` is for errors, and `mirror` allows mirrored training
/// views.
pub(crate) fn pictures(task: &'static str, input: &InputSpec, mirror: bool) -> Result<Box<dyn Media>, DataError> {
    Ok(match input {
        InputSpec::Pipeline(fixed) if matches!(fixed.pipeline(), Pipeline::Picture(_)) => {
            Box::new(PipelinePictures(fixed.clone()))
        }
        _ => Box::new(Pictures::new(task, input, mirror)?),
    })
}

/// Video files as inputs of any kind; `task` is for errors, and the rest is for inputs that are no
/// pipeline's, see [`Clips::new`].
pub(crate) fn clips(
    task: &'static str,
    input: &InputSpec,
    stride: usize,
    augment: VideoAugment,
    keep: u64,
) -> Result<Box<dyn Media>, DataError> {
    Ok(match input {
        InputSpec::Pipeline(fixed) if matches!(fixed.pipeline(), Pipeline::Video(_)) => {
            let ffmpeg = Ffmpeg::find().map_err(VideoError::at_start)?;
            let fixed = fixed.clone();
            Box::new(PipelineClips { fixed, ffmpeg })
        }
        _ => Box::new(Clips::new(task, input, stride, augment, keep)?),
    })
}

struct PipelinePictures(FixedPipeline);

impl Media for PipelinePictures {
    fn key(&self) -> String {
        format!("pipeline {PIPELINE_VERSION} pictures {PICTURE_VERSION}")
    }

    fn view(&self, file: Raw) -> Result<Vec<f32>, SampleError> {
        let rows = self.0.pipeline().picture(&read(file)?);
        Ok(rows.map_err(|error| error.to_string())?.data)
    }

    /// The pipeline did.
    fn normalise(&self, _values: &mut [f32]) {}

    fn augments(&self) -> bool {
        false
    }

    fn drawn(&self, file: Raw, _views: Views, _stream: &mut Stream) -> Result<Vec<f32>, SampleError> {
        self.view(file)
    }
}

struct PipelineClips {
    fixed: FixedPipeline,
    ffmpeg: Ffmpeg,
}

impl Media for PipelineClips {
    fn key(&self) -> String {
        format!("pipeline {PIPELINE_VERSION} clips {CLIP_VERSION}")
    }

    fn view(&self, file: Raw) -> Result<Vec<f32>, SampleError> {
        let Pipeline::Video(video) = self.fixed.pipeline() else {
            unreachable!("it was made of a pipeline of videos")
        };
        // FFmpeg seeks in a file, and many have their index at the end
        let file = file.on_disk()?;
        let chosen = || {
            let facts = self.ffmpeg.probe(file.path())?;
            let frames = video.chosen(facts.frames);
            self.ffmpeg.take(file.path(), &facts, frames, Framing::Whole)
        };
        let clip = chosen().map_err(|error: VideoError| SampleError::from(error))?;
        Ok(video.rows(&clip).map_err(|error| error.to_string())?.data)
    }

    /// The pipeline did.
    fn normalise(&self, _values: &mut [f32]) {}

    fn augments(&self) -> bool {
        false
    }

    fn drawn(&self, file: Raw, _views: Views, _stream: &mut Stream) -> Result<Vec<f32>, SampleError> {
        self.view(file)
    }
}
