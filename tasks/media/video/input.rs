//! Video files as model inputs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bridle_seed::Stream;

use super::CLIP_VERSION;
use super::clip::{Clip, Frames, Framing};
use super::ffmpeg::Ffmpeg;
use super::memory::VideoMemory;
use super::probe::VideoFacts;
use super::program::VideoError;
use super::view::{ClipView, VideoAugment, ViewPlace};
use crate::error::SampleError;
use crate::files::tree::{OnDisk, Raw};
use crate::media::normalise_channels;
use crate::media::{Media, Views};
use crate::{DataError, InputSpec};

/// The largest edge and the most frames; more is a typing error.
const MOST: usize = 4_096;

pub(crate) struct Clips {
    ffmpeg: Ffmpeg,
    frames: usize,
    stride: usize,
    side: usize,
    mean: [f64; 3],
    std: [f64; 3],
    augment: VideoAugment,
    /// Probed files: probing costs as much as decoding a clip. A changed file is refused before it
    /// gets here.
    facts: Mutex<HashMap<PathBuf, VideoFacts>>,
    /// Training views are cut from these.
    kept: VideoMemory,
}

impl Clips {
    /// `task` is for errors; frames are `stride` apart. Whole videos of up to `keep` bytes stay in
    /// memory.
    pub fn new(
        task: &'static str,
        spec: &InputSpec,
        stride: usize,
        augment: VideoAugment,
        keep: u64,
    ) -> Result<Self, DataError> {
        let wrong = |reason: &str| DataError::wrong_input(task, reason.to_owned());
        let InputSpec::Video {
            frames,
            side,
            mean,
            std,
        } = *spec
        else {
            return Err(wrong("its samples are videos"));
        };
        if !(1..=MOST).contains(&frames) || !(1..=MOST).contains(&side) || stride == 0 {
            return Err(wrong(
                "it needs frames, a side and a stride of at least 1, frames and side of at most 4,096",
            ));
        }
        if !mean.iter().chain(&std).all(|value| value.is_finite()) || std.iter().any(|&std| std <= 0.0) {
            return Err(wrong(
                "the normalisation needs finite means and standard deviations above zero",
            ));
        }
        let ffmpeg = Ffmpeg::find().map_err(VideoError::at_start)?;
        Ok(Self {
            ffmpeg,
            frames,
            stride,
            side,
            mean,
            std,
            augment,
            facts: Mutex::default(),
            kept: VideoMemory::new(keep),
        })
    }

    /// The views that `choose` takes of a file, before their normalisation.
    fn values(
        &self,
        file: Raw,
        choose: impl FnOnce(&VideoFacts) -> Vec<ClipView>,
    ) -> Result<Vec<Vec<f32>>, SampleError> {
        // FFmpeg seeks in a file, and many have their index at the end
        let file = file.on_disk()?;
        let views = || {
            let facts = self.facts(&file)?;
            self.ffmpeg.views(file.path(), &facts, &choose(&facts), self.side)
        };
        let views = views().map_err(|error: VideoError| SampleError::from(error))?;
        Ok(views.iter().map(Clip::planes).collect())
    }

    /// A training view, from the video in memory if there is one.
    fn clip(&self, file: &OnDisk, stream: &mut Stream) -> Result<Clip, VideoError> {
        let facts = self.facts(file)?;
        let view = ClipView::training(&facts, self.frames, self.stride, &self.augment, stream);
        let whole = || self.whole(file, &facts);
        // a copy is removed after its use, and its name is not reused
        let kept = if file.is_lent() {
            None
        } else {
            self.kept.get(file.path(), &facts, whole)
        };
        match (kept, view.place) {
            (Some(video), ViewPlace::Part { region, mirrored }) => {
                Ok(video.part(view.frames, region, mirrored, self.side))
            }
            _ => self.ffmpeg.view(file.path(), &facts, view, self.side),
        }
    }

    /// All pictures of a file in their own size.
    fn whole(&self, file: &OnDisk, facts: &VideoFacts) -> Result<Clip, VideoError> {
        let frames = Frames {
            start: 0,
            count: usize::try_from(facts.frames).unwrap_or(usize::MAX),
            stride: 1,
        };
        let mut video = self.ffmpeg.take(file.path(), facts, frames, Framing::Whole)?;
        // bytes read from a pipe take up to twice their size
        video.rgb.shrink_to_fit();
        Ok(video)
    }

    fn facts(&self, file: &OnDisk) -> Result<VideoFacts, VideoError> {
        // nothing that can panic runs under the lock
        let known = || self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = known().get(file.path()) {
            return Ok(facts.clone());
        }
        let facts = self.ffmpeg.probe(file.path())?;
        if !file.is_lent() {
            known().insert(file.path().to_owned(), facts.clone());
        }
        Ok(facts)
    }
}

impl Media for Clips {
    fn key(&self) -> String {
        format!("clips {CLIP_VERSION} stride {}", self.stride)
    }

    fn view(&self, file: Raw) -> Result<Vec<f32>, SampleError> {
        let middle = |facts: &VideoFacts| vec![ClipView::evaluation(facts, self.frames, self.stride)];
        let mut one = self.values(file, middle)?;
        Ok(one.remove(0))
    }

    /// So many clips from the first frame to the last with three squares each; one clip has only
    /// the middle square.
    fn test_views(&self, file: Raw, clips: usize) -> Result<Vec<Vec<f32>>, SampleError> {
        match clips {
            0 | 1 => Ok(vec![self.view(file)?]),
            _ => self.values(file, |facts| ClipView::test(facts, self.frames, self.stride, clips)),
        }
    }

    fn normalise(&self, values: &mut [f32]) {
        normalise_channels(values, self.mean, self.std);
    }

    fn augments(&self) -> bool {
        true
    }

    /// The same for either purpose.
    fn drawn(&self, file: Raw, _views: Views, stream: &mut Stream) -> Result<Vec<f32>, SampleError> {
        let clip = self.clip(&file.on_disk()?, stream);
        let mut values = clip.map_err(SampleError::from)?.planes();
        self.normalise(&mut values);
        Ok(values)
    }
}
