//! Which part of a picture the model sees, and its resizing: bicubic with antialiasing, as Pillow's
//! `resize`.
//!
//! For evaluation, the short side becomes 8/7 of the model's side and the centre is taken. For
//! training, a random region of random aspect is resized (Szegedy et al. 2015, section 6), drawn as
//! torchvision's `RandomResizedCrop` does.

use bridle_seed::Stream;
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ImageView, ResizeAlg, ResizeOptions};

use super::picture::Picture;

/// Smallest and largest width over height of a random region.
const ASPECTS: [f64; 2] = [3.0 / 4.0, 4.0 / 3.0];
/// Draws before the centre is taken.
const ATTEMPTS: usize = 10;

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

/// Resizes pictures. It reuses working memory, so each thread has its own.
#[derive(Default)]
pub struct Resizer(fast_image_resize::Resizer);

impl Resizer {
    /// `region` of `picture` as a square of `side` pixels. Nothing outside the region has an
    /// influence. Panics if the region is empty or not within the picture, or `side` is 0.
    pub fn square(&mut self, picture: &Picture, region: Region, side: usize) -> Picture {
        let rgb = self.square_of(&picture.rgb, [picture.width, picture.height], region, side);
        Picture {
            width: side,
            height: side,
            rgb,
        }
    }

    /// The same for bytes that are not a `Picture`, such as a video's; `size` is \[width, height\].
    pub fn square_of(&mut self, rgb: &[u8], size: [usize; 2], region: Region, side: usize) -> Vec<u8> {
        let Region {
            left,
            top,
            width,
            height,
        } = region;
        let source = source(rgb, size);
        let [left, top, wide, high] = [left, top, width, height].map(|n| n as u32);
        let cut = TypedCroppedImage::new(source, left, top, wide, high).expect("a region within the picture");
        self.resize(&cut, [0.0, width as f64], [0.0, height as f64], height, side)
    }

    /// The centre for evaluation, a square of `side` pixels: the middle of the picture resized to a
    /// short side of 8/7 `side`. Only what remains is computed. Panics if `side` is 0.
    pub fn centre(&mut self, picture: &Picture, side: usize) -> Picture {
        let short = (side as f64 * 256.0 / 224.0).round_ties_even();
        let least = picture.width.min(picture.height) as f64;
        let along = |pixels: usize| {
            let resized = (short * pixels as f64 / least).floor();
            let before = ((resized - side as f64) / 2.0).round_ties_even();
            let scale = pixels as f64 / resized;
            [
                before * scale,
                (side as f64 * scale).min(pixels as f64 - before * scale),
            ]
        };
        let rgb = self.resize(
            &source(&picture.rgb, [picture.width, picture.height]),
            along(picture.width),
            along(picture.height),
            picture.height,
            side,
        );
        Picture {
            width: side,
            height: side,
            rgb,
        }
    }

    /// Resizes \[first, length\] of each axis, with the surroundings in reach of the kernel. Rows
    /// are shortened first and rounded to bytes, as Pillow does before version 13. The other order,
    /// which the library takes if it gets both axes at once, clips other overshoots and changes
    /// bytes at sharp edges by 10. Typed views are used because the library's others are compiled
    /// for every pixel type, which took two thirds of this crate's build time.
    fn resize(
        &mut self,
        source: &impl ImageView<Pixel = U8x3>,
        [left, width]: [f64; 2],
        [top, height]: [f64; 2],
        rows: usize,
        side: usize,
    ) -> Vec<u8> {
        // the bicubic kernel reaches two pixels of the target to either side
        let reach = 2.0 * (height / side as f64).max(1.0);
        let first = (top - reach).floor().max(0.0);
        let last = (top + height + reach).ceil().min(rows as f64);
        let mut narrow = TypedImage::<U8x3>::new(side as u32, (last - first) as u32);
        let across = bicubic().crop(left, first, width, last - first);
        self.0
            .resize_typed(source, &mut narrow, &across)
            .expect("a region within the picture");
        let mut rgb = vec![0; side * side * 3];
        let mut target =
            TypedImage::from_buffer(side as u32, side as u32, &mut rgb).expect("three bytes for each pixel");
        let down = bicubic().crop(0.0, top - first, side as f64, height);
        self.0
            .resize_typed(&narrow, &mut target, &down)
            .expect("a region within the rows");
        rgb
    }
}

/// Pillow's bicubic, with a = -0.5, is also known as Catmull-Rom.
fn bicubic() -> ResizeOptions {
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
}

fn source(rgb: &[u8], [width, height]: [usize; 2]) -> TypedImageRef<'_, U8x3> {
    TypedImageRef::from_buffer(width as u32, height as u32, rgb).expect("three bytes for each pixel")
}

/// A random region for training: a share of the area within `scale` and an aspect from 3/4 to 4/3,
/// at a random place. If ten draws do not fit, the largest region in the centre with an allowed
/// aspect.
pub fn random_region(width: usize, height: usize, scale: [f64; 2], stream: &mut Stream) -> Region {
    let mut between = |[low, high]: [f64; 2]| low + (high - low) * stream.uniform_f64();
    let area = (width * height) as f64;
    for _ in 0..ATTEMPTS {
        let target = area * between(scale);
        let aspect = between(ASPECTS.map(f64::ln)).exp();
        let wide = (target * aspect).sqrt().round_ties_even() as usize;
        let high = (target / aspect).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&wide) && (1..=height).contains(&high) {
            let top = stream.below(height - high + 1);
            let left = stream.below(width - wide + 1);
            return Region {
                left,
                top,
                width: wide,
                height: high,
            };
        }
    }
    let wide = width.min((height as f64 * ASPECTS[1]).round_ties_even() as usize);
    let high = height.min((width as f64 / ASPECTS[0]).round_ties_even() as usize);
    Region {
        left: (width - wide) / 2,
        top: (height - high) / 2,
        width: wide,
        height: high,
    }
}

#[cfg(test)]
mod tests;
