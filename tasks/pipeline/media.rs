//! Picture and video files as a pipeline's inputs. Training sees a random view of a picture, as it would
//! with an input of this program's own, at the pipeline's size and with its normalisation; of a video a
//! random stretch.
//! (Sounds are in `media/audio/input.rs`, since some tasks look at a waveform before its input.)

use bridle_seed::Stream;

use super::{FixedPipeline, Pipeline};
use crate::error::SampleError;
use crate::files::tree::Raw;
use crate::media::image::{PICTURE_VERSION, Pictures, read};
use crate::media::video::{Clips, VideoAugment};
use crate::media::{Media, Views};
use crate::{CLIP_VERSION, DataError, Ffmpeg, Frames, Framing, ImageAugment, InputSpec, VideoError};

/// Raised whenever a change to a pipeline changes its numbers; part of the key of stored inputs.
pub(crate) const PIPELINE_VERSION: u32 = 2;

/// Picture files as inputs of any kind; `task` is for errors, and `mirror` allows mirrored training
/// views.
pub(crate) fn pictures(task: &'static str, input: &InputSpec, mirror: bool) -> Result<Box<dyn Media>, DataError> {
    Ok(match input {
        InputSpec::Pipeline(fixed) if matches!(fixed.pipeline(), Pipeline::Picture(_)) => {
            let augment = random_view(fixed.pipeline(), mirror);
            Box::new(PipelinePictures {
                fixed: fixed.clone(),
                augment,
            })
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

struct PipelinePictures {
    fixed: FixedPipeline,
    augment: Option<RandomView>,
}

/// How training sees pictures.
struct RandomView {
    mirror: bool,
    side: usize,
    mean: [f64; 3],
    std: [f64; 3],
}

/// Random views are squares of bytes over 255; other inputs stay as they are.
fn random_view(pipeline: &Pipeline, mirror: bool) -> Option<RandomView> {
    let Pipeline::Picture(picture) = pipeline else {
        return None;
    };
    let [height, width] = picture.fixed_size()?;
    let is_usual = height == width && (picture.scale * 255.0 - 1.0).abs() < 1e-6;
    is_usual.then_some(RandomView {
        mirror,
        side: height,
        mean: picture.mean,
        std: picture.std,
    })
}

impl Media for PipelinePictures {
    fn key(&self) -> String {
        format!("pipeline {PIPELINE_VERSION} pictures {PICTURE_VERSION}")
    }

    fn view(&self, file: Raw) -> Result<Vec<f32>, SampleError> {
        let rows = self.fixed.pipeline().picture(&read(file)?);
        Ok(rows.map_err(|error| error.to_string())?.data)
    }

    /// The pipeline did.
    fn normalise(&self, _values: &mut [f32]) {}

    fn augments(&self) -> bool {
        self.augment.is_some()
    }

    fn drawn(&self, file: Raw, views: Views, stream: &mut Stream) -> Result<Vec<f32>, SampleError> {
        let Some(RandomView {
            mirror,
            side,
            mean,
            std,
        }) = self.augment
        else {
            return self.view(file);
        };
        Ok(ImageAugment::of(views, mirror).input(&read(file)?, side, mean, std, stream))
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
        self.clip(file, |middle, _| middle)
    }

    /// The pipeline did.
    fn normalise(&self, _values: &mut [f32]) {}

    fn augments(&self) -> bool {
        true
    }

    fn drawn(&self, file: Raw, _views: Views, stream: &mut Stream) -> Result<Vec<f32>, SampleError> {
        self.clip(file, |middle, last| Frames {
            start: stream.below(last as usize + 1) as u64,
            ..middle
        })
    }
}

impl PipelineClips {
    /// The input of the frames that `place` makes of those in the middle and the last start that there could be.
    fn clip(&self, file: Raw, place: impl FnOnce(Frames, u64) -> Frames) -> Result<Vec<f32>, SampleError> {
        let Pipeline::Video(video) = self.fixed.pipeline() else {
            unreachable!("it was made of a pipeline of videos")
        };
        // FFmpeg seeks in a file, and many have their index at the end
        let file = file.on_disk()?;
        let chosen = || {
            let facts = self.ffmpeg.probe(file.path())?;
            let last = Frames::last_start(facts.frames, video.frames, video.step);
            let frames = place(video.chosen(facts.frames), last);
            self.ffmpeg.take(file.path(), &facts, frames, Framing::Whole)
        };
        let clip = chosen().map_err(|error: VideoError| SampleError::from(error))?;
        Ok(video.rows(&clip).map_err(|error| error.to_string())?.data)
    }
}
