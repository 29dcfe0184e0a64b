//! From a picture to a model's input: resized, cut from the centre, normalised.

use super::{Picture, Pipeline, PipelineError, Resize, Rounding, Rows};
use crate::media::image::{MOST_PIXELS, Region, resize_as_pillow};

impl Pipeline {
    /// The input of a picture of any size.
    ///
    /// # Errors
    /// If this is no pipeline of pictures or its values make no input; if the bytes are no picture;
    /// if nothing is cut and the picture becomes larger than [`MOST_PIXELS`].
    pub fn picture(&self, picture: &crate::Picture) -> Result<Rows, PipelineError> {
        let Self::Picture(own) = self else {
            return Err(self.other_media("a picture"));
        };
        self.check()?;
        let size = [picture.width, picture.height];
        let [height, width] = own.size(size)?;
        let mut data = vec![0.0; 3 * height * width];
        own.write(&picture.rgb, size, &mut data, height * width)?;
        Ok(Rows {
            data,
            shape: vec![3, height, width],
            heard: None,
        })
    }
}

impl Picture {
    /// Height and width of the inputs, where they are the same for every picture.
    pub(super) fn fixed_size(&self) -> Option<[usize; 2]> {
        match (self.crop, self.resize) {
            (Some(crop), _) => Some(crop),
            (None, Resize::To(sides)) => Some(sides),
            (None, Resize::ShorterSide(_) | Resize::None) => None,
        }
    }

    /// Height and width of the input of a picture of `size`, \[width, height\].
    pub(super) fn size(&self, size: [usize; 2]) -> Result<[usize; 2], PipelineError> {
        let [width, height] = self.resized(size);
        let [height, width] = self.crop.unwrap_or([height, width]);
        if width.saturating_mul(height) > MOST_PIXELS {
            return Err(PipelineError::TooLarge { width, height });
        }
        Ok([height, width])
    }

    /// Width and height after resizing.
    fn resized(&self, [width, height]: [usize; 2]) -> [usize; 2] {
        match self.resize {
            Resize::To([high, wide]) => [wide, high],
            Resize::ShorterSide(side) => {
                let shorter = width.min(height).max(1) as u128;
                [width, height].map(|edge| (edge as u128 * side as u128 / shorter) as usize)
            }
            Resize::None => [width, height],
        }
    }

    /// Writes the input of a picture into three channels that begin `channel` numbers apart.
    pub(super) fn write(
        &self,
        rgb: &[u8],
        size: [usize; 2],
        out: &mut [f32],
        channel: usize,
    ) -> Result<(), PipelineError> {
        let [width, height] = size;
        if rgb.is_empty() || Some(rgb.len()) != width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3)) {
            let bytes = rgb.len();
            return Err(PipelineError::NoPicture { width, height, bytes });
        }
        let resized = self.resized(size);
        let [high, wide] = self.crop.unwrap_or([resized[1], resized[0]]);
        let (left, top) = (self.crop_begins(resized[0], wide), self.crop_begins(resized[1], high));
        let across = visible(left, wide, resized[0]);
        let down = visible(top, high, resized[1]);
        let region = Region {
            left: across.first,
            top: down.first,
            width: across.count,
            height: down.count,
        };
        let seen = resize_as_pillow(rgb, size, resized, region, self.filter);
        for (number, plane) in out.chunks_mut(channel).take(3).enumerate() {
            let values = self.values(number);
            let plane = &mut plane[..high * wide];
            plane.fill(values[0]);
            for (row, bytes) in seen.chunks_exact(3 * across.count).enumerate() {
                let (pixels, _) = bytes.as_chunks::<3>();
                let begin = (down.before + row) * wide + across.before;
                for (value, pixel) in plane[begin..].iter_mut().zip(pixels) {
                    *value = values[usize::from(pixel[number])];
                }
            }
        }
        Ok(())
    }

    /// Where the crop begins along an axis; before the picture, if it is larger.
    fn crop_begins(&self, picture: usize, crop: usize) -> isize {
        let over = picture as isize - crop as isize;
        match self.rounding {
            Rounding::Down => over.div_euclid(2),
            Rounding::Even if over < 0 => -(-over / 2),
            Rounding::Even => {
                let half = over / 2;
                half + (over % 2) * (half % 2)
            }
        }
    }

    /// The input of each byte of a channel.
    fn values(&self, channel: usize) -> [f32; 256] {
        let (mean, std) = (self.mean[channel] as f32, self.std[channel] as f32);
        std::array::from_fn(|byte| ((byte as f64 * self.scale) as f32 - mean) / std)
    }
}

/// The part of a crop along an axis that lies within the picture.
struct Visible {
    /// Black in front of it.
    before: usize,
    /// Where it begins in the picture.
    first: usize,
    count: usize,
}

fn visible(begins: isize, crop: usize, picture: usize) -> Visible {
    let before = (-begins).max(0) as usize;
    let first = begins.max(0) as usize;
    Visible {
        before,
        first,
        count: (crop - before).min(picture - first),
    }
}
