//! From the frames of a video to a model's input.

use super::{Pipeline, PipelineError, Rows, Video};
use crate::{Clip, Frames};

impl Video {
    /// The frames from the middle of a video of `total` frames, which is not 0.
    pub(super) fn chosen(&self, total: u64) -> Frames {
        Frames {
            start: Frames::last_start(total, self.frames, self.step) / 2,
            count: self.frames,
            stride: self.step,
        }
    }

    /// The input of frames that were chosen already.
    pub(super) fn rows(&self, clip: &Clip) -> Result<Rows, PipelineError> {
        let size = [clip.width, clip.height];
        let [height, width] = self.picture.size(size)?;
        let plane = height * width;
        let mut data = vec![0.0; 3 * clip.frames * plane];
        let bytes = 3 * clip.width * clip.height;
        for frame in 0..clip.frames {
            let rgb = clip.rgb.get(frame * bytes..(frame + 1) * bytes).unwrap_or_default();
            self.picture
                .write(rgb, size, &mut data[frame * plane..], clip.frames * plane)?;
        }
        Ok(Rows {
            data,
            shape: vec![3, clip.frames, height, width],
            heard: None,
        })
    }
}

impl Pipeline {
    /// The input of a video that is in memory as a whole.
    ///
    /// # Errors
    /// If this is no pipeline of videos or its values make no input; if there is no frame, or the
    /// bytes are no pictures.
    pub fn video(&self, clip: &Clip) -> Result<Rows, PipelineError> {
        let Self::Video(own) = self else {
            return Err(self.other_media("a video"));
        };
        self.check()?;
        if clip.frames == 0 {
            return Err(PipelineError::NoFrame);
        }
        let numbers = own.chosen(clip.frames as u64).numbers(clip.frames);
        let picture = 3 * clip.width * clip.height;
        let bytes = |number: usize| {
            clip.rgb
                .get(number * picture..(number + 1) * picture)
                .unwrap_or_default()
        };
        let rgb = numbers.flat_map(bytes).copied().collect();
        own.rows(&Clip {
            frames: own.frames,
            rgb,
            ..*clip
        })
    }
}
