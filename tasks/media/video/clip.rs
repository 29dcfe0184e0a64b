//! A clip in memory, and how ffmpeg cuts it from a file.

use super::probe::VideoFacts;
use crate::media::image::{Region, Resizer};

/// Frames `start`, `start + stride`, ... of a video, `count` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    pub start: u64,
    pub count: usize,
    pub stride: usize,
}

impl Frames {
    /// The ones that a video of `total` frames has; the last frame, if they start beyond its end.
    pub(super) fn within(self, total: u64) -> Self {
        let stride = self.stride.max(1);
        let start = self.start.min(total - 1);
        let held = (total - 1 - start) / stride as u64 + 1;
        Self {
            start,
            count: self.count.min(usize::try_from(held).unwrap_or(usize::MAX)),
            stride,
        }
    }

    /// The index of each in a video of `total` frames; beyond the end, the last frame repeats.
    pub(crate) fn numbers(self, total: usize) -> impl ExactSizeIterator<Item = usize> {
        let held = self.within(total as u64);
        let number = move |index: usize| held.start as usize + index.min(held.count.max(1) - 1) * held.stride;
        (0..self.count).map(number)
    }

    /// The last start that keeps `count` frames at `stride` within a video.
    pub(crate) fn last_start(total: u64, count: usize, stride: usize) -> u64 {
        (total - 1).saturating_sub(count.saturating_sub(1) as u64 * stride.max(1) as u64)
    }
}

/// Pictures in time, all of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    pub frames: usize,
    pub width: usize,
    pub height: usize,
    /// \[frames, height, width, 3\].
    pub rgb: Vec<u8>,
}

/// Which part of each picture to decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// All of it, in its own size.
    Whole,
    /// All of it, scaled so that the short edge has so many pixels.
    ShortSide(usize),
    Cut(Region),
}

impl Framing {
    /// The size of the pictures, and the ffmpeg filters that make them.
    pub(super) fn of(self, facts: &VideoFacts) -> (usize, usize, String) {
        // bicubic, and the same on every processor
        let scale =
            |width, height| format!("scale={width}:{height}:flags=bicubic+accurate_rnd+full_chroma_int+bitexact");
        let (width, height) = (facts.width, facts.height);
        match self {
            Self::Whole => (width, height, scale(width, height)),
            Self::ShortSide(side) => {
                let long = |edge: usize| ((edge * side) as f64 / width.min(height) as f64).round() as usize;
                let (width, height) = (long(width), long(height));
                (width, height, scale(width, height))
            }
            // colours first, which pixels outside contribute to: so a part equals that of the
            // whole, bit for bit
            Self::Cut(part) => {
                let whole = scale(width, height);
                let Region {
                    left,
                    top,
                    width,
                    height,
                } = part;
                (
                    width,
                    height,
                    format!("{whole},format=rgb24,crop={width}:{height}:{left}:{top}:exact=1"),
                )
            }
        }
    }
}

impl Clip {
    /// A training view cut from a whole video, bit for bit as `Ffmpeg::view` makes it from the
    /// file.
    pub fn part(&self, frames: Frames, region: Region, mirrored: bool, side: usize) -> Self {
        let clip = self.squares(frames.numbers(self.frames), region, side);
        if mirrored { clip.mirrored() } else { clip }
    }

    /// The square as large as the short edge, `half` halves along the long edge.
    pub fn square(&self, half: usize) -> Self {
        let side = self.width.min(self.height);
        let along = |edge: usize| (edge - side) * half.min(2) / 2;
        self.crop(Region {
            left: along(self.width),
            top: along(self.height),
            width: side,
            height: side,
        })
    }

    /// `region` of each of these pictures, scaled to a square of `side` pixels, bicubic as
    /// [`Resizer::square`]. Panics if there is no such picture, or the region reaches over the
    /// edge.
    pub fn squares(&self, numbers: impl ExactSizeIterator<Item = usize>, region: Region, side: usize) -> Self {
        let (mut resizer, picture, frames) = (Resizer::default(), 3 * self.width * self.height, numbers.len());
        let mut rgb = Vec::with_capacity(3 * frames * side * side);
        for number in numbers {
            let whole = &self.rgb[number * picture..][..picture];
            rgb.extend(resizer.square_of(whole, [self.width, self.height], region, side));
        }
        Self {
            frames,
            width: side,
            height: side,
            rgb,
        }
    }

    /// The part of every picture within `region`. Panics if it reaches over the edge.
    pub fn crop(&self, region: Region) -> Self {
        let Region {
            left,
            top,
            width,
            height,
        } = region;
        assert!(
            left + width <= self.width && top + height <= self.height,
            "{region:?} is not within the picture"
        );
        let rows = (0..self.frames).flat_map(|frame| (top..top + height).map(move |row| frame * self.height + row));
        let rgb = rows
            .flat_map(|row| self.rgb[3 * (row * self.width + left)..][..3 * width].iter().copied())
            .collect();
        Self {
            frames: self.frames,
            width,
            height,
            rgb,
        }
    }

    pub fn mirrored(&self) -> Self {
        let mut rgb = self.rgb.clone();
        for row in rgb.chunks_exact_mut(3 * self.width) {
            row.as_chunks_mut::<3>().0.reverse();
        }
        Self { rgb, ..*self }
    }

    /// Values from 0 to 1, \[3, frames, height, width\].
    pub fn planes(&self) -> Vec<f32> {
        let (pixels, _) = self.rgb.as_chunks::<3>();
        let plane = |channel: usize| pixels.iter().map(move |pixel| f32::from(pixel[channel]) / 255.0);
        let mut values = Vec::with_capacity(self.rgb.len());
        (0..3).for_each(|channel| values.extend(plane(channel)));
        values
    }
}
