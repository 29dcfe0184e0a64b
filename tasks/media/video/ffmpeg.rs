//! Decodes clips and views of video files with `ffmpeg`.

use std::path::Path;

use super::clip::{Clip, Frames, Framing};
use super::probe::{VideoFacts, probe};
use super::program::{Programs, VideoError};
use super::view::{ClipView, ViewPlace};
use crate::media::image::Region;

#[derive(Clone, Debug)]
pub struct Ffmpeg(Programs);

impl Ffmpeg {
    /// Finds the programs on the path.
    pub fn find() -> Result<Self, VideoError> {
        Programs::find().map(Self)
    }

    pub fn probe(&self, file: &Path) -> Result<VideoFacts, VideoError> {
        probe(&self.0, file)
    }

    /// Decodes the frames of a clip with one run of `ffmpeg` that ends with the last of them.
    pub fn take(&self, file: &Path, facts: &VideoFacts, frames: Frames, framing: Framing) -> Result<Clip, VideoError> {
        let Frames { start, count, stride } = frames.within(facts.frames);
        let last = start + (count.max(1) as u64 - 1) * stride as u64;
        let (width, height, filters) = framing.of(facts);
        let filters = format!("select='between(n,{start},{last})*not(mod(n-{start},{stride}))',{filters}");
        let picture = 3 * width * height;
        let mut rgb = self
            .0
            .decode(file, facts.stream, &filters, count, (count * picture) as u64)?;
        if rgb.len() != count * picture {
            return Err(VideoError::CutOff {
                expected: count,
                decoded: rgb.len() / picture,
            });
        }
        rgb.reserve_exact((frames.count - count) * picture);
        for _ in count..frames.count {
            rgb.extend_from_within(rgb.len() - picture..);
        }
        Ok(Clip {
            frames: frames.count,
            width,
            height,
            rgb,
        })
    }

    /// Several views; consecutive squares of the same frames are decoded together.
    pub fn views(
        &self,
        file: &Path,
        facts: &VideoFacts,
        views: &[ClipView],
        side: usize,
    ) -> Result<Vec<Clip>, VideoError> {
        let mut clips = Vec::with_capacity(views.len());
        let mut scaled: Option<(Frames, Clip)> = None;
        for &view in views {
            let ViewPlace::Half(half) = view.place else {
                clips.push(self.view(file, facts, view, side)?);
                continue;
            };
            if scaled.as_ref().is_none_or(|(frames, _)| *frames != view.frames) {
                scaled = Some((
                    view.frames,
                    self.take(file, facts, view.frames, Framing::ShortSide(side))?,
                ));
            }
            clips.extend(scaled.as_ref().map(|(_, clip)| clip.square(half)));
        }
        Ok(clips)
    }

    /// The view as a clip of `side` x `side` pixels.
    pub fn view(&self, file: &Path, facts: &VideoFacts, view: ClipView, side: usize) -> Result<Clip, VideoError> {
        match view.place {
            ViewPlace::Half(half) => {
                let scaled = self.take(file, facts, view.frames, Framing::ShortSide(side))?;
                Ok(scaled.square(half))
            }
            ViewPlace::Part { region, mirrored } => {
                let part = self.take(file, facts, view.frames, Framing::Cut(region))?;
                let [left, top] = [0, 0];
                let clip = part.squares(0..part.frames, Region { left, top, ..region }, side);
                Ok(if mirrored { clip.mirrored() } else { clip })
            }
        }
    }
}
